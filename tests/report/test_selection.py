import numpy as np
import pytest
import torch

from scdnet.report.retrieval import Retrieval, retrieve_neighbors
from scdnet.report.selection import select_queries, select_sequences
from tests.report.tables import make_table

NOTHING = np.array([], dtype=np.int64)


@pytest.fixture(scope="module")
def retrieved() -> tuple[Retrieval, torch.Tensor]:
    x = np.random.default_rng(0).normal(size=(400, 5))
    table = make_table(x, [i % 4 for i in range(400)], [i // 4 % 2 == 0 for i in range(400)])
    return retrieve_neighbors(table, "xsub", torch.device("cpu")), table.label


def test_a_small_store_is_shown_whole_with_its_hardest_query_first(retrieved):
    retrieval, label = retrieved
    selection = select_sequences(retrieval, label, NOTHING, limit=400)
    assert sorted(selection.rows) == list(range(400))
    assert len(selection.queries) == 200
    hardness = retrieval.hardness[selection.queries]
    assert (hardness.diff() <= 0).all()


def test_of_a_large_store_queries_are_chosen_with_all_their_neighbors(retrieved):
    retrieval, label = retrieved
    selection = select_sequences(retrieval, label, np.array([3]), limit=150)
    assert len(selection.rows) == len(set(selection.rows)) == 150
    assert selection.rows[0] == 3
    shown = set(selection.rows.tolist())
    for query in selection.queries:
        assert {int(retrieval.queries[query]), *retrieval.neighbors[query].tolist()} <= shown
    # One more query would not fit.
    more = select_queries(retrieval, label, len(selection.queries) + 1)
    rows = torch.cat([retrieval.queries[more], retrieval.neighbors[more].flatten()])
    assert len({3, *rows.tolist()}) > 150


def test_each_confusion_has_its_hardest_query_before_any_has_two(retrieved):
    retrieval, label = retrieved
    cells = list(
        zip(label[retrieval.queries].tolist(), retrieval.predicted(label).tolist(), strict=True)
    )
    num_cells = len(set(cells))
    chosen = select_queries(retrieval, label, 2 * num_cells).tolist()
    for cell in set(cells):
        members = [query for query, own in enumerate(cells) if own == cell]
        assert max(members, key=lambda query: retrieval.hardness[query]) in chosen


def test_a_single_query_is_selected(retrieved):
    retrieval, label = retrieved
    (query,) = select_queries(retrieval, label, 1).tolist()
    assert retrieval.hardness[query] == retrieval.hardness.max()
