"""Search among the features of windows by cosine similarity; exact."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from scdnet.eval.embedding_file import Embedding


class Hit(NamedTuple):
    """A window that is similar to a query."""

    row: int
    cosine: float


def cosine_similarity(queries: np.ndarray, chunks: Iterable[Tensor]) -> np.ndarray:
    """Return the cosines (Q, N) of queries (Q, D) and each row of the chunks (n, D)."""
    q = torch.nn.functional.normalize(torch.from_numpy(queries), dim=1)
    cosines = [q @ torch.nn.functional.normalize(x, dim=1).T for x in chunks]
    return torch.cat(cosines, dim=1).clamp(max=1).numpy()


def select_hits(
    embedding: Embedding, cosines: np.ndarray, top: int, *, rows: np.ndarray | None = None
) -> list[Hit]:
    """Return the `top` windows of the largest cosine, without those that overlap a better one.

    The cosines (n,) are those of all windows, or of the ascending `rows` (n,) alone. Two windows
    overlap if they have a frame of a recording in common. Of equal ones the first comes first.
    """
    if rows is None:
        rows = np.arange(len(embedding))
    recording = embedding.recording[rows]
    first = embedding.first[rows]
    last = embedding.last[rows]
    # Suppressed windows are below any cosine.
    left = cosines.astype(np.float32, copy=True)
    hits: list[Hit] = []
    while len(hits) < top:
        best = int(left.argmax())
        if left[best] == -np.inf:
            break
        hits.append(Hit(int(rows[best]), float(cosines[best])))
        left[
            (recording == recording[best]) & (first <= last[best]) & (last >= first[best])
        ] = -np.inf
    return hits
