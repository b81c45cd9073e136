import numpy as np
import pytest
import torch

from scdnet.report.retrieval import NUM_NEIGHBORS, retrieve_neighbors
from tests.report.tables import make_table

CPU = torch.device("cpu")


def test_neighbors_are_ranked_by_cosine_among_the_training_sequences():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6))
    is_train = [i % 3 > 0 for i in range(40)]
    retrieval = retrieve_neighbors(make_table(x, [i % 4 for i in range(40)], is_train), "xsub", CPU)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    train = np.flatnonzero(is_train)
    assert retrieval.queries.tolist() == np.flatnonzero(~np.array(is_train)).tolist()
    for i, query in enumerate(retrieval.queries.tolist()):
        cosines = unit[train] @ unit[query]
        best = np.argsort(-cosines)[:NUM_NEIGHBORS]
        assert retrieval.neighbors[i].tolist() == train[best].tolist()
        assert retrieval.similarity[i].numpy() == pytest.approx(cosines[best], abs=1e-6)


def test_a_gallery_with_fewer_sequences_than_neighbors_is_ranked_whole():
    table = make_table(np.eye(4), [0, 1, 0, 1], [True, True, False, False])
    assert retrieve_neighbors(table, "xsub", CPU).neighbors.shape == (2, 2)


def test_a_query_is_the_harder_the_nearer_another_class_is_than_its_own():
    directions = np.array([[1, 0], [0, 1], [0.9, 0.1], [0.1, 0.9]])
    table = make_table(directions, [0, 1, 0, 0], [True, True, False, False])
    retrieval = retrieve_neighbors(table, "xsub", CPU)
    right, wrong = retrieval.hardness.tolist()
    assert right < 0 < wrong
    assert wrong == pytest.approx(-right, abs=1e-6)
    assert retrieval.predicted(table.label).tolist() == [0, 1]
