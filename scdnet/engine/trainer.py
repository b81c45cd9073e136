"""Pretraining. Source: docs/method.md 4."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from scdnet.config import Config
from scdnet.data.clips import Clips, load_clips
from scdnet.engine.doctor import check_sizes
from scdnet.engine.epoch import Epoch
from scdnet.engine.logs import Metrics, RunLog, Waited, say
from scdnet.engine.run_checkpoints import LAST, RunCheckpoints, place_of
from scdnet.engine.run_dir import check_run_dir, prepare_run_dir
from scdnet.engine.run_lock import locked
from scdnet.engine.runtime import (
    gpu_memory_gb,
    keep_freed_memory,
    random_states,
    resolve_device,
    restore_random_states,
    seed_everything,
)
from scdnet.engine.stopping import StopRequest
from scdnet.engine.training import Training, start_training
from scdnet.engine.watch import COLLAPSED
from scdnet.errors import ScdnetError
from scdnet.losses import CROSS_DOMAIN_PAIRS
from scdnet.models.encoder import DualPathEncoder

Score = Callable[[DualPathEncoder, Clips, str], Metrics]  # how good an encoder is on clips, in a precision
CHECK_EVERY = 50  # steps; a look at what they reported waits for the GPU
ADVICE = "lower optim.lr or raise optim.warmup_epochs in a run of another name="
BEST_BY = "knn@1"  # the score whose largest value makes a checkpoint the best


def pretrain(
    config: Config,
    *,
    resume: bool = False,
    overwrite: bool = False,
    score: Score | None = None,
    stop: StopRequest | None = None,
) -> Path:
    """Train as `config` says, or until `stop` asks for an end; returns the last checkpoint.

    `score` is what `eval_every` calls. Raises ScdnetError (config, store, run folder that do not fit; numbers that
    are none).
    """
    device = resolve_device(config.device)
    with locked(config.run_dir):
        resuming = check_run_dir(config, resume=resume, overwrite=overwrite)
        clips = load_clips(config.data, config.stream, device)
        train = clips.split(train=True)
        _announce(config, len(train), clips.place)
        keep_freed_memory()
        seed_everything(config.seed)
        training = start_training(config, device)
        checkpoints = RunCheckpoints(config.run_dir, keep=config.keep)
        if resuming:
            _restore_newest(training, checkpoints, config)
        prepare_run_dir(config, fresh=not resuming)
        steps = len(train) // config.data.batch_size
        done = training.epoch * steps + training.unfinished.get("steps", 0)
        with RunLog(
            config.run_dir, first_epoch=training.epoch, epochs=config.optim.epochs, steps=steps, done=done
        ) as log:
            run = Run(config, training, clips, train, log, checkpoints, score, stop or StopRequest())
            while training.epoch < config.optim.epochs and run.epoch():
                pass
    return config.run_dir / LAST


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
            training.epoch, self.train, seed=config.seed, batch_size=config.data.batch_size, device=self.clips.device
        )
        if training.unfinished:
            epoch.take_up(training.unfinished)
        metrics = self._steps(epoch)
        if self.stop.signal is not None:
            training.unfinished = epoch.state()
            self.checkpoints.save(self._state())
            place = f"step {epoch.steps} of {len(epoch.batches)} of epoch {epoch.number}"
            say(f"stopped after {place} (from 0), saved; go on with --resume")
            return False
        training.epoch, training.unfinished = epoch.number + 1, {}
        self._finish(epoch, metrics)
        return True

    def _steps(self, epoch: Epoch) -> Metrics:
        """The steps that are left of an epoch, unless asked to stop; returns how fast they were."""
        self.training.start_epoch()
        start, first = time.perf_counter(), epoch.steps
        views = Waited(self.clips.training_views(epoch.left, epoch.generator))
        while epoch.left and self.stop.signal is None:
            try:
                pair = next(views)
            except ScdnetError:
                if self.stop.signal is None:
                    raise
                break  # the signal has also reached the processes that read ahead, and ended them
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
            "data_share": views.seconds / seconds,
            "gpu_memory_gb": gpu_memory_gb(self.clips.device),
        }
        return {name: value for name, value in metrics.items() if value is not None}

    def _finish(self, epoch: Epoch, metrics: Metrics) -> None:
        """Score, log and save after a complete epoch, as the config wants it."""
        config, training, number, epochs = self.config, self.training, epoch.number, self.config.optim.epochs
        metrics = epoch.metrics() | metrics
        self._warn_of_collapse(epoch)
        scored = self.score is not None and _is_due(number, config.eval_every, epochs)
        if scored:
            metrics |= self._score_undisturbed()
        self.log.epoch(number, metrics, show=scored or number + 1 == epochs)
        if metrics.get(BEST_BY, -math.inf) > training.best.get(BEST_BY, -math.inf):
            training.best = {"epoch": number, BEST_BY: metrics[BEST_BY]}
            self.checkpoints.save_best(self._state())
        if _is_due(number, config.save_every, epochs):
            self.checkpoints.save(self._state())

    def _warn_of_collapse(self, epoch: Epoch) -> None:
        domains = epoch.collapsed()
        if domains and not self.warned:
            say(
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
        return metrics

    def _state(self) -> dict[str, Any]:
        """The content of a checkpoint, which must be fit to go on from."""
        bad = self.training.first_not_finite()
        if bad is not None:
            raise ScdnetError(f"{bad} became infinite or nan in the step before a checkpoint; {self._advice()}")
        return self.training.state(self.config)

    def _check(self, epoch: Epoch) -> None:
        epoch.check(self.clips.name, self._advice())

    def _advice(self) -> str:
        return f"{ADVICE}; {self.checkpoints}"


def _restore_newest(training: Training, checkpoints: RunCheckpoints, config: Config) -> None:
    checkpoint = checkpoints.newest()
    training.restore(checkpoint, config)
    say(f"{checkpoint.path}: going on after {place_of(checkpoint.state)}, of {config.optim.epochs} epochs")


def _announce(config: Config, num_train: int, place: str) -> None:
    warning = check_sizes(config, num_train)
    if warning:
        say(f"warning: {warning}")
    chance = len(CROSS_DOMAIN_PAIRS) * math.log(1 + config.model.queue_size)
    say(f"{num_train} training sequences, {place}, loss at chance level {chance:.2f}, run folder {config.run_dir}")


def _is_due(epoch: int, every: int, epochs: int) -> bool:
    return every > 0 and ((epoch + 1) % every == 0 or epoch + 1 == epochs)
