"""The state of a pretraining: what changes from step to step, saved and restored exactly."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from timm.scheduler.scheduler import Scheduler
from torch import Tensor
from torch.optim import Optimizer

from scdnet.data.clips import RankInfo
from scdnet.engine.checkpoint import Checkpoint, CheckpointError
from scdnet.engine.device import (
    GraphedStep,
    derive_seed,
    random_states,
    restore_random_states,
    seed_everything,
)
from scdnet.engine.distributed import all_gather_object
from scdnet.engine.logs import log
from scdnet.engine.optim import load_optimizer
from scdnet.engine.train.step import metric_names
from scdnet.models.scdnet import SCDNet


@dataclass
class Training:
    """Everything that changes from step to step.

    `step` takes two views (N, C, T, V, M) for each task and returns the metrics (R,) that
    `metric_names` names.
    """

    model: SCDNet
    optimizer: Optimizer
    schedule: Scheduler
    step: Callable[..., Tensor]
    # The hash of the weights that the run has started from; empty: random ones.
    init_sha256: str = ""
    # The hashes of the stores that those weights were trained on, with blanks between them.
    init_store_sha256: str = ""
    # The number of completed epochs.
    epoch: int = 0
    # The state of the epoch after them, and of the interval; empty if neither has begun.
    unfinished: dict[str, Any] = field(default_factory=dict)
    # The best score so far and its epoch or step; empty if there is none.
    best: dict[str, float] = field(default_factory=dict)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Return the names of the metrics of a step."""
        return metric_names(self.model.objective)

    def set_learning_rate(self, time: int) -> None:
        """Set the learning rate of the step or epoch `time`, from 0, that the schedule counts."""
        before = [group["lr"] for group in self.optimizer.param_groups]
        self.schedule.step(time)
        after = [group["lr"] for group in self.optimizer.param_groups]
        if isinstance(self.step, GraphedStep) and before != after:
            self.step.invalidate()

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_checkpoint` continues from exactly; to be called on all ranks."""
        return {
            "init_sha256": self.init_sha256,
            "init_store_sha256": self.init_store_sha256,
            "epoch": self.epoch,
            "unfinished": self.unfinished,
            "best": self.best,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": all_gather_object(random_states()),
        }

    def load_checkpoint(self, checkpoint: Checkpoint, *, seed: int, ranks: RankInfo) -> None:
        """Continue from a checkpoint of ours. Raises CheckpointError if it does not fit.

        `seed` is that of the run; it seeds ranks that the checkpoint has no random state for.
        """
        state = checkpoint.state
        unfinished = state["unfinished"]
        try:
            self.model.load_state_dict(state["model"])
            load_optimizer(self.optimizer, state["optimizer"])
            random = state["random"]
            if len(random) != ranks.world_size:
                log(
                    f"the checkpoint was written by {len(random)} ranks, resuming with "
                    f"{ranks.world_size}: dropout will differ"
                )
            if ranks.rank < len(random):
                restore_random_states(random[ranks.rank])
            else:
                steps = unfinished.get("steps", 0)
                seed_everything(derive_seed(seed, state["epoch"], steps, ranks.rank))
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise CheckpointError(f"{checkpoint.path}: cannot resume from it ({error})") from None
        self.init_sha256 = state["init_sha256"]
        self.init_store_sha256 = state["init_store_sha256"]
        self.epoch = state["epoch"]
        self.unfinished = unfinished
        self.best = state["best"]

    def first_not_finite(self) -> str | None:
        """Return the name of a weight, statistic or queue with NaN or Inf; waits for the device."""
        values = {name: x for name, x in self.model.state_dict().items() if x.is_floating_point()}
        finite = torch.stack([x.isfinite().all() for x in values.values()]).tolist()
        return next((name for name, fine in zip(values, finite, strict=True) if not fine), None)
