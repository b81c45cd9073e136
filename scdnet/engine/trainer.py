"""Pretraining. Source: docs/method.md 4."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from timm.scheduler.scheduler import Scheduler
from torch import Generator, Tensor
from torch.optim import Optimizer

from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.data.clips import Clips, load_clips
from scdnet.engine.build import build_model
from scdnet.engine.checkpoint import CheckpointError, read_checkpoint, save_checkpoint
from scdnet.engine.logs import Metrics, RunLog, Waited, say
from scdnet.engine.optim import make_optimizer, make_schedule
from scdnet.engine.run_dir import LAST, check_resumable, find_start, prepare_run_dir
from scdnet.engine.runtime import (
    keep_freed_memory,
    random_states,
    resolve_device,
    restore_random_states,
    seed_everything,
)
from scdnet.errors import ScdnetError
from scdnet.losses import CROSS_DOMAIN_PAIRS, scd_losses
from scdnet.models.encoder import DualPathEncoder
from scdnet.models.scdnet import SCDNet

Score = Callable[[DualPathEncoder, Clips], Metrics]  # how good an encoder is on clips, for `eval_every`


@dataclass
class Training:
    """Everything that changes from step to step."""

    model: SCDNet
    optimizer: Optimizer
    schedule: Scheduler
    epoch: int = 0  # completed epochs

    def save(self, path: Path, config: Config) -> None:
        """Write a checkpoint from which `restore` goes on as if nothing had happened."""
        state = {
            "config": dump_config(config),
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": random_states(),
        }
        save_checkpoint(path, state)

    def restore(self, path: Path, config: Config) -> None:
        """Take everything up from a checkpoint. Raises RunDirError if it is of a run with another config."""
        checkpoint = read_checkpoint(path)
        if checkpoint.config is None:
            raise CheckpointError(f"{path}: cannot resume from it, it was not written by this program")
        check_resumable(checkpoint.config, config, path)
        state = checkpoint.state
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            restore_random_states(state["random"])
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise CheckpointError(f"{path}: cannot resume from it ({error})") from None
        self.epoch = state["epoch"]


def pretrain(config: Config, *, resume: bool = False, overwrite: bool = False, score: Score | None = None) -> Path:
    """Train as `config` says; returns the last checkpoint.

    `score` is what `eval_every` calls. Raises ScdnetError (config, store, run folder that do not fit).
    """
    device = resolve_device(config.device)
    start = find_start(config, resume=resume, overwrite=overwrite)
    clips = load_clips(config.data, config.stream, device)
    train = clips.split(train=True)
    _check_sizes(config, len(train), clips.place)
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
                metrics |= _score_undisturbed(score, training.model, clips)
            log.epoch(epoch, metrics, show=scored or epoch + 1 == epochs)
            if _is_due(epoch, config.save_every, epochs):
                training.save(path, config)
    return path


def start_training(config: Config, device: torch.device) -> Training:
    """A model with fresh weights, its optimiser and schedule."""
    model = build_model(config).to(device).train()
    optimizer = make_optimizer(model.query.parameters(), config.optim)
    return Training(model, optimizer, make_schedule(optimizer, config.optim))


def train_epoch(training: Training, clips: Clips, train: Tensor, config: Config, log: RunLog) -> Metrics:
    """One pass over the sequences `train` (N,), in an order and with views that only seed and epoch decide."""
    generator = _epoch_generator(config.seed, training.epoch)
    training.schedule.step(training.epoch)
    order = train[torch.randperm(len(train), generator=generator)]
    batches = order.split(config.data.batch_size)[: len(train) // config.data.batch_size]
    total, start = torch.zeros((), device=clips.device), time.perf_counter()
    views = Waited(clips.training_views(batches, generator))
    for pair in views:
        total += train_step(training, pair, config.model.temperature)
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


def train_step(training: Training, views: tuple[Tensor, Tensor], temperature: float) -> Tensor:
    """One update from two views (N, C, T, V, M) of N sequences; returns the loss, on the device."""
    model, optimizer = training.model, training.optimizer
    model.update_momentum()
    query, key = model(*views)
    loss = scd_losses(query, key, model.negatives(), temperature).sum()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    model.enqueue(key)
    return loss.detach()


def _check_sizes(config: Config, num_train: int, place: str) -> None:
    batch, queue = config.data.batch_size, config.model.queue_size
    if batch > num_train:
        raise ScdnetError(f"data.batch_size {batch} exceeds the training split of {num_train} sequences")
    if queue > num_train // 2:
        say(
            f"warning: model.queue_size {queue} is more than half of the {num_train} training sequences; "
            "clips will meet their own old keys among the negatives"
        )
    chance = len(CROSS_DOMAIN_PAIRS) * math.log(1 + queue)
    say(f"{num_train} training sequences, {place}, loss at chance level {chance:.2f}, run folder {config.run_dir}")


def _epoch_generator(seed: int, epoch: int) -> Generator:
    return torch.Generator().manual_seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0]))


def _is_due(epoch: int, every: int, epochs: int) -> bool:
    return every > 0 and ((epoch + 1) % every == 0 or epoch + 1 == epochs)


def _score_undisturbed(score: Score, model: SCDNet, clips: Clips) -> Metrics:
    """The score of the query encoder; training goes on as if it had not been taken."""
    states = random_states()
    metrics = score(model.query.encoder, clips)
    restore_random_states(states)
    model.train()
    return metrics
