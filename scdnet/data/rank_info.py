"""Which sequences fall to which of several processes that work together (ranks)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

DEALT = 0  # seed of what `deal` draws: the same hands in each run


class Share(NamedTuple):
    """The part of one rank."""

    rank: int
    size: int

    def rows(self, x: Tensor, *, copies: int = 1) -> Tensor:
        """The own rows of each copy of a batch: (copies*N, ...) -> (copies*N/size, ...); `size` divides N."""
        return x.unflatten(0, (copies, self.size, -1))[:, self.rank].flatten(0, 1)


WHOLE = Share(0, 1)


def stretches(num: int, size: int) -> Tensor:
    """(num,) int64: the rank of each of `num` things, in `size` stretches that differ in length by one at most."""
    return torch.arange(num) * size // num


def deal(is_train: Tensor, size: int) -> Tensor:
    """(N,) int64: the rank of each sequence, each split dealt out by itself, in a drawn order."""
    generator, rank = (
        torch.Generator().manual_seed(DEALT),
        torch.empty(len(is_train), dtype=torch.long),
    )
    for train in (True, False):
        index = (is_train == train).nonzero()[:, 0]
        rank[index[torch.randperm(len(index), generator=generator)]] = (
            torch.arange(len(index)) % size
        )
    return rank


def draw_batches(
    hands: Sequence[Tensor], batch_size: int, generator: Generator
) -> tuple[Tensor, ...]:
    """The batches (batch_size,) of an epoch: as many rows of each hand, hand by hand; what is left over is dropped."""
    orders = [hand[torch.randperm(len(hand), generator=generator)] for hand in hands]
    rows = batch_size // len(hands)
    steps = min(len(hand) for hand in hands) // rows
    return torch.cat([order[: steps * rows].view(steps, rows) for order in orders], dim=1).unbind()
