"""An epoch of pretraining: the order of its batches, and its random state."""

from typing import Any

from torch import Generator, Tensor

from scdnet.data.clips import sample_batches
from scdnet.engine.device import derive_seed
from scdnet.errors import ScdnetError


class Epoch:
    """One pass over the `sequences` (N,); order and views depend on seed and number only.

    Its state, part of a checkpoint, is what it takes to continue after any of its steps.
    """

    def __init__(self, number: int, sequences: Tensor, *, seed: int, batch_size: int) -> None:
        # Epochs are counted from 0.
        self.number = number
        # The number of completed steps.
        self.steps = 0
        # Draws the order first, then the views, batch by batch.
        self.generator = Generator().manual_seed(derive_seed(seed, number))
        self.batches = sample_batches(sequences, batch_size, self.generator)

    @property
    def remaining(self) -> tuple[Tensor, ...]:
        """Return the batches (B,) of the steps that are still to be done."""
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
