"""The training loop: the epochs of a run, and what is due after each of them."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from scdnet.data.clips import Clips
from scdnet.engine.device import gpu_memory_gb, random_states, restore_random_states
from scdnet.engine.distributed import is_main, run_on_main
from scdnet.engine.logs import Metrics, TimedIterator, log
from scdnet.engine.run.checkpoints import RunCheckpoints
from scdnet.engine.run.signals import StopRequest
from scdnet.engine.train.diagnostics import COLLAPSED
from scdnet.engine.train.epoch import Epoch
from scdnet.engine.train.run_log import RunLog
from scdnet.engine.train.state import Training
from scdnet.errors import ScdnetError
from scdnet.models.encoder import DualPathEncoder

# Computes metrics of an encoder on clips.
Score = Callable[[DualPathEncoder, Clips], Metrics]
# Two views (N, C, T, V, M) of a batch for each task.
Views = tuple[Tensor, ...]

# Steps between two looks at their metrics, each of which waits for the GPU.
CHECK_EVERY = 50
ADVICE = "start a new run, under another name=, with a lower optim.lr or more optim.warmup_epochs"
# The metric whose largest value makes a checkpoint the best.
BEST_BY = "knn@1"


class Plan(NamedTuple):
    """The parts of the config that the loop follows."""

    seed: int
    batch_size: int
    epochs: int
    eval_every: int
    save_every: int
    # Values that checkpoints state besides the training: config, skeleton, store_sha256.
    origin: dict[str, Any]


@dataclass
class Run:
    """A pretraining in progress."""

    plan: Plan
    training: Training
    clips: Clips
    checkpoints: RunCheckpoints
    score: Score | None
    stop: StopRequest
    warned_of_collapse: bool = False
    # The training sequences (N,).
    sequences: Tensor = field(init=False)
    log: RunLog = field(init=False)

    def __post_init__(self) -> None:
        self.sequences = self.clips.split(train=True)

    def train(self, run_dir: Path) -> None:
        """Do the remaining epochs, or until asked to stop; log their metrics to `run_dir`."""
        training = self.training
        epochs = self.plan.epochs
        steps = len(self.sequences) // self.plan.batch_size
        done = training.epoch * steps + training.unfinished.get("steps", 0)
        with RunLog(
            run_dir, first_epoch=training.epoch, epochs=epochs, steps=steps, done=done
        ) as self.log:
            while training.epoch < epochs and self._do_epoch():
                pass
        if training.epoch == epochs:
            # A request that comes after the last step stops nothing.
            self.stop.signal = None

    def _do_epoch(self) -> bool:
        """Do the next epoch or the rest of it; return False if asked to stop within it."""
        training = self.training
        epoch = Epoch(
            training.epoch,
            self.sequences,
            training.metric_names,
            seed=self.plan.seed,
            batch_size=self.plan.batch_size,
            device=self.clips.device,
        )
        if training.unfinished:
            epoch.load_state_dict(training.unfinished)
        metrics = self._do_steps(epoch)
        if self.stop.is_made():
            training.unfinished = epoch.state_dict()
            self._save(self.checkpoints.save)
            log(
                f"Stopped at epoch {epoch.number}, step {epoch.steps}/{len(epoch.batches)}. "
                "Checkpoint saved; continue with --resume."
            )
            return False
        training.epoch = epoch.number + 1
        training.unfinished = {}
        self._finish(epoch, metrics)
        return True

    def _do_steps(self, epoch: Epoch) -> Metrics:
        """Do the remaining steps of an epoch, unless asked to stop; return their speed."""
        self.training.start_epoch()
        start = time.perf_counter()
        first_step = epoch.steps
        tasks = self.training.model.objective.tasks
        views = TimedIterator(self.clips.training_views(epoch.remaining, epoch.generator, tasks))
        while epoch.remaining:
            rng_state = epoch.generator.get_state()
            batch = self._next(views)
            # The request comes first: all ranks have to ask for it.
            if self.stop.is_made() or batch is None:
                # The views that were drawn but not used are drawn again after resuming.
                epoch.generator.set_state(rng_state)
                break
            epoch.record(self.training.step(*batch))
            self.log.step()
            if epoch.steps % CHECK_EVERY == 0:
                self._check(epoch)
        # Waits for the device, so that the time below is that of the steps.
        self._check(epoch)
        seconds = time.perf_counter() - start
        steps = epoch.steps - first_step
        metrics = {
            "lr": self.training.optimizer.param_groups[0]["lr"],
            "seconds": seconds,
            "step_seconds": seconds / max(steps, 1),
            "clips_per_second": steps * self.plan.batch_size / seconds,
            "data_time_fraction": views.seconds / seconds,
        }
        memory = gpu_memory_gb(self.clips.device)
        return metrics if memory is None else {**metrics, "gpu_memory_gb": memory}

    def _next(self, views: Iterator[Views]) -> Views | None:
        """Return the next views, or None if the stop signal has ended the data workers too."""
        try:
            return next(views)
        except ScdnetError:
            if self.stop.signal is None:
                raise
            return None

    def _finish(self, epoch: Epoch, speed: Metrics) -> None:
        """Score, log and save after a complete epoch, where it is due."""
        training = self.training
        plan = self.plan
        metrics = epoch.metrics() | speed
        self._warn_of_collapse(epoch)
        score = self.score if _is_due(epoch.number, plan.eval_every, plan.epochs) else None
        if score is not None:
            metrics |= self._compute(score)
        is_last = epoch.number + 1 == plan.epochs
        self.log.epoch(epoch.number, metrics, show=score is not None or is_last)
        if metrics.get(BEST_BY, -math.inf) > training.best.get(BEST_BY, -math.inf):
            training.best = {"epoch": epoch.number, BEST_BY: metrics[BEST_BY]}
            self._save(self.checkpoints.save_best)
        if _is_due(epoch.number, plan.save_every, plan.epochs):
            self._save(self.checkpoints.save)

    def _warn_of_collapse(self, epoch: Epoch) -> None:
        collapsed = epoch.collapsed()
        if collapsed and not self.warned_of_collapse:
            log(
                f"warning: the embeddings have collapsed ({', '.join(collapsed)}): feature_std "
                f"stayed below {COLLAPSED} throughout epoch {epoch.number}; {ADVICE}"
            )
            self.warned_of_collapse = True

    def _compute(self, score: Score) -> Metrics:
        """Compute the score of the query encoder without changing the training that follows."""
        states = random_states()
        model = self.training.model
        metrics = score(model.query.encoder, self.clips)
        restore_random_states(states)
        model.train()
        # All ranks must decide alike on what is best.
        return run_on_main(lambda: metrics)

    def _save(self, write: Callable[[dict[str, Any]], object]) -> None:
        """Call `write` on the first rank with the content of a checkpoint, if it is all finite."""
        name = self.training.first_not_finite()
        if name is not None:
            raise ScdnetError(
                f"{name} became NaN or Inf in the step before a checkpoint; {self._advice()}"
            )
        state = {**self.plan.origin, **self.training.state_dict()}
        if is_main():
            write(state)

    def _check(self, epoch: Epoch) -> None:
        epoch.check(self.clips.name, self._advice())

    def _advice(self) -> str:
        return f"{ADVICE}; {self.checkpoints}"


def _is_due(epoch: int, every: int, epochs: int) -> bool:
    return every > 0 and ((epoch + 1) % every == 0 or epoch + 1 == epochs)
