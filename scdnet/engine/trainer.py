"""Pretraining. Source: docs/method.md 4."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from scdnet.config import Config
from scdnet.data.clips import Clips, load_clips
from scdnet.engine.logs import Metrics, RunLog, Waited, say
from scdnet.engine.run_dir import LAST, find_start, prepare_run_dir
from scdnet.engine.runtime import (
    keep_freed_memory,
    random_states,
    resolve_device,
    restore_random_states,
    seed_everything,
)
from scdnet.engine.training import Training, start_training
from scdnet.errors import ScdnetError
from scdnet.losses import CROSS_DOMAIN_PAIRS
from scdnet.models.encoder import DualPathEncoder
from scdnet.models.scdnet import SCDNet

Score = Callable[[DualPathEncoder, Clips, str], Metrics]  # how good an encoder is on clips, in a precision


def pretrain(config: Config, *, resume: bool = False, overwrite: bool = False, score: Score | None = None) -> Path:
    """Train as `config` says; returns the last checkpoint.

    `score` is what `eval_every` calls. Raises ScdnetError (config, store, run folder that do not fit).
    """
    device = resolve_device(config.device)
    start = find_start(config, resume=resume, overwrite=overwrite)
    clips = load_clips(config.data, config.stream, device)
    train = clips.split(train=True)
    _announce(config, len(train), clips.place)
    keep_freed_memory()
    seed_everything(config.seed)
    training = start_training(config, device)
    if start is not None:
        training.restore(start, config)
        say(f"{start}: going on after {training.epoch} of {config.optim.epochs} epochs")
    prepare_run_dir(config, fresh=start is None)

    path, epochs = config.run_dir / LAST, config.optim.epochs
    steps = len(train) // config.data.batch_size
    with RunLog(config.run_dir, first_epoch=training.epoch, epochs=epochs, steps=steps) as log:
        for epoch in range(training.epoch, epochs):
            metrics = train_epoch(training, clips, train, config, log)
            scored = score is not None and _is_due(epoch, config.eval_every, epochs)
            if scored:
                metrics |= _score_undisturbed(score, training.model, clips, config.precision)
            log.epoch(epoch, metrics, show=scored or epoch + 1 == epochs)
            if _is_due(epoch, config.save_every, epochs):
                training.save(path, config)
    return path


def train_epoch(training: Training, clips: Clips, train: Tensor, config: Config, log: RunLog) -> Metrics:
    """One pass over the sequences `train` (N,), in an order and with views that only seed and epoch decide."""
    generator = _epoch_generator(config.seed, training.epoch)
    training.start_epoch()
    order = train[torch.randperm(len(train), generator=generator)]
    batches = order.split(config.data.batch_size)[: len(train) // config.data.batch_size]
    total, start = torch.zeros((), device=clips.device), time.perf_counter()
    views = Waited(clips.training_views(batches, generator))
    for pair in views:
        total += training.step(*pair)
        log.step()
    training.epoch += 1
    loss = total.item() / len(batches)  # waits for the device
    seconds = time.perf_counter() - start
    if not math.isfinite(loss):
        raise ScdnetError(f"the loss became {loss} in epoch {training.epoch - 1}; lower optim.lr or raise the warm-up")
    return {
        "loss": loss,
        "lr": training.optimizer.param_groups[0]["lr"],
        "seconds": seconds,
        "clips_per_second": len(batches) * config.data.batch_size / seconds,
        "data_share": views.seconds / seconds,
    }


def check_sizes(config: Config, num_train: int) -> str | None:
    """What may be wrong with batch and queue for `num_train` sequences. Raises ScdnetError if it surely is."""
    batch, queue = config.data.batch_size, config.model.queue_size
    if batch > num_train:
        raise ScdnetError(f"data.batch_size {batch} exceeds the training split of {num_train} sequences")
    if queue > num_train // 2:
        return (
            f"model.queue_size {queue} is more than half of the {num_train} training sequences; "
            "clips will meet their own old keys among the negatives"
        )
    return None


def _announce(config: Config, num_train: int, place: str) -> None:
    warning = check_sizes(config, num_train)
    if warning:
        say(f"warning: {warning}")
    chance = len(CROSS_DOMAIN_PAIRS) * math.log(1 + config.model.queue_size)
    say(f"{num_train} training sequences, {place}, loss at chance level {chance:.2f}, run folder {config.run_dir}")


def _epoch_generator(seed: int, epoch: int) -> Generator:
    return torch.Generator().manual_seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0]))


def _is_due(epoch: int, every: int, epochs: int) -> bool:
    return every > 0 and ((epoch + 1) % every == 0 or epoch + 1 == epochs)


def _score_undisturbed(score: Score, model: SCDNet, clips: Clips, precision: str) -> Metrics:
    """The score of the query encoder; training goes on as if it had not been taken."""
    states = random_states()
    metrics = score(model.query.encoder, clips, precision)
    restore_random_states(states)
    model.train()
    return metrics
