"""An epoch of pretraining: the order of its batches, and its random state."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from scdnet.data.clips import sample_batches
from scdnet.data.mixture import apportion
from scdnet.data.pairs import PairSampler
from scdnet.engine.device import derive_seed
from scdnet.errors import ScdnetError


def draw_sequences(
    stores: Sequence[Tensor],
    shares: Sequence[float] | None,
    number: int,
    *,
    size: int,
    seed: int,
) -> Tensor:
    """Return the sequences that the epoch `number` draws from those of each store (n,).

    Without `shares` these are all of them. Else each store gives its share of `size` sequences: the
    next ones in endless passes over the store, so that of one store all are drawn equally often.
    They depend on seed and number only.
    """
    if shares is None:
        return torch.cat(list(stores))
    drawn = []
    for store, (rows, count) in enumerate(zip(stores, apportion(size, shares), strict=True)):
        first = number * count
        passes = range(first // len(rows), (first + count - 1) // len(rows) + 1)
        orders = [
            rows[torch.randperm(len(rows), generator=_pass_generator(seed, number, store))]
            for number in passes
        ]
        start = first - passes.start * len(rows)
        drawn.append(torch.cat(orders)[start : start + count])
    return torch.cat(drawn)


def _pass_generator(seed: int, number: int, store: int) -> Generator:
    # The seed of an epoch is derived from two numbers, and is that of three which end in 0.
    return Generator().manual_seed(derive_seed(seed, number, store + 1))


class Epoch:
    """The steps on `sequences` (N,), each once; order and views depend on seed and number only.

    With `pairs`, a batch (2, B) has the sequences of the first views and those of the second ones.
    Its state, part of a checkpoint, is what it takes to continue after any of its steps.
    """

    def __init__(
        self,
        number: int,
        sequences: Tensor,
        *,
        seed: int,
        batch_size: int,
        pairs: PairSampler | None = None,
    ) -> None:
        # Epochs are counted from 0.
        self.number = number
        # The number of completed steps.
        self.steps = 0
        # Draws the order first, then the partners, then the views, batch by batch.
        self.generator = Generator().manual_seed(derive_seed(seed, number))
        self.batches = sample_batches(sequences, batch_size, self.generator)
        if pairs is not None:
            partners = [pairs.sample(batch, self.generator) for batch in self.batches]
            self.batches = tuple(map(torch.stack, zip(self.batches, partners, strict=True)))

    @property
    def remaining(self) -> tuple[Tensor, ...]:
        """Return the batches (B,) or (2, B) of the steps that are still to be done."""
        return self.batches[self.steps :]

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` continues from."""
        return {"steps": self.steps, "views": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken. Raises ScdnetError if it is of another epoch."""
        steps = state["steps"]
        if not 0 <= steps <= len(self.batches):
            raise ScdnetError(f"cannot continue after step {steps} of {len(self.batches)}")
        self.generator.set_state(state["views"])
        self.steps = steps
