"""Which sequences fall to which of several processes that work together (ranks)."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor


class RankInfo(NamedTuple):
    """The part of one rank."""

    rank: int
    world_size: int

    def rows(self, x: Tensor, *, copies: int = 1) -> Tensor:
        """The own rows of each copy of a batch: (copies*N, ...) -> (copies*N/world_size, ...); `world_size` divides N."""
        return x.unflatten(0, (copies, self.world_size, -1))[:, self.rank].flatten(0, 1)


SINGLE_PROCESS = RankInfo(0, 1)


def contiguous_ranks(num: int, size: int) -> Tensor:
    """(num,) int64: the rank of each of `num` things, in `size` contiguous_ranks that differ in length by one at most."""
    return torch.arange(num) * size // num


def sample_batches(index: Tensor, batch_size: int, generator: Generator) -> tuple[Tensor, ...]:
    """Draw the batches (batch_size,) of an epoch over the sequences `index`; drop what is left over."""
    order = index[torch.randperm(len(index), generator=generator)]
    steps = len(order) // batch_size
    return order[: steps * batch_size].view(steps, batch_size).unbind()
