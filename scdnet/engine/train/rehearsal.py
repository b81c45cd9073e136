"""Rehearsals: steps of a training on noise, to choose how the steps of the run are done.

Whether torch can capture a step as a CUDA graph, and replays it with the same numbers, depends on
the GPU, its driver and their versions. A run finds out before its first step, on a copy of the
model.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from scdnet.config import Config
from scdnet.data.clips import SINGLE_PROCESS, RankInfo
from scdnet.data.hiding import sample_hidden
from scdnet.engine.build import NumTrain, resolve_sizes
from scdnet.engine.device import (
    WARM_UP,
    gpu_memory_gb,
    release_memory,
    seed_everything,
    wait_for,
)
from scdnet.engine.distributed import is_initialized
from scdnet.engine.logs import log
from scdnet.engine.train.initial import RANDOM, Initial
from scdnet.engine.train.start import Mode, start_training
from scdnet.engine.train.state import Training
from scdnet.errors import ScdnetError
from scdnet.memory import describe_out_of_memory, is_out_of_memory
from scdnet.models.objective import Objective
from scdnet.skeleton import Skeleton

# The numbers that are compared between modes: the first shows a wrong forward pass, the second a
# wrong backward pass.
COMPARED = ("loss", "grad_norm")
# The largest relative difference between two modes that compute the same.
TOLERANCE = {"fp32": 1e-3, "tf32": 1e-2, "bf16": 3e-2}
# The first steps are ordinary ones; as many of them are replayed where a step is captured.
NUM_STEPS = 2 * WARM_UP


class ModeError(ScdnetError):
    """Says that a mode does not work here or computes something else than eager steps."""


class Steps(NamedTuple):
    """Measurements of the steps of a rehearsal, from first to last."""

    # The numbers that COMPARED names.
    values: Tensor  # (S, 2)
    seconds: list[float]
    # The largest memory that was reserved; None on a CPU.
    memory_gb: float | None


@dataclass(frozen=True)
class Rehearsal:
    """Starts of one run, each with the same weights, and steps on the same noise."""

    config: Config
    skeleton: Skeleton
    device: torch.device
    ranks: RankInfo = SINGLE_PROCESS
    num_train: NumTrain | None = None
    initial: Initial = RANDOM

    def start(self, mode: Mode) -> Training:
        """Start a training of the run: with the weights of its `init`, or those of its seed."""
        seed_everything(self.config.seed)
        return start_training(
            self.config,
            self.skeleton,
            self.device,
            ranks=self.ranks,
            num_train=self.num_train,
            mode=mode,
            initial=self.initial,
        )

    def do_steps(self, mode: Mode, num_steps: int) -> Steps:
        """Do steps with a learning rate of 0, so that differences of rounding do not grow."""
        training = self.start(mode)
        for group in training.optimizer.param_groups:
            group["lr"] = 0.0
        columns = [training.metric_names.index(name) for name in COMPARED]
        gpu_memory_gb(self.device)
        values = []
        seconds = []
        for inputs in self._noise(num_steps, training.model.objective):
            start = time.perf_counter()
            metrics = training.step(*inputs)
            values.append(metrics[columns].cpu())
            wait_for(self.device)
            seconds.append(time.perf_counter() - start)
        return Steps(torch.stack(values), seconds, gpu_memory_gb(self.device))

    def try_steps(self, mode: Mode, num_steps: int) -> Steps:
        """Do steps by `do_steps`. Raises ModeError if it fails."""
        try:
            return self.do_steps(mode, num_steps)
        # Errors of CUDA and of its memory are RuntimeErrors.
        except (ScdnetError, RuntimeError) as error:
            raise ModeError(explain(error)) from error

    def without_dropout(self) -> "Rehearsal":
        """Return a rehearsal of the same run whose modes draw no random numbers of their own."""
        model = self.config.model.model_copy(update={"dropout": 0.0})
        return replace(self, config=self.config.model_copy(update={"model": model}))

    def _noise(self, num_steps: int, objective: Objective) -> Iterator[tuple[Tensor, ...]]:
        """Yield inputs of steps: views (N, C, T, V, M) for each task, and what is hidden."""
        data = self.config.data
        batch_size = resolve_sizes(data, self.config.model, self.num_train).batch_size
        shape = (batch_size, 3, data.num_frames, self.skeleton.num_joints, data.num_bodies)
        generator = torch.Generator().manual_seed(self.config.seed)
        for _ in range(num_steps):
            inputs = [torch.randn(shape, generator=generator) for _ in range(objective.num_views)]
            if objective.latent is not None:
                inputs += sample_hidden(
                    batch_size,
                    data.num_frames,
                    latent=objective.latent.config,
                    skeleton=self.skeleton,
                    generator=generator,
                )
            yield tuple(x.to(self.device) for x in inputs)


def choose_mode(rehearsal: Rehearsal) -> Mode:
    """Return how the steps of a run are done: eagerly, unless `compile: auto` has been asked for.

    Then graphed steps are tried, on a GPU and in a single process, and left with one warning if
    they fail or differ from eager ones. An eager step that fails raises what it raised.
    """
    if rehearsal.config.compile == "off" or rehearsal.device.type == "cpu":
        return "eager"
    if is_initialized():
        # A graph would contain NCCL's messages between the ranks; that has not been tested.
        log("compile: auto leaves the steps of several ranks eager")
        return "eager"
    optim = rehearsal.config.optim
    if optim.steps is not None and optim.schedule == "cosine":
        # A graph contains the learning rate as a number.
        log("compile: auto leaves steps eager whose learning rate changes at each of them")
        return "eager"
    log("compile: trying a step as one CUDA graph")
    try:
        rehearse(rehearsal, "graphed")
    except ModeError as error:
        log(f"warning: compile: auto falls back to eager steps. {error}")
        return "eager"
    finally:
        release_memory()
    return "graphed"


def rehearse(rehearsal: Rehearsal, mode: Mode) -> None:
    """Raise ModeError if steps of `mode` fail or differ from eager ones."""
    deterministic = rehearsal.without_dropout()
    eager = deterministic.do_steps("eager", NUM_STEPS)
    check_agreement(deterministic.try_steps(mode, NUM_STEPS), eager, rehearsal.config.precision)
    if rehearsal.config.model.dropout > 0:
        # Random numbers are captured too.
        rehearsal.try_steps(mode, WARM_UP + 1)


def check_agreement(steps: Steps, eager: Steps, precision: str) -> float:
    """Return the largest relative difference. Raises ModeError if rounding does not explain it."""
    difference = ((steps.values - eager.values).abs() / eager.values.abs()).max().item()
    tolerance = TOLERANCE[precision]
    # The comparison is false for NaN as well.
    if not difference <= tolerance:
        raise ModeError(
            f"Disagreement: {' or '.join(COMPARED)} differs from that of eager steps by "
            f"{difference:.1e}, allowed with precision={precision} are {tolerance:.0e}"
        )
    return difference


def explain(error: Exception) -> str:
    """Return why the steps of a mode failed, in one line."""
    if is_out_of_memory(error):
        return f"Memory: {describe_out_of_memory(error, 'lower data.batch_size')}"
    first_line = str(error).strip().partition("\n")[0]
    return f"Capture: {first_line or type(error).__name__}"
