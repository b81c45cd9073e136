"""The training loop: the steps of a run, and what is due after some of them."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from scdnet.data.mixture import Mixture
from scdnet.data.pairs import PairSampler, make_pair_sampler
from scdnet.engine.device import gpu_memory_gb, random_states, restore_random_states
from scdnet.engine.distributed import is_main, run_on_main
from scdnet.engine.logs import Metrics, TimedIterator, log
from scdnet.engine.run.checkpoints import RunCheckpoints
from scdnet.engine.run.signals import StopRequest
from scdnet.engine.train.diagnostics import COLLAPSED
from scdnet.engine.train.epoch import Epoch, draw_sequences
from scdnet.engine.train.interval import Interval
from scdnet.engine.train.plan import Plan
from scdnet.engine.train.run_log import RunLog
from scdnet.engine.train.state import Training
from scdnet.engine.train.statistics import estimate_statistics
from scdnet.errors import ScdnetError
from scdnet.models.encoder import DualPathEncoder

# Computes metrics of an encoder.
Score = Callable[[DualPathEncoder], Metrics]
# Two views (N, C, T, V, M) of a batch for each task, and what else `SCDNet.forward` takes.
Views = tuple[Tensor, ...]

# Steps between two looks at their metrics, each of which waits for the GPU.
CHECK_EVERY = 50
ADVICE = "start a new run, under another name=, with a lower optim.lr or more optim.warmup_epochs"
# The metric whose largest value makes a checkpoint the best.
BEST_BY = "knn@1"


@dataclass
class Run:
    """A pretraining in progress."""

    plan: Plan
    training: Training
    clips: Mixture
    checkpoints: RunCheckpoints
    score: Score | None
    stop: StopRequest
    warned_of_collapse: bool = False
    # The step after which statistics were estimated last, where whole views are never trained on.
    estimated_at: int | None = None
    pairs: PairSampler | None = field(init=False)
    epoch: Epoch = field(init=False)
    # The steps since the last line of metrics.
    interval: Interval = field(init=False)
    log: RunLog = field(init=False)

    def __post_init__(self) -> None:
        self.pairs = make_pair_sampler(self.clips)
        self.epoch = self._make_epoch(self.training.epoch)
        unfinished = self.training.unfinished
        pending = unfinished.get("metrics")
        if unfinished:
            self.epoch.load_state_dict(unfinished)
        self.interval = self._make_interval(self.step - (0 if pending is None else len(pending)))
        if pending is not None:
            self.interval.load_state_dict(pending)

    @property
    def step(self) -> int:
        """Return the number of completed steps of the run."""
        return self.epoch.number * self.plan.steps_per_epoch + self.epoch.steps

    def train(self, run_dir: Path) -> None:
        """Do the remaining steps, or until asked to stop; log their metrics to `run_dir`."""
        num_steps = self.plan.num_steps
        with RunLog(run_dir, self.plan, last_line=self.interval.first, done=self.step) as self.log:
            if self.interval.steps:
                # A stop may have come before what was due.
                self._do_what_is_due()
            while self.step < num_steps:
                if not self._do_steps():
                    return
                self._do_what_is_due()
        # A request that comes after everything is done stops nothing.
        self.stop.signal = None

    def _do_steps(self) -> bool:
        """Do steps until something is due or the epoch ends; return False if asked to stop."""
        epoch = self.epoch
        start = time.perf_counter()
        cpu_start = time.process_time()
        first = self.step
        batches = epoch.remaining[: self.plan.next_stop(first) - first]
        views = TimedIterator(self._draw_views(batches))
        for batch in batches:
            self.training.set_learning_rate(self.step // self.plan.unit_length)
            rng_state = epoch.generator.get_state()
            inputs = self._next(views)
            # The request comes first: all ranks have to ask for it.
            if self.stop.is_made() or inputs is None:
                # The views that were drawn but not used are drawn again after resuming.
                epoch.generator.set_state(rng_state)
                break
            self.interval.record(self.training.step(*inputs), batch)
            epoch.steps += 1
            self.log.step()
            if self.interval.steps % CHECK_EVERY == 0:
                self._check()
        is_stopped = self.stop.is_made()
        if is_stopped or self.plan.is_line_due(self.step) or self.plan.is_save_due(self.step):
            # Waits for the device, so that the time below is that of the steps.
            self._check()
        seconds = time.perf_counter() - start
        self.interval.speed.add(
            self.step - first,
            seconds=seconds,
            cpu_seconds=time.process_time() - cpu_start,
            waiting=views.seconds,
        )
        if is_stopped:
            self._stop()
        return not is_stopped

    def _draw_views(self, batches: Sequence[Tensor]) -> Iterator[Views]:
        objective = self.training.model.objective
        return self.clips.training_views(
            batches, self.epoch.generator, objective.tasks, latent=objective.hiding
        )

    def _next(self, views: Iterator[Views]) -> Views | None:
        """Return the next views, or None if the stop signal has ended the data workers too."""
        try:
            return next(views)
        except ScdnetError:
            if self.stop.signal is None:
                raise
            return None

    def _stop(self) -> None:
        """Save before the rest of the run, and before what is due now."""
        self._save(self.checkpoints.save)
        where = self.plan.state_progress(self.step)
        if self.plan.unit == "epoch":
            epoch = self.epoch
            where = f"epoch {epoch.number}, step {epoch.steps}/{len(epoch.batches)}"
        log(f"Stopped at {where}. Checkpoint saved; continue with --resume.")

    def _do_what_is_due(self) -> None:
        """Begin the next epoch, score, log and save, where it is due after the steps so far."""
        step = self.step
        if not self.epoch.remaining:
            self.epoch = self._make_epoch(self.epoch.number + 1)
        if self.plan.is_line_due(step):
            self._finish_interval()
        if self.plan.is_save_due(step):
            self._save(self.checkpoints.save)

    def _make_epoch(self, number: int) -> Epoch:
        plan = self.plan
        sequences = draw_sequences(
            self.clips.training_sequences,
            self.clips.config.shares,
            number,
            size=plan.steps_per_epoch * plan.batch_size,
            seed=plan.seed,
        )
        return Epoch(
            number,
            sequences,
            seed=plan.seed,
            batch_size=plan.batch_size,
            pairs=self.pairs,
        )

    def _make_interval(self, first: int) -> Interval:
        return Interval(
            self.training.metric_names,
            first=first,
            length=self.plan.log_every,
            device=self.clips.device,
        )

    def _finish_interval(self) -> None:
        """Score the encoder, if that is due, and log the metrics since the last line."""
        training = self.training
        step = self.step
        metrics = self._interval_metrics()
        self._warn_of_collapse()
        score = self.score if self.plan.is_eval_due(step) else None
        if score is not None:
            metrics |= self._compute(score)
        is_last = step == self.plan.num_steps
        self.log.line(step, metrics, show=score is not None or is_last)
        self.interval = self._make_interval(step)
        if metrics.get(BEST_BY, -math.inf) > training.best.get(BEST_BY, -math.inf):
            training.best = {self.plan.unit: self.plan.number(step), BEST_BY: metrics[BEST_BY]}
            self._save(self.checkpoints.save_best)

    def _interval_metrics(self) -> Metrics:
        metrics = self.interval.metrics()
        metrics["lr"] = self.training.optimizer.param_groups[0]["lr"]
        metrics |= self.interval.speed.metrics(self.plan.batch_size)
        memory = gpu_memory_gb(self.clips.device)
        return metrics if memory is None else {**metrics, "gpu_memory_gb": memory}

    def _warn_of_collapse(self) -> None:
        collapsed = self.interval.collapsed()
        if collapsed and not self.warned_of_collapse:
            when = f"epoch {self.plan.number(self.step)}"
            if self.plan.unit == "step":
                when = f"steps {self.interval.first + 1} to {self.step}"
            log(
                f"warning: the embeddings have collapsed ({', '.join(collapsed)}): their spread "
                f"stayed below {COLLAPSED} throughout {when}; {ADVICE}"
            )
            self.warned_of_collapse = True

    def _compute(self, score: Score) -> Metrics:
        """Compute the score of the query encoder without changing the training that follows."""
        self._estimate_statistics()
        states = random_states()
        model = self.training.model
        metrics = score(model.query.encoder)
        restore_random_states(states)
        model.train()
        # All ranks must decide alike on what is best.
        return run_on_main(lambda: metrics)

    def _estimate_statistics(self) -> None:
        """Give the query encoder the statistics of whole views if it is trained on none."""
        model = self.training.model
        # A score and a checkpoint may be due after the same step.
        if not model.objective.has_queries and self.estimated_at != self.step:
            estimate_statistics(model.query.encoder, self.clips)
            self.estimated_at = self.step

    def _save(self, write: Callable[[dict[str, Any]], object]) -> None:
        """Call `write` on the first rank with the content of a checkpoint, if it is all finite."""
        self._estimate_statistics()
        name = self.training.first_not_finite()
        if name is not None:
            raise ScdnetError(
                f"{name} became NaN or Inf in the step before a checkpoint; {self._advice()}"
            )
        self.training.epoch = self.epoch.number
        self.training.unfinished = {}
        if self.epoch.steps or self.interval.steps:
            metrics = self.interval.state_dict()
            self.training.unfinished = {**self.epoch.state_dict(), "metrics": metrics}
        state = {**self.plan.origin, **self.training.state_dict()}
        if is_main():
            write(state)

    def _check(self) -> None:
        self.interval.check(self.clips.name, self.plan.locate, self._advice())

    def _advice(self) -> str:
        return f"{ADVICE}; {self.checkpoints}"
