"""The part of each of several processes that work together (ranks)."""

from typing import NamedTuple

import torch
from torch import Tensor


class RankInfo(NamedTuple):
    """A rank and the number of all ranks."""

    rank: int
    world_size: int

    def rows(self, x: Tensor, *, copies: int = 1) -> Tensor:
        """Return this rank's rows of each copy of a batch.

        (copies*N, ...) -> (copies*N/world_size, ...); `world_size` divides N.
        """
        return x.unflatten(0, (copies, self.world_size, -1))[:, self.rank].flatten(0, 1)


SINGLE_PROCESS = RankInfo(0, 1)


def contiguous_ranks(num: int, world_size: int) -> Tensor:
    """Assign `num` items to ranks: (num,) int64, in runs whose lengths differ by one at most."""
    return torch.arange(num) * world_size // num
