"""The steps between two lines of metrics: what they have measured, and how fast they were."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from scdnet.engine.logs import Metrics
from scdnet.engine.train.diagnostics import COLLAPSED, FEATURE_STD
from scdnet.errors import ScdnetError
from scdnet.losses import LATENT_SPREAD


class Interval:
    """The metrics of at most `length` steps; `first` steps of the run come before them."""

    def __init__(
        self, metric_names: Sequence[str], *, first: int, length: int, device: torch.device
    ) -> None:
        self.first = first
        # The number of completed steps.
        self.steps = 0
        # The time of these steps, but not of those before a checkpoint from which they continue.
        self.speed = Speed()
        self._metric_names = metric_names
        self._metrics = torch.zeros(length, len(metric_names), device=device)
        # The sequences of the steps that are not checked yet.
        self._unchecked: list[Tensor] = []

    def state_dict(self) -> Tensor:
        """Return what `load_state_dict` continues from: the metrics (steps, R)."""
        return self._metrics[: self.steps].cpu()

    def load_state_dict(self, metrics: Tensor) -> None:
        """Continue after the steps with `metrics`. Raises ScdnetError if they do not fit."""
        length, width = self._metrics.shape
        if metrics.ndim != 2 or len(metrics) > length or metrics.shape[1] != width:
            raise ScdnetError(
                f"cannot continue with metrics of shape {tuple(metrics.shape)}, "
                f"expected up to ({length}, {width})"
            )
        self.steps = len(metrics)
        self._metrics[: self.steps].copy_(metrics)

    def record(self, metrics: Tensor, batch: Tensor) -> None:
        """Count a step on the sequences `batch` (B,) or (2, B) and keep its metrics (R,).

        The device may still be computing them.
        """
        self._metrics[self.steps].copy_(metrics)
        self._unchecked.append(batch)
        self.steps += 1

    def check(self, names: np.ndarray, locate: Callable[[int], str], advice: str) -> None:
        """Raise ScdnetError if a metric since the last check is NaN or Inf; waits for the device.

        `names` (N,) are those of all sequences, `locate` says where a step of the run lies; the
        error ends with `advice`.
        """
        batches = self._unchecked
        self._unchecked = []
        start = self.steps - len(batches)
        metrics = self._metrics[start : self.steps].cpu()
        bad = (~metrics.isfinite()).nonzero().tolist()
        if not bad:
            return
        row, column = bad[0]
        raise ScdnetError(
            f"{self._metric_names[column]} became NaN or Inf in "
            f"{locate(self.first + start + row)}, "
            f"on sequences {', '.join(names[batches[row].flatten().numpy()])}; {advice}"
        )

    def metrics(self) -> Metrics:
        """Return the mean of each metric over the steps."""
        means = self._metrics[: self.steps].cpu().double().mean(dim=0).tolist()
        return dict(zip(self._metric_names, means, strict=True))

    def collapsed(self) -> list[str]:
        """Return the projections, and spreads of tokens, that were almost 0 in every batch."""
        largest = self._metrics[: self.steps].amax(dim=0).tolist()
        spread = {
            name.removeprefix(f"{FEATURE_STD}/"): value
            for name, value in zip(self._metric_names, largest, strict=True)
            if name.startswith((FEATURE_STD, LATENT_SPREAD))
        }
        return [name for name, value in spread.items() if value < COLLAPSED]


class Speed:
    """The time that steps have taken."""

    def __init__(self) -> None:
        self._steps = 0
        self._seconds = 0.0
        self._cpu_seconds = 0.0
        self._waiting = 0.0

    def add(self, steps: int, *, seconds: float, cpu_seconds: float, waiting: float) -> None:
        """Count `steps` that took `seconds`, of which `waiting` were spent on getting the views.

        `cpu_seconds` are those of all threads of this process.
        """
        self._steps += steps
        self._seconds += seconds
        self._cpu_seconds += cpu_seconds
        self._waiting += waiting

    def metrics(self, batch_size: int) -> Metrics:
        """Return the speed of the steps with batches of `batch_size`."""
        # All steps may have been done before a checkpoint.
        seconds = self._seconds or 1.0
        return {
            "seconds": self._seconds,
            "cpu_seconds": self._cpu_seconds,
            "step_seconds": self._seconds / max(self._steps, 1),
            "clips_per_second": self._steps * batch_size / seconds,
            "data_time_fraction": self._waiting / seconds,
        }
