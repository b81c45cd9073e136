"""What a pretraining changes from step to step, and the step."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from timm.scheduler.scheduler import Scheduler
from torch import Tensor
from torch.optim import Optimizer

from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.engine.build import build_model
from scdnet.engine.checkpoint import Checkpoint, CheckpointError
from scdnet.engine.optim import load_optimizer, make_optimizer, make_schedule
from scdnet.engine.run_dir import check_resumable
from scdnet.engine.runtime import (
    GraphedStep,
    compile_in_place,
    is_compiled,
    random_states,
    restore_random_states,
    set_precision,
)
from scdnet.engine.watch import NUMBERS, watch_step
from scdnet.losses import CROSS_DOMAIN_PAIRS, scd_losses
from scdnet.models.scdnet import SCDNet

LOSSES = tuple(f"loss/{query}-{key}" for query, key in CROSS_DOMAIN_PAIRS)
REPORT = (*LOSSES, *NUMBERS)  # the numbers that a step reports


@dataclass
class Training:
    """Everything that changes from step to step."""

    model: SCDNet
    optimizer: Optimizer
    schedule: Scheduler
    step: Callable[[Tensor, Tensor], Tensor]  # from two views (N, C, T, V, M) of N sequences; gives the REPORT (R,)
    epoch: int = 0  # completed epochs
    unfinished: dict[str, Any] = field(default_factory=dict)  # the state of the epoch after them, if it has begun
    best: dict[str, float] = field(default_factory=dict)  # the best score so far and its epoch, if there is one

    def start_epoch(self) -> None:
        """Set the learning rate of the coming epoch."""
        before = [group["lr"] for group in self.optimizer.param_groups]
        self.schedule.step(self.epoch)
        if isinstance(self.step, GraphedStep) and before != [group["lr"] for group in self.optimizer.param_groups]:
            self.step.forget()

    def state(self, config: Config) -> dict[str, Any]:
        """The content of a checkpoint from which `restore` goes on as if nothing had happened."""
        return {
            "config": dump_config(config),
            "epoch": self.epoch,
            "unfinished": self.unfinished,
            "best": self.best,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": [random_states()],  # one for each rank
        }

    def first_not_finite(self) -> str | None:
        """The name of a weight, statistic or queue that holds a number that is none; waits for the device."""
        values = {name: x for name, x in self.model.state_dict().items() if x.is_floating_point()}
        finite = torch.stack([x.isfinite().all() for x in values.values()]).tolist()
        return next((name for name, fine in zip(values, finite, strict=True) if not fine), None)

    def restore(self, checkpoint: Checkpoint, config: Config) -> None:
        """Take everything up from a checkpoint of ours. Raises RunDirError if it is of a run with another config."""
        path = checkpoint.path
        check_resumable(checkpoint.config, config, path)
        state = checkpoint.state
        try:
            self.model.load_state_dict(state["model"])
            load_optimizer(self.optimizer, state["optimizer"])
            restore_random_states(state["random"][0])
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise CheckpointError(f"{path}: cannot resume from it ({error})") from None
        self.epoch, self.unfinished, self.best = state["epoch"], state["unfinished"], state["best"]


def start_training(config: Config, device: torch.device) -> Training:
    """A model with fresh weights, its optimiser and schedule, and its step as `precision` and `compile` have it."""
    model = build_model(config).to(device).train()
    optimizer = make_optimizer(model.query.parameters(), config.optim)
    precision = set_precision(config.precision, device)
    step = partial(train_step, model, optimizer, temperature=config.model.temperature, precision=precision)
    for side in (model.query, model.key):
        side.encoder.share_empty_bodies = device.type == "cpu"  # to look at the clips would make the host wait
    if is_compiled(config.compile, device):
        compile_in_place(model.query, model.key)
        step = GraphedStep(step)
    return Training(model, optimizer, make_schedule(optimizer, config.optim), step)


def train_step(
    model: SCDNet,
    optimizer: Optimizer,
    query_view: Tensor,
    key_view: Tensor,
    *,
    temperature: float,
    precision: Callable[[], AbstractContextManager[object]],
) -> Tensor:
    """One update from two views (N, C, T, V, M) of N sequences; returns its REPORT (R,), on the device."""
    model.update_momentum()
    with precision():
        query, key = model(query_view, key_view)
    losses = scd_losses(query, key, model.negatives(), temperature)
    optimizer.zero_grad(set_to_none=True)
    losses.sum().backward()
    numbers = watch_step(query, key, model.query.parameters())
    optimizer.step()
    model.enqueue(key)
    return torch.cat([losses.detach(), numbers])
