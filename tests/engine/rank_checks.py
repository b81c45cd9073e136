"""One rank of what test_ranks.py looks at. No test itself."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from scdnet.config import Config
from scdnet.engine import distributed as ranks
from scdnet.engine.build import build_model, open_clips
from scdnet.engine.device import seed_everything
from scdnet.engine.train.epoch import Epoch
from scdnet.engine.train.state import start_training
from scdnet.eval.features import extract_features
from scdnet.losses import contrast_losses
from scdnet.models.layers import synchronize_statistics
from tests.conftest import make_small_config
from tests.engine.runs import changed

CPU = torch.device("cpu")
BATCH = 32


def config_of(store: Path) -> Config:
    """Without dropout, which each rank draws for itself."""
    return changed(make_small_config(store, Path("runs")), model={"dropout": 0.0, "queue_size": 14})


def batch_of_views() -> Tensor:
    """(2, BATCH, C, T, V, M): second bodies are missing in more of the first half than of the second."""
    views = torch.randn(2, BATCH, 3, 16, 25, 2, generator=torch.Generator().manual_seed(1))
    views[:, :10, ..., 1] = 0
    views[:, 20:23, ..., 1] = 0
    return views


def gradients(config: Config, *, frozen: bool, sync: bool) -> dict[str, Tensor]:
    """Loss, gradients and running statistics of one pass over a batch, of which each rank has its rows."""
    seed_everything(0)
    model = build_model(changed(config, model={"queue_size": BATCH})).train(not frozen)
    if sync:
        synchronize_statistics(model, ranks.gather)
    views = [ranks.rank_info().rows(view) for view in batch_of_views()]
    query, key = model(*views)
    loss = contrast_losses(model.objective.pairs, query, key, model.negatives(), 0.2).sum()
    loss.backward()
    ranks.average_gradients(model.query.parameters())
    found = {name: parameter.grad for name, parameter in model.query.named_parameters()}
    found |= {name: buffer.clone() for name, buffer in model.named_buffers() if "running" in name}
    return {**found, "loss": ranks.gather(loss).mean()}


def trained(config: Config, *, epochs: int) -> dict[str, Tensor]:
    """The model's state after a training of two steps an epoch, and what the last ones reported.

    In float64: what rounding begins in float32 grows within twenty steps to the size of the numbers themselves.
    """
    clips = open_clips(config, CPU)
    seed_everything(config.seed)
    training = start_training(config, CPU)
    training.model.double()
    for number in range(epochs):
        train = clips.split(train=True)
        epoch = Epoch(
            number, train, training.report, seed=0, batch_size=config.data.batch_size, device=CPU
        )
        for views in clips.training_views(
            epoch.remaining, epoch.generator, training.model.objective.tasks
        ):
            epoch.record(training.step(*(view.double() for view in views)))
    return training.model.state_dict() | {"reports": epoch.state()["reports"]}


def features(config: Config, num: int) -> Tensor:
    """(num, D) of the first sequences of the store; batch-norm statistics differ from rank to rank beforehand."""
    clips = open_clips(config, CPU)
    seed_everything(1)
    encoder = build_model(config).query.encoder
    encoder.temporal_stem.input_norm.running_mean += ranks.rank_info().rank
    clips = replace(clips, label=clips.label[:num])
    return extract_features(encoder, clips).x


def failing() -> None:
    raise ValueError("on the first rank")


def exception_of(function: Callable[[], object]) -> str:
    try:
        function()
    except (ValueError, SystemExit) as error:
        return type(error).__name__
    return "none"


def main(store: Path, out: Path, environment: dict[str, str]) -> None:
    """Write what this rank finds to OUT/<rank>.pt; without torchrun's variables in the `environment` there is one."""
    torch.set_num_threads(1)
    os.environ.update(environment)
    config, rank = config_of(store), ranks.rank_info().rank
    with ranks.process_group(CPU):
        found = {
            "frozen": gradients(config, frozen=True, sync=False),
            "synced": gradients(config, frozen=False, sync=True),
            "apart": gradients(config, frozen=False, sync=False),
            "trained": trained(config, epochs=10),
            "hdc": trained(changed(config, objective="hdc"), epochs=1),
            "scd+hdc": trained(changed(config, objective="scd+hdc"), epochs=1),
            "features": features(config, 17),
            "objects": ranks.gather_objects({"rank": rank}),
            "from main": ranks.run_on_main(lambda: f"of rank {rank}"),
            "error": exception_of(lambda: ranks.run_on_main(failing)),
            "largest": max(ranks.all_gather_scalar(rank)),
        }
    out.mkdir(parents=True, exist_ok=True)
    torch.save(found, out / f"{rank}.pt")
