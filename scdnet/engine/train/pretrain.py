"""Pretraining. Source: docs/method.md 4."""

import math
from contextlib import ExitStack
from pathlib import Path

from scdnet.config import Config
from scdnet.engine.build import build_objective, check_sizes, open_clips
from scdnet.engine.checkpoint import Checkpoint, CheckpointError, read_checkpoint
from scdnet.engine.device import (
    disable_malloc_trim,
    resolve_device,
    seed_everything,
)
from scdnet.engine.distributed import process_group, run_on_main
from scdnet.engine.logs import RunLog, log
from scdnet.engine.run.checkpoints import LAST, RunCheckpoints, progress_of
from scdnet.engine.run.directory import check_run_dir, prepare_run_dir
from scdnet.engine.run.lock import locked
from scdnet.engine.run.signals import StopRequest
from scdnet.engine.train.loop import Run, Score
from scdnet.engine.train.state import Training, start_training
from scdnet.models.encoder import NUM_LEVELS, PATHS


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
    with process_group(device), ExitStack() as stack:
        run_on_main(lambda: stack.enter_context(locked(config.run_dir)))
        resuming = run_on_main(lambda: check_run_dir(config, resume=resume, overwrite=overwrite))
        clips = open_clips(config, device)
        train = clips.split(train=True)
        _announce(config, len(train), clips.place)
        disable_malloc_trim()
        seed_everything(config.seed)
        training = start_training(config, device)
        checkpoints = RunCheckpoints(config.run_dir, keep=config.keep_checkpoints)
        if resuming:
            _restore_newest(training, checkpoints, config)
        run_on_main(lambda: prepare_run_dir(config, fresh=not resuming, overwrite=overwrite))
        steps = len(train) // config.data.batch_size
        done = training.epoch * steps + training.unfinished.get("steps", 0)
        log = stack.enter_context(
            RunLog(
                config.run_dir,
                first_epoch=training.epoch,
                epochs=config.optim.epochs,
                steps=steps,
                done=done,
            )
        )
        run = Run(config, training, clips, train, log, checkpoints, score, stop or StopRequest())
        while training.epoch < config.optim.epochs and run.epoch():
            pass
        if training.epoch == config.optim.epochs:
            run.stop.signal = None  # it came too late to stop anything
    return config.run_dir / LAST


def _restore_newest(training: Training, checkpoints: RunCheckpoints, config: Config) -> None:
    found: list[Checkpoint] = []

    def choose() -> tuple[Path, str]:
        found.append(checkpoints.newest())
        return found[0].path, found[0].sha256

    path, sha256 = run_on_main(choose)
    checkpoint = found[0] if found else read_checkpoint(path)
    if checkpoint.sha256 != sha256:
        raise CheckpointError(f"{path}: this rank reads another file there than the first one does")
    training.restore(checkpoint, config)
    log(
        f"{checkpoint.path}: going on after {progress_of(checkpoint.state)}, of {config.optim.epochs} epochs"
    )


def _announce(config: Config, num_train: int, place: str) -> None:
    warning = check_sizes(config, num_train)
    if warning:
        log(f"warning: {warning}")
    objective = build_objective(config)
    for path in PATHS:
        if (level := objective.trained_level(path)) < NUM_LEVELS:
            part = f"after level {level} " if level else ""
            log(
                f"warning: the {path} path {part}is in no query and so not trained (features= says what is evaluated)"
            )
    chance = len(objective.pairs) * math.log(1 + config.model.queue_size)
    log(
        f"{num_train} training sequences, {place}, loss at chance level {chance:.2f}, run folder {config.run_dir}"
    )
