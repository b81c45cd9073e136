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
    retrieval: Retrieval, label: Tensor, also: np.ndarray, *, limit: int
) -> Selection:
    """Select at most `limit` sequences: queries with their neighbors, then others of all classes.

    `label` (N,) is of all rows of the store; the rows `also` (a,) are taken in any case.
    """
    order = (-retrieval.hardness).argsort(stable=True)
    num_queries = len(order)
    while True:
        kept = stratified_subset(torch.arange(len(order)), label[retrieval.queries], num_queries)
        queries = order[torch.isin(order, kept)]
        needed = _in_order(also, retrieval, queries)
        if len(needed) <= limit or num_queries == 1:
            break
        num_queries //= 2
    others = np.setdiff1d(np.arange(len(label)), needed)
    room = limit - len(needed)
    # stratified_subset takes 0 for no limit.
    if room > 0:
        filling = stratified_subset(torch.from_numpy(others), label, room).numpy()
        needed = np.concatenate([needed, filling])
    return Selection(needed, queries.numpy())


def _in_order(also: np.ndarray, retrieval: Retrieval, queries: Tensor) -> np.ndarray:
    """Return the rows of queries, each followed by its neighbors, without repetitions."""
    rows = torch.cat([retrieval.queries[:, None], retrieval.neighbors], dim=1)[queries]
    all_rows = np.concatenate([also, rows.flatten().numpy()])
    _, first = np.unique(all_rows, return_index=True)
    return all_rows[np.sort(first)]
