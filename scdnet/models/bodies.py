"""The bodies of a batch that a stem has to process.

Most clips show one person. After the input's batch norm all absent second bodies are the same
tensor, and they stay equal through a whole stem: one of them represents all.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DistinctBodies:
    """The bodies of N clips as R rows: all first bodies, the second ones present, one absent."""

    # The body that each row is, among the M*N bodies in the order (m n).
    index: Tensor  # (R,)
    # The number of bodies that each row represents.
    count: Tensor  # (R,)
    # The row of each clip's second body, counted from the first row of a second body.
    row: Tensor  # (N,)


def find_distinct_bodies(clips: Tensor) -> DistinctBodies | None:
    """Find the absent second bodies of clips (N, C, T, V, M); None if fewer than two are absent."""
    n = clips.shape[0]
    if clips.shape[4] == 1:
        return None
    is_absent = (clips[..., 1] == 0).flatten(1).all(dim=1)
    present = (~is_absent).nonzero()[:, 0]
    absent = is_absent.nonzero()[:, 0]
    if len(absent) < 2:
        return None
    first = torch.arange(n, device=clips.device)
    count = clips.new_ones(n + len(present) + 1)
    count[-1] = len(absent)
    row = torch.where(is_absent, len(present), (~is_absent).cumsum(dim=0) - 1)
    return DistinctBodies(torch.cat([first, n + present, n + absent[:1]]), count, row)
