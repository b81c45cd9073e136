"""One rank of the processes that test_distributed.py compares. No test itself."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from scdnet.config import Config
from scdnet.data.clips import RankInfo
from scdnet.engine import distributed
from scdnet.engine.build import build_model, open_clips
from scdnet.engine.device import seed_everything
from scdnet.engine.locate import hash_weights
from scdnet.engine.train.epoch import Epoch
from scdnet.engine.train.initial import read_initial
from scdnet.engine.train.start import start_training
from scdnet.eval.features import Features, extract_features
from scdnet.eval.knn import retrieve
from scdnet.losses import contrast_losses
from scdnet.models.layers import synchronize_statistics
from scdnet.models.objective import Objective
from scdnet.skeletons import NTU_25
from tests.conftest import make_small_config
from tests.engine.conftest import forget_ranks
from tests.engine.runs import changed

CPU = torch.device("cpu")
BATCH = 8
NUM_FEATURES = 11
GALLERY = 7
# The name of an exported encoder beside the store.
ENCODER = "encoder"


def config_of(store: Path, batch_size: int) -> Config:
    """Return a config without dropout, which each rank draws for itself."""
    config = make_small_config(store, Path("runs"))
    model = {"dropout": 0.0, "queue_size": batch_size * 3 // 2}
    return changed(config, data={"batch_size": batch_size}, model=model)


def batch_of_views() -> Tensor:
    """Return views (2, BATCH, C, T, V, M) with more empty bodies in the first half of the batch."""
    views = torch.randn(2, BATCH, 3, 16, 25, 2, generator=torch.Generator().manual_seed(1))
    views[:, :3, ..., 1] = 0
    views[:, 5:6, ..., 1] = 0
    return views


def gradients(config: Config, *, frozen: bool, sync: bool) -> dict[str, Tensor]:
    """Return loss, gradients and running statistics of a batch, of which each rank has its rows.

    In float64: a batch as small as this one amplifies rounding errors of float32.
    """
    seed_everything(0)
    config = changed(config, model={"queue_size": BATCH})
    model = build_model(config, Objective(), skeleton=NTU_25).double().train(not frozen)
    if sync:
        synchronize_statistics(model, distributed.all_gather)
    views = [distributed.rank_info().rows(view) for view in batch_of_views().double()]
    query, key, _ = model(*views)
    loss = contrast_losses(model.objective.pairs, query, key, model.negatives(), 0.2).sum()
    loss.backward()
    distributed.average_gradients(model.query.parameters())
    found = {name: parameter.grad for name, parameter in model.query.named_parameters()}
    found |= {name: buffer.clone() for name, buffer in model.named_buffers() if "running" in name}
    return {**found, "loss": distributed.all_gather(loss).mean()}


def separated(view: Tensor, ranks: RankInfo) -> Tensor:
    """Return this rank's rows of a view in float64, with noise on all bodies that are there.

    Masks make frames equal, so that the maxima over neighboring frames are ties. Rounding decides
    which frame receives the gradient, and rounding depends on a row's place in the batch: the first
    gradient of one process differs by 1e-8 if only the order of the rows does, and by 1e-14 with
    this noise, or with means instead of maxima.
    """
    shape = (len(view) * ranks.world_size, *view.shape[1:])
    noise = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    is_there = view.ne(0).any(dim=3, keepdim=True).any(dim=2, keepdim=True)
    is_there = is_there.any(dim=1, keepdim=True)
    return view.double() + 1e-3 * ranks.rows(noise) * is_there


def train(config: Config, *, epochs: int) -> dict[str, Tensor]:
    """Return the model's state after epochs of two steps, and the metrics of the last epoch.

    In float64: rounding errors of float32 grow within a few steps to the size of the numbers.
    """
    ranks = distributed.rank_info()
    clips = open_clips(config.data, config.stream, CPU, ranks=ranks)
    seed_everything(config.seed)
    training = start_training(config, NTU_25, CPU, ranks=ranks)
    training.model.double()
    objective = training.model.objective
    if objective.latent is not None:
        shift_biases(training.model.query)
    for number in range(epochs):
        epoch = Epoch(number, clips.split(train=True), seed=0, batch_size=config.data.batch_size)
        metrics = [
            training.step(
                *(separated(view, ranks) for view in inputs[: objective.num_views]),
                *inputs[objective.num_views :],
            )
            for inputs in clips.training_views(
                epoch.remaining, epoch.generator, objective.tasks, latent=objective.hiding
            )
        ]
    return training.model.state_dict() | {"metrics": torch.stack(metrics)}


def shift_biases(model: nn.Module) -> None:
    """Add noise to all parameters.

    At the start biases are 0, and so is what a joint that is hidden in all clips of a batch becomes
    before a relu, but for rounding, which decides whether it has a gradient.
    """
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, dtype=parameter.dtype, generator=generator)
        parameter.data += 1e-2 * noise


class InDouble(nn.Module):
    """An encoder that computes in float64."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder.double()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.encoder(x.double())


def features(config: Config) -> dict[str, Tensor]:
    """Return the features (NUM_FEATURES, D) of the first sequences, and what kNN finds with them.

    Before the extraction, batch-norm statistics differ between ranks.
    """
    ranks = distributed.rank_info()
    clips = open_clips(config.data, config.stream, CPU, ranks=ranks)
    seed_everything(1)
    encoder = build_model(config, Objective(), skeleton=NTU_25).query.encoder
    encoder.temporal_stem.input_norm.running_mean += ranks.rank
    clips = replace(clips, label=clips.label[:NUM_FEATURES])
    found = extract_features(InDouble(encoder), clips)
    gallery = Features(found.x[:GALLERY], found.y[:GALLERY])
    queries = Features(found.x[GALLERY:], found.y[GALLERY:])
    outcome = retrieve(gallery, queries, num_classes=2)
    metrics = {name: torch.tensor(value) for name, value in outcome.metrics.items()}
    return {"x": found.x, "scores": outcome.scores, **metrics}


def initial(config: Config, encoder: Path) -> dict[str, Tensor]:
    """Return the weights of a training that starts from an encoder, which only the first rank has.

    The seeds, and so the random weights, differ between ranks.
    """
    ranks = distributed.rank_info()
    config = changed(config, init=str(encoder if ranks.rank == 0 else encoder / "gone"))
    seed_everything(ranks.rank)
    found = read_initial(config, NTU_25)
    training = start_training(config, NTU_25, CPU, ranks=ranks, initial=found)
    assert training.init_sha256 == hash_weights(encoder)
    return training.model.state_dict()


def fail() -> None:
    raise ValueError("on the first rank")


def exception_of(function: Callable[[], object]) -> str:
    try:
        function()
    except (ValueError, SystemExit) as error:
        return type(error).__name__
    return "none"


def main(store: Path, out: Path, environment: dict[str, str], *, batch_size: int) -> None:
    """Write the results of this rank to OUT/<rank>.pt; without an `environment` there is one.

    The store has two batches of training sequences.
    """
    torch.set_num_threads(1)
    os.environ.update(environment)
    forget_ranks()
    config = config_of(store, batch_size)
    rank = distributed.rank_info().rank
    with distributed.process_group(CPU):
        found = {
            "frozen": gradients(config, frozen=True, sync=False),
            "synced": gradients(config, frozen=False, sync=True),
            "unsynced": gradients(config, frozen=False, sync=False),
            "scd": train(config, epochs=1),
            "scd+hdc": train(changed(config, objective="scd+hdc"), epochs=1),
            "latent": train(changed(config, objective="latent"), epochs=1),
            "scd+latent": train(
                changed(config, objective="scd+latent", latent={"target_norm": "tokens"}), epochs=1
            ),
            "features": features(config),
            "initial": initial(config, store.with_name(ENCODER)),
            "objects": distributed.all_gather_object({"rank": rank}),
            "from main": distributed.run_on_main(lambda: f"of rank {rank}"),
            "error": exception_of(lambda: distributed.run_on_main(fail)),
            "largest": max(distributed.all_gather_scalar(rank)),
        }
    out.mkdir(parents=True, exist_ok=True)
    torch.save(found, out / f"{rank}.pt")
