"""Which bodies of a batch a stem has to see.

Most clips show one person. After the input's batch norm all second bodies that are not there are the same tensor,
and they stay so through a whole stem: one of them stands for all.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class DistinctBodies(NamedTuple):
    """The bodies of N clips as R rows: the first bodies, then the second ones that are there, then an empty one."""

    index: Tensor  # (R,) which of the 2N bodies a row is, in the order (m n)
    count: Tensor  # (R,) how many bodies it stands for
    row: Tensor  # (N,) the row of each clip's second body, counted from the first row of a second body


def distinct_bodies(clips: Tensor) -> DistinctBodies | None:
    """Look for empty second bodies in clips (N, C, T, V, M); None where fewer than two are alike."""
    n, m = clips.shape[0], clips.shape[4]
    if m == 1:
        return None
    empty = (clips[..., 1] == 0).flatten(1).all(dim=1)
    present, absent = (~empty).nonzero()[:, 0], empty.nonzero()[:, 0]
    if len(absent) < 2:
        return None
    everyone = torch.arange(n, device=clips.device)
    count = clips.new_ones(n + len(present) + 1)
    count[-1] = len(absent)
    row = torch.where(empty, len(present), (~empty).cumsum(dim=0) - 1)
    return DistinctBodies(torch.cat([everyone, n + present, n + absent[:1]]), count, row)
