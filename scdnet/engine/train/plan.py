"""The plan of a run: how long it is, what is due after which step, and how progress is stated.

Inside, everything is counted in steps. A config may count in epochs: its unit is then all steps of
an epoch, else a single step.
"""

from dataclasses import dataclass
from typing import Any

from scdnet.config import Config
from scdnet.engine.build import NumTrain, resolve_sizes, total
from scdnet.engine.run.checkpoints import Progress

# Steps between two lines of metrics where the config counts steps.
LOG_EVERY = 50


@dataclass(frozen=True)
class Plan:
    """The parts of the config that the loop follows; lengths are in steps."""

    seed: int
    batch_size: int
    queue_size: int
    steps_per_epoch: int
    # The unit of the config, "epoch" or "step", and its length.
    unit: str
    unit_length: int
    num_steps: int
    # The distances of evaluations (0: there are none), checkpoints and lines of metrics.
    eval_every: int
    save_every: int
    log_every: int
    # Values that checkpoints state besides the training: config, skeleton, store_sha256.
    origin: dict[str, Any]

    def completed_steps(self, progress: Progress) -> int:
        """Return the number of steps that the run has done at `progress`."""
        return progress.epochs * self.steps_per_epoch + progress.steps

    def is_due(self, every: int, step: int) -> bool:
        """Check whether what is done `every` so many steps, and at the end, is due after `step`."""
        return every > 0 and (step % every == 0 or step == self.num_steps)

    def is_eval_due(self, step: int) -> bool:
        """Check whether an evaluation is due after `step` steps."""
        return self.is_due(self.eval_every, step)

    def is_save_due(self, step: int) -> bool:
        """Check whether a checkpoint is due after `step` steps."""
        return self.is_due(self.save_every, step)

    def is_line_due(self, step: int) -> bool:
        """Check whether a line of metrics is due after `step` steps."""
        return self.is_due(self.log_every, step) or self.is_eval_due(step)

    def next_stop(self, step: int) -> int:
        """Return the first step after `step` after which something is due or an epoch ends."""
        periods = (self.steps_per_epoch, self.log_every, self.save_every, self.eval_every)
        ends = (step - step % period + period for period in periods if period)
        return min(self.num_steps, *ends)

    @property
    def num_units(self) -> int:
        """Return the length of the run in the unit of the config."""
        return self.num_steps // self.unit_length

    @property
    def summary(self) -> str:
        """Return the length of the run, for the log."""
        epochs = self.num_steps / self.steps_per_epoch
        return f"{self.num_steps} steps, {epochs:.1f} epochs of {self.steps_per_epoch} steps"

    def number(self, step: int) -> int:
        """Return the number of a line of metrics: the epoch, from 0, or the steps until then."""
        return step // self.unit_length - (self.unit == "epoch")

    def state_progress(self, step: int) -> str:
        """Return how far the run is after `step` steps, for the log."""
        return f"{self.unit} {step // self.unit_length}/{self.num_units}"

    def describe(self, progress: Progress) -> str:
        """Return the progress of a checkpoint, for messages."""
        if self.unit == "epoch":
            return str(progress)
        return f"step {self.completed_steps(progress)}"

    def state_start(self, progress: Progress) -> str:
        """Return where a run resumes from a checkpoint, for the log."""
        if self.unit == "step":
            return self.state_progress(self.completed_steps(progress))
        step = f", step {progress.steps}" if progress.steps else ""
        return f"epoch {progress.epochs}/{self.num_units}{step}"

    def locate(self, step: int) -> str:
        """Return where `step`, from 0, lies, for messages."""
        if self.unit == "epoch":
            epoch, step = divmod(step, self.unit_length)
            return f"epoch {epoch}, step {step} (both counted from 0)"
        return f"step {step + 1} (counted from 1)"


def make_plan(config: Config, num_train: NumTrain, origin: dict[str, Any]) -> Plan:
    """Return the plan of a run on `num_train` training sequences."""
    batch_size, queue_size = resolve_sizes(config.data, config.model, num_train)
    steps_per_epoch = total(num_train) // batch_size
    in_epochs = config.optim.steps is None
    unit_length = steps_per_epoch if in_epochs else 1
    return Plan(
        seed=config.seed,
        batch_size=batch_size,
        queue_size=queue_size,
        steps_per_epoch=steps_per_epoch,
        unit="epoch" if in_epochs else "step",
        unit_length=unit_length,
        num_steps=config.optim.duration * unit_length,
        eval_every=config.eval_every * unit_length,
        save_every=config.save_every * unit_length,
        log_every=unit_length if in_epochs else LOG_EVERY,
        origin=origin,
    )


def counted_in_steps(config: Config) -> str:
    """Return the values of a config with `optim.steps` that count steps, for the log."""
    values: dict[str, object] = {
        "optim.warmup_epochs": config.optim.warmup_epochs,
        "eval_every": config.eval_every,
        "save_every": config.save_every,
    }
    if config.optim.schedule == "multistep":
        values["optim.milestones"] = list(config.optim.milestones)
    return f"Counted in steps: {', '.join(f'{key} {value}' for key, value in values.items())}."
