import numpy as np

from scdnet.skeleton import neighbor_matrix, partition_graph
from scdnet.skeletons import NTU_25


def test_mirror_is_its_own_inverse_and_keeps_the_bones():
    mirror = NTU_25.mirror
    parents = NTU_25.parents
    assert all(mirror[mirror[v]] == v for v in range(25))
    assert all(parents[mirror[v]] == mirror[parents[v]] for v in range(25))


def test_mirror_swaps_the_names_left_and_right():
    swapped = [
        name.replace("left", "?").replace("right", "left").replace("?", "right")
        for name in NTU_25.joints
    ]
    assert [NTU_25.joints[m] for m in NTU_25.mirror] == swapped


def test_24_bones_and_one_root():
    assert len(NTU_25.bones) == 24
    assert [v for v, parent in enumerate(NTU_25.parents) if v == parent] == [20]


def test_outward_edges_of_the_root_share_one_column():
    outward = partition_graph(NTU_25)[2]
    # Spine, neck and both shoulders hang on 20.
    assert outward[[1, 2, 4, 8], 20].tolist() == [0.25] * 4
    # The head is nobody's parent, so its column stays zero.
    assert outward[:, 3].sum() == 0


def test_columns_of_the_graph_sum_to_one_or_zero():
    assert set(np.unique(partition_graph(NTU_25).sum(axis=1).round(6))) == {0.0, 1.0}


def test_neighbors_are_symmetric_with_themselves_included():
    matrix = neighbor_matrix(NTU_25)
    assert (matrix == matrix.T).all()
    assert matrix.sum() == 25 + 2 * 24
