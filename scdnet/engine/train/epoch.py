"""An epoch of pretraining: its batches, its random state, and the metrics of its steps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from scdnet.data.clips import sample_batches
from scdnet.engine.device import derive_seed
from scdnet.engine.logs import Metrics
from scdnet.engine.train.diagnostics import COLLAPSED, FEATURE_STD
from scdnet.errors import ScdnetError


class Epoch:
    """One pass over the `sequences` (N,); order and views depend on seed and number only.

    Its state, part of a checkpoint, is what it takes to continue after any of its steps.
    """

    def __init__(
        self,
        number: int,
        sequences: Tensor,
        metric_names: Sequence[str],
        *,
        seed: int,
        batch_size: int,
        device: torch.device,
    ) -> None:
        # Epochs are counted from 0.
        self.number = number
        # The number of completed steps.
        self.steps = 0
        self._metric_names = metric_names
        # Draws the order first, then the views, batch by batch.
        self.generator = Generator().manual_seed(derive_seed(seed, number))
        self.batches = sample_batches(sequences, batch_size, self.generator)
        self._metrics = torch.zeros(len(self.batches), len(metric_names), device=device)
        self._num_checked = 0

    @property
    def remaining(self) -> tuple[Tensor, ...]:
        """Return the batches (B,) of the steps that are still to be done."""
        return self.batches[self.steps :]

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` continues from."""
        return {
            "steps": self.steps,
            "views": self.generator.get_state(),
            "metrics": self._metrics[: self.steps].cpu(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken. Raises ScdnetError if it is of another epoch."""
        steps = state["steps"]
        metrics = state["metrics"]
        if not 0 <= steps <= len(self.batches) or metrics.shape != (steps, len(self._metric_names)):
            raise ScdnetError(
                f"cannot continue after step {steps} of {len(self.batches)} "
                f"with metrics of shape {tuple(metrics.shape)}"
            )
        self.generator.set_state(state["views"])
        self._metrics[:steps].copy_(metrics)
        self.steps = steps

    def record(self, metrics: Tensor) -> None:
        """Count a step and keep its metrics (R,), which the device may still be computing."""
        self._metrics[self.steps].copy_(metrics)
        self.steps += 1

    def check(self, names: np.ndarray, advice: str) -> None:
        """Raise ScdnetError if a metric since the last check is NaN or Inf; waits for the device.

        `names` (N,) are those of all sequences; the error ends with `advice`.
        """
        first = self._num_checked
        self._num_checked = self.steps
        metrics = self._metrics[first : self.steps].cpu()
        bad = (~metrics.isfinite()).nonzero().tolist()
        if not bad:
            return
        row, column = bad[0]
        step = first + row
        batch = names[self.batches[step].numpy()]
        raise ScdnetError(
            f"{self._metric_names[column]} became NaN or Inf in epoch {self.number}, step {step} "
            f"(both counted from 0), on sequences {', '.join(batch)}; {advice}"
        )

    def metrics(self) -> Metrics:
        """Return the mean of each metric over the epoch."""
        means = self._metrics.cpu().double().mean(dim=0).tolist()
        return dict(zip(self._metric_names, means, strict=True))

    def collapsed(self) -> list[str]:
        """Return the projections whose embeddings were nearly constant within every batch."""
        largest = dict(zip(self._metric_names, self._metrics.amax(dim=0).tolist(), strict=True))
        spread = {
            name.partition("/")[2]: value
            for name, value in largest.items()
            if name.startswith(FEATURE_STD)
        }
        return [name for name, value in spread.items() if value < COLLAPSED]
