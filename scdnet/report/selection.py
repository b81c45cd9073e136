"""Choose the sequences of a store that a page contains, where it has too many."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from scdnet.eval.knn import stratified_subset
from scdnet.report.retrieval import Retrieval


class Selection(NamedTuple):
    """Sequences of a store, as rows of it, and the queries among them."""

    # The ones that are needed first come first.
    rows: np.ndarray  # (n,)
    # Places in `Retrieval.queries`, the hardest first.
    queries: np.ndarray  # (q,)


def select_sequences(
    retrieval: Retrieval, label: Tensor, required: np.ndarray, *, limit: int
) -> Selection:
    """Select at most `limit` sequences: queries with their neighbors, then others of all classes.

    `label` (N,) is of all rows of the store; the rows `required` (a,) are taken in any case. Where
    queries must be left out, half of the rest are the hardest ones, of as many confusions as
    possible, and half are of all classes in proportion.
    """
    # Bisection finds how many queries there is room for.
    fitting = 1
    too_many = len(retrieval.queries) + 1
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        if len(_needed_rows(required, retrieval, select_queries(retrieval, label, middle))) > limit:
            too_many = middle
        else:
            fitting = middle
    queries = select_queries(retrieval, label, fitting)
    rows = _needed_rows(required, retrieval, queries)
    others = np.setdiff1d(np.arange(len(label)), rows)
    room = limit - len(rows)
    # stratified_subset takes 0 for no limit.
    if room > 0:
        filling = stratified_subset(torch.from_numpy(others), label, room).numpy()
        rows = np.concatenate([rows, filling])
    return Selection(rows, queries.numpy())


def select_queries(retrieval: Retrieval, label: Tensor, num: int) -> Tensor:
    """Select `num` queries, as places in `Retrieval.queries`, the hardest first.

    Half are taken from each pair of true and predicted class in turn, the hardest first; half are a
    stratified sample of the others.
    """
    order = (-retrieval.hardness).argsort(stable=True)
    num_hard = -(-num // 2)
    hard = order[_turns(retrieval, label, order).argsort(stable=True)[:num_hard]]
    others = order[~torch.isin(order, hard)]
    num_others = min(num - num_hard, len(others))
    chosen = hard
    if num_others > 0:
        labels = label[retrieval.queries]
        chosen = torch.cat([hard, stratified_subset(others, labels, num_others)])
    return order[torch.isin(order, chosen)]


def _turns(retrieval: Retrieval, label: Tensor, order: Tensor) -> Tensor:
    """Count how many queries of the same confusion come before each in `order` (n,)."""
    actual = label[retrieval.queries][order]
    predicted = retrieval.predicted(label)[order]
    cells = (actual * (int(label.max()) + 1) + predicted).numpy()
    by_cell = np.argsort(cells, kind="stable")
    starts = np.flatnonzero(np.diff(cells[by_cell], prepend=-1))
    counts = np.diff(np.append(starts, len(cells)))
    turns = np.empty(len(cells), dtype=np.int64)
    turns[by_cell] = np.arange(len(cells)) - np.repeat(starts, counts)
    return torch.from_numpy(turns)


def _needed_rows(required: np.ndarray, retrieval: Retrieval, queries: Tensor) -> np.ndarray:
    """Return the rows of queries, each followed by its neighbors, without repetitions."""
    rows = torch.cat([retrieval.queries[:, None], retrieval.neighbors], dim=1)[queries]
    all_rows = np.concatenate([required, rows.flatten().numpy()])
    _, first = np.unique(all_rows, return_index=True)
    return all_rows[np.sort(first)]
