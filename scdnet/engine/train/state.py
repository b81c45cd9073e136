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
from scdnet.engine.device import (
    GraphedStep,
    compile_in_place,
    derive_seed,
    is_compiled,
    random_states,
    restore_random_states,
    seed_everything,
    set_precision,
)
from scdnet.engine.distributed import (
    average_gradients,
    broadcast_,
    gather,
    gather_objects,
    is_initialized,
    rank_info,
)
from scdnet.engine.logs import log
from scdnet.engine.optim import load_optimizer, make_optimizer, make_schedule
from scdnet.engine.run.directory import check_resumable
from scdnet.engine.train.diagnostics import diagnostic_names, step_diagnostics
from scdnet.losses import contrast_losses, positive_cosines
from scdnet.models.layers import synchronize_statistics
from scdnet.models.objective import Objective
from scdnet.models.scdnet import SCDNet


@dataclass
class Training:
    """Everything that changes from step to step."""

    model: SCDNet
    optimizer: Optimizer
    schedule: Scheduler
    step: Callable[
        ..., Tensor
    ]  # from two views (N, C, T, V, M) for each task; gives the numbers of `report` (R,)
    epoch: int = 0  # completed epochs
    unfinished: dict[str, Any] = field(
        default_factory=dict
    )  # the state of the epoch after them, if it has begun
    best: dict[str, float] = field(
        default_factory=dict
    )  # the best score so far and its epoch, if there is one

    @property
    def report(self) -> tuple[str, ...]:
        """The names of the numbers that a step reports."""
        return metric_names(self.model.objective)

    def start_epoch(self) -> None:
        """Set the learning rate of the coming epoch."""
        before = [group["lr"] for group in self.optimizer.param_groups]
        self.schedule.step(self.epoch)
        if isinstance(self.step, GraphedStep) and before != [
            group["lr"] for group in self.optimizer.param_groups
        ]:
            self.step.invalidate()

    def state(self, config: Config) -> dict[str, Any]:
        """The content of a checkpoint from which `restore` goes on as if nothing had happened; asked of all ranks."""
        return {
            "config": dump_config(config),
            "epoch": self.epoch,
            "unfinished": self.unfinished,
            "best": self.best,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": gather_objects(random_states()),
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
            self._restore_chance(
                state["random"], config.seed, state["epoch"], state["unfinished"].get("steps", 0)
            )
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise CheckpointError(f"{path}: cannot resume from it ({error})") from None
        self.epoch, self.unfinished, self.best = state["epoch"], state["unfinished"], state["best"]

    def _restore_chance(self, states: list[dict[str, Any]], *where: int) -> None:
        """Take up this rank's random state; one that has none is seeded anew, by seed and place of the run."""
        rank, size = rank_info()
        if len(states) != size:
            log(
                f"the checkpoint is of {len(states)} ranks, going on with {size}: dropout will differ"
            )
        if rank < len(states):
            restore_random_states(states[rank])
        else:
            seed_everything(derive_seed(*where, rank))


def start_training(config: Config, device: torch.device) -> Training:
    """A model with fresh weights, its optimizer and schedule, and its step as `precision` and `compile` have it.

    Chance, up to here the same on all ranks, then goes its own way on each: what follows is dropout.
    """
    model = build_model(config).to(device).train()
    broadcast_(model.state_dict().values())
    optimizer = make_optimizer(model.query.parameters(), config.optim)
    precision = set_precision(config.precision, device)
    if is_initialized() and config.sync_batchnorm:
        synchronize_statistics(model, gather)
    step = partial(
        train_step, model, optimizer, temperature=config.model.temperature, precision=precision
    )
    for side in (model.query, model.key):
        side.encoder.share_empty_bodies = (
            device.type == "cpu"
        )  # to look at the clips would make the host wait
    if is_compiled(config.compile, device):
        compile_in_place(model.query, model.key)
        # several ranks do without a graph: it would hold what NCCL does between them, which is not tested here
        step = step if is_initialized() else GraphedStep(step)
    if rank_info().world_size > 1:
        seed_everything(derive_seed(config.seed, rank_info().rank))
    return Training(model, optimizer, make_schedule(optimizer, config.optim), step)


def metric_names(objective: Objective) -> tuple[str, ...]:
    """The names of the numbers that a step reports: the loss comes last, after its terms and what is diagnostic_names."""
    names = [a if a == b else f"{a}-{b}" for a, b in objective.pairs]
    weights = [
        f"weight/{name}" for name, level in zip(names, objective.levels, strict=True) if level
    ]
    return (
        *(f"loss/{name}" for name in names),
        *weights,
        *diagnostic_names(objective.projections),
        "loss",
    )


def train_step(
    model: SCDNet,
    optimizer: Optimizer,
    *views: Tensor,
    temperature: float,
    precision: Callable[[], AbstractContextManager[object]],
) -> Tensor:
    """One update from two views (N, C, T, V, M) for each task; returns the numbers that `metric_names` names, (R,).

    Of several ranks each has its rows of the batch; weights, queues and the report are those of the whole.
    """
    model.update_momentum()
    with precision():
        query, key = model(*views)
    pairs, weights = model.objective.pairs, model.weights()
    losses = contrast_losses(pairs, query, key, model.negatives(), temperature)
    optimizer.zero_grad(set_to_none=True)
    (weights * losses).sum().backward()
    average_gradients(model.query.parameters())
    both = gather(torch.stack([*query.values(), *key.values()]))  # (ranks, projections, N, D)
    both = both.transpose(0, 1).flatten(1, 2)  # N of all ranks
    query, key = (dict(zip(query, half, strict=True)) for half in both.chunk(2))
    numbers = step_diagnostics(query, key, model.query.parameters())
    optimizer.step()
    model.weights.update_ema(positive_cosines(pairs, query, key))
    model.enqueue(key)
    losses = gather(losses).mean(dim=0)
    changing = weights[len(weights) - model.weights.num_weighted :]
    return torch.cat([losses, changing, numbers, (weights * losses).sum()[None]])
