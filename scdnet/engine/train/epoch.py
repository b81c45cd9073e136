"""An epoch of pretraining: its batches, its draws, and what its steps have metric_names."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from scdnet.data.rank_info import sample_batches
from scdnet.engine.device import derive_seed
from scdnet.engine.logs import Metrics
from scdnet.engine.train.diagnostics import COLLAPSED, FEATURE_STD
from scdnet.errors import ScdnetError


class Epoch:
    """One pass over the `sequences` (N,), in an order and with views that only seed and number decide.

    Its state, within a checkpoint, is what it takes to go on after any of its steps.
    """

    def __init__(
        self,
        number: int,
        sequences: Tensor,
        report: Sequence[str],
        *,
        seed: int,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.number, self.steps = number, 0  # counted from 0; completed steps
        self._names = report  # of the numbers that a step reports
        # of the order, then of the views, batch by batch
        self.generator = Generator().manual_seed(derive_seed(seed, number))
        self.batches = sample_batches(sequences, batch_size, self.generator)
        self._reports = torch.zeros(
            len(self.batches), len(report), device=device
        )  # a row for each step
        self._checked = 0

    @property
    def remaining(self) -> tuple[Tensor, ...]:
        """The batches (B,) of the steps that are still to be done."""
        return self.batches[self.steps :]

    def state(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        return {
            "steps": self.steps,
            "views": self.generator.get_state(),
            "reports": self._reports[: self.steps].cpu(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where `state` was taken. Raises ScdnetError if it is of another epoch."""
        steps, reports = state["steps"], state["reports"]
        if not 0 <= steps <= len(self.batches) or reports.shape != (steps, len(self._names)):
            raise ScdnetError(
                f"cannot go on after step {steps} of {len(self.batches)} with reports {tuple(reports.shape)}"
            )
        self.generator.set_state(state["views"])
        self._reports[:steps].copy_(reports)
        self.steps = steps

    def record(self, report: Tensor) -> None:
        """A step is done; keep its report (R,), of which the device may be still at work."""
        self._reports[self.steps].copy_(report)
        self.steps += 1

    def check(self, names: np.ndarray, advice: str) -> None:
        """Raise ScdnetError if a number metric_names since the last check is none; waits for the device.

        `names` (N,) are those of all sequences; the error ends in `advice`.
        """
        first, self._checked = self._checked, self.steps
        new = self._reports[first : self.steps].cpu()
        bad = (~new.isfinite()).nonzero().tolist()  # rising
        if not bad:
            return
        row, column = bad[0]
        batch = names[self.batches[first + row].numpy()]
        raise ScdnetError(
            f"{self._names[column]} became {new[row, column].item()} in epoch {self.number}, step {first + row} "
            f"(both from 0), on sequences {', '.join(batch)}; {advice}"
        )

    def metrics(self) -> Metrics:
        """The mean of each metric_names number over the epoch."""
        return dict(
            zip(self._names, self._reports.cpu().double().mean(dim=0).tolist(), strict=True)
        )

    def collapsed(self) -> list[str]:
        """The projections in which the embeddings of a batch were all but the same, at every step."""
        largest = dict(zip(self._names, self._reports.amax(dim=0).tolist(), strict=True))
        spread = {
            name.partition("/")[2]: value
            for name, value in largest.items()
            if name.startswith(FEATURE_STD)
        }
        return [name for name, value in spread.items() if value < COLLAPSED]
