import dataclasses
import re

import numpy as np
import pytest

from scdnet.skeleton import Skeleton, check_skeleton, neighbor_matrix, partition_graph
from scdnet.skeletons import KINECT_V1_20, NTU_25, SKELETONS

each_skeleton = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)

# num_joints, dims, center, lower and upper end of the spine, left and right shoulder.
# Source: docs/data/skeletons.md.
TABLE = {
    "ntu25": (25, 3, (1,), (0,), (1,), 4, 8),
    "kinect_v1_20": (20, 3, (1,), (0,), (2,), 4, 8),
    "azure32": (32, 3, (1,), (0,), (1,), 5, 12),
    "mediapipe33": (33, 3, (11, 12, 23, 24), (23, 24), (11, 12), 11, 12),
    "h36m17": (17, 3, (7,), (0,), (8,), 11, 14),
    "openni15": (15, 3, (8,), (9, 10), (1,), 2, 3),
    "smpl24": (24, 3, (6,), (0,), (12,), 16, 17),
    "coco17": (17, 2, (11, 12), (11, 12), (5, 6), 5, 6),
    "openpose25": (25, 2, (8,), (8,), (1,), 5, 2),
    "halpe26": (26, 2, (19,), (19,), (18,), 5, 6),
}


def test_the_built_in_skeletons_are_those_of_the_table():
    found = {
        name: (
            skeleton.num_joints, skeleton.dims, skeleton.center, *skeleton.spine,
            *(joint for side in skeleton.shoulders for joint in side),
        )
        for name, skeleton in SKELETONS.items()
    }  # fmt: skip
    assert found == TABLE


@each_skeleton
def test_mirror_is_its_own_inverse(skeleton):
    assert [skeleton.mirror[joint] for joint in skeleton.mirror] == list(range(skeleton.num_joints))


@each_skeleton
def test_mirror_keeps_the_bones_but_for_those_of_the_root(skeleton):
    for joint, parent in skeleton.bones:
        if skeleton.root not in (joint, skeleton.mirror[joint]):
            assert skeleton.mirror[parent] == skeleton.parents[skeleton.mirror[joint]], joint


@each_skeleton
def test_mirror_swaps_the_names_left_and_right(skeleton):
    swapped = [
        name.replace("left", "?").replace("right", "left").replace("?", "right")
        for name in skeleton.joints
    ]
    assert [skeleton.joints[joint] for joint in skeleton.mirror] == swapped


@each_skeleton
def test_every_joint_reaches_the_only_root(skeleton):
    assert skeleton.parents[skeleton.root] == skeleton.root
    assert len(skeleton.bones) == skeleton.num_joints - 1
    reached = np.linalg.matrix_power(neighbor_matrix(skeleton), skeleton.num_joints)
    assert (reached[skeleton.root] > 0).all()


@each_skeleton
def test_what_normalization_aligns_is_symmetric(skeleton):
    for joints in (skeleton.center, *skeleton.spine):
        assert {skeleton.mirror[joint] for joint in joints} == set(joints)
    (left,), (right,) = skeleton.shoulders
    assert (skeleton.joints[left], skeleton.joints[right]) == ("left shoulder", "right shoulder")


@each_skeleton
def test_a_skeleton_is_the_same_after_a_checkpoint(skeleton):
    assert Skeleton.from_dict(skeleton.to_dict()) == skeleton


def test_the_root_of_ntu_is_the_spine_at_the_shoulders():
    assert (NTU_25.root, NTU_25.joints[20]) == (20, "spine at shoulders")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("joints", ("a",), "joints: expected two or more names"),
        ("joints", ("a",) * 20, "joints: expected distinct names"),
        ("joints", tuple(range(20)), "joints: expected two or more names"),
        ("dims", 4, "dims: expected 2 or 3, found 4"),
        ("parents", (0, 0, 1), "parents: expected one for each of 20 joints"),
        ("parents", (*KINECT_V1_20.parents[:-1], 20), "expected joints as numbers in 0..19"),
        ("parents", (1, *KINECT_V1_20.parents[1:]), "parents: expected one root that is its own"),
        ("parents", (0, 2, 1, *KINECT_V1_20.parents[3:]), "parents: spine does not lead to the ro"),
        ("mirror", (1, *range(1, 20)), "mirror: center of hips is not the mirror joint of its mir"),
        ("mirror", (-1, *range(1, 20)), "expected joints as numbers in 0..19"),
        ("center", (), "expected one or more joints each as center, spine and shoulders"),
        ("spine", ((0,),), "spine: expected two sets of joints"),
        ("shoulders", ((4,), ()), "expected one or more joints each as center, spine and should"),
        ("shoulders", ((4,), (8.0,)), "expected joints as numbers in 0..19"),
    ],
)  # fmt: skip
def test_what_is_no_skeleton_is_refused(key, value, reason):
    skeleton = dataclasses.replace(KINECT_V1_20, **{key: value})
    with pytest.raises(ValueError, match=re.escape(reason)):
        check_skeleton(skeleton)
    with pytest.raises(ValueError, match=re.escape(reason)):
        Skeleton.from_dict(skeleton.to_dict())


def test_fields_of_something_else_are_no_skeleton():
    with pytest.raises(ValueError, match="not the fields of a skeleton"):
        Skeleton.from_dict({"name": "x", "bones": []})


def test_outward_edges_of_the_root_share_one_column():
    outward = partition_graph(NTU_25)[2]
    # Spine, neck and both shoulders hang on 20.
    assert outward[[1, 2, 4, 8], 20].tolist() == [0.25] * 4
    # The head is nobody's parent, so its column stays zero.
    assert outward[:, 3].sum() == 0


@each_skeleton
def test_columns_of_the_graph_sum_to_one_or_zero(skeleton):
    assert set(np.unique(partition_graph(skeleton).sum(axis=1).round(6))) == {0.0, 1.0}


@each_skeleton
def test_neighbors_are_symmetric_with_themselves_included(skeleton):
    matrix = neighbor_matrix(skeleton)
    assert (matrix == matrix.T).all()
    assert matrix.sum() == skeleton.num_joints + 2 * (skeleton.num_joints - 1)


@each_skeleton
def test_the_first_side_is_the_left_one(skeleton: Skeleton):
    left, right = skeleton.sides
    assert len(left) == sum(v != other for v, other in enumerate(skeleton.mirror)) // 2
    assert all("left" in skeleton.joints[v] for v in left)
    assert right == tuple(skeleton.mirror[v] for v in left)


def test_without_names_of_sides_the_joints_that_come_first_are_on_the_first_side():
    numbered = dataclasses.replace(NTU_25, joints=tuple(map(str, range(25))))
    left, right = numbered.sides
    assert left == NTU_25.sides[0]
    assert all(v < other for v, other in zip(left, right, strict=True))
