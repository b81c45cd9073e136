"""A pretraining under way: its epochs, and what is due after them."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from scdnet.config import Config
from scdnet.data.clips import Clips
from scdnet.engine.device import gpu_memory_gb, random_states, restore_random_states
from scdnet.engine.distributed import is_main, run_on_main
from scdnet.engine.logs import Metrics, RunLog, TimedIterator, log
from scdnet.engine.run.checkpoints import RunCheckpoints
from scdnet.engine.run.signals import StopRequest
from scdnet.engine.train.diagnostics import COLLAPSED
from scdnet.engine.train.epoch import Epoch
from scdnet.engine.train.state import Training
from scdnet.errors import ScdnetError
from scdnet.models.encoder import DualPathEncoder

Score = Callable[
    [DualPathEncoder, Clips, str], Metrics
]  # how good an encoder is on clips, in a precision
Views = tuple[Tensor, ...]  # two of a batch for each task
CHECK_EVERY = 50  # steps; a look at what they metric_names waits for the GPU
ADVICE = "lower optim.lr or raise optim.warmup_epochs in a run of another name="
BEST_BY = "knn@1"  # the score whose largest value makes a checkpoint the best


@dataclass
class Run:
    """A pretraining under way."""

    config: Config
    training: Training
    clips: Clips
    train: Tensor  # (N,) the training sequences
    log: RunLog
    checkpoints: RunCheckpoints
    score: Score | None
    stop: StopRequest
    warned: bool = False  # of a collapse

    def epoch(self) -> bool:
        """Do the epoch that comes next, or the rest of it, and what is due after it; False if asked to stop within."""
        config, training = self.config, self.training
        epoch = Epoch(
            training.epoch,
            self.train,
            training.report,
            seed=config.seed,
            batch_size=config.data.batch_size,
            device=self.clips.device,
        )
        if training.unfinished:
            epoch.load_state_dict(training.unfinished)
        metrics = self._steps(epoch)
        if self.stop.is_made():
            training.unfinished = epoch.state()
            self._save(self.checkpoints.save)
            place = f"step {epoch.steps} of {len(epoch.batches)} of epoch {epoch.number}"
            log(f"stopped after {place} (from 0), saved; go on with --resume")
            return False
        training.epoch, training.unfinished = epoch.number + 1, {}
        self._finish(epoch, metrics)
        return True

    def _steps(self, epoch: Epoch) -> Metrics:
        """The steps that are left of an epoch, unless asked to stop; returns how fast they were."""
        self.training.start_epoch()
        start, first = time.perf_counter(), epoch.steps
        views = TimedIterator(
            self.clips.training_views(
                epoch.remaining, epoch.generator, self.training.model.objective.tasks
            )
        )
        while epoch.remaining:
            chance, pair = epoch.generator.get_state(), self._next(views)
            if self.stop.is_made():
                epoch.generator.set_state(chance)  # of the views that are not used
                break
            epoch.record(self.training.step(*pair))
            self.log.step()
            if epoch.steps % CHECK_EVERY == 0:
                self._check(epoch)
        self._check(epoch)  # waits for the device
        seconds, steps = time.perf_counter() - start, epoch.steps - first
        metrics = {
            "lr": self.training.optimizer.param_groups[0]["lr"],
            "seconds": seconds,
            "step_seconds": seconds / max(steps, 1),
            "clips_per_second": steps * self.config.data.batch_size / seconds,
            "data_time_fraction": views.seconds / seconds,
            "gpu_memory_gb": gpu_memory_gb(self.clips.device),
        }
        return {name: value for name, value in metrics.items() if value is not None}

    def _next(self, views: Iterator[Views]) -> Views | None:
        """The next views; None if the signal to stop has also reached the processes that read ahead, and ended them."""
        try:
            return next(views)
        except ScdnetError:
            if self.stop.signal is None:
                raise
            return None

    def _finish(self, epoch: Epoch, metrics: Metrics) -> None:
        """Score, log and save after a complete epoch, as the config wants it."""
        config, training, number, epochs = (
            self.config,
            self.training,
            epoch.number,
            self.config.optim.epochs,
        )
        metrics = epoch.metrics() | metrics
        self._warn_of_collapse(epoch)
        scored = self.score is not None and _is_due(number, config.eval_every, epochs)
        if scored:
            metrics |= self._score_undisturbed()
        self.log.epoch(number, metrics, show=scored or number + 1 == epochs)
        if metrics.get(BEST_BY, -math.inf) > training.best.get(BEST_BY, -math.inf):
            training.best = {"epoch": number, BEST_BY: metrics[BEST_BY]}
            self._save(self.checkpoints.save_best)
        if _is_due(number, config.save_every, epochs):
            self._save(self.checkpoints.save)

    def _warn_of_collapse(self, epoch: Epoch) -> None:
        domains = epoch.collapsed()
        if domains and not self.warned:
            log(
                f"warning: the embeddings have collapsed ({', '.join(domains)}): feature_std stayed below {COLLAPSED} "
                f"in all of epoch {epoch.number}; {ADVICE}"
            )
            self.warned = True

    def _score_undisturbed(self) -> Metrics:
        """The score of the query encoder; training goes on as if it had not been taken."""
        states, model = random_states(), self.training.model
        metrics = self.score(model.query.encoder, self.clips, self.config.precision)
        restore_random_states(states)
        model.train()
        return run_on_main(lambda: metrics)  # what is done about it all ranks must do

    def _save(self, write: Callable[[dict[str, Any]], object]) -> None:
        """Call `write`, on the first rank, with the content of a checkpoint, which must be fit to go on from."""
        bad = self.training.first_not_finite()
        if bad is not None:
            raise ScdnetError(
                f"{bad} became infinite or nan in the step before a checkpoint; {self._advice()}"
            )
        state = self.training.state(self.config)
        if is_main():
            write(state)

    def _check(self, epoch: Epoch) -> None:
        epoch.check(self.clips.name, self._advice())

    def _advice(self) -> str:
        return f"{ADVICE}; {self.checkpoints}"


def _is_due(epoch: int, every: int, epochs: int) -> bool:
    return every > 0 and ((epoch + 1) % every == 0 or epoch + 1 == epochs)
