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


def cosine_similarity(query: np.ndarray, chunks: Iterable[Tensor]) -> np.ndarray:
    """Return the cosine (N,) of a query (D,) and each row of the chunks (n, D)."""
    q = torch.nn.functional.normalize(torch.from_numpy(query), dim=0)
    cosines = [torch.nn.functional.normalize(x, dim=1) @ q for x in chunks]
    return torch.cat(cosines).clamp(max=1).numpy()


def select_hits(embedding: Embedding, cosines: np.ndarray, top: int) -> list[Hit]:
    """Return the `top` windows of the largest cosine (N,), without those that overlap a better one.

    Two windows overlap if they have a frame of a recording in common. Of equal ones the first
    comes first.
    """
    # Suppressed windows are below any cosine.
    left = cosines.astype(np.float32, copy=True)
    hits: list[Hit] = []
    while len(hits) < top:
        row = int(left.argmax())
        if left[row] == -np.inf:
            break
        hits.append(Hit(row, float(cosines[row])))
        left[
            (embedding.recording == embedding.recording[row])
            & (embedding.first <= embedding.last[row])
            & (embedding.last >= embedding.first[row])
        ] = -np.inf
    return hits
