"""One rank of what test_ranks.py looks at: `python -m tests.engine.rank_checks STORE OUT`. No test itself.

Without the variables of torchrun the one rank there is does the same.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from scdnet.config import Config
from scdnet.engine import ranks
from scdnet.engine.build import build_model, open_clips
from scdnet.engine.epoch import Epoch
from scdnet.engine.runtime import seed_everything
from scdnet.engine.training import start_training
from scdnet.eval.features import extract_features
from scdnet.losses import scd_losses
from scdnet.models.layers import share_statistics
from tests.conftest import make_small_config
from tests.engine.runs import changed

CPU = torch.device("cpu")
BATCH = 32


def config_of(store: Path) -> Config:
    """Without dropout, which each rank draws for itself."""
    return changed(make_small_config(store, Path("runs")), model={"dropout": 0.0, "queue_size": 10})


def batch_of_views() -> Tensor:
    """(2, BATCH, C, T, V, M): second bodies are missing in more of the first half than of the second."""
    views = torch.randn(2, BATCH, 3, 16, 25, 2, generator=torch.Generator().manual_seed(1))
    views[:, :10, ..., 1] = 0
    views[:, 20:23, ..., 1] = 0
    return views


def gradients(config: Config, *, frozen: bool, sync: bool, compiled: bool = False) -> dict[str, Tensor]:
    """Loss, gradients and running statistics of one pass over a batch, of which each rank has its rows."""
    seed_everything(0)
    model = build_model(changed(config, model={"queue_size": BATCH})).train(not frozen)
    if sync:
        share_statistics(model, ranks.gather)
    if compiled:
        for side in (model.query, model.key):
            side.encoder.share_empty_bodies = False
            side.compile(dynamic=False, fullgraph=True, backend="eager")
    views = [ranks.share().rows(view) for view in batch_of_views()]
    query, key = model(*views)
    loss = scd_losses(query, key, model.negatives(), 0.2).sum()
    loss.backward()
    ranks.average_gradients(model.query.parameters())
    found = {name: parameter.grad for name, parameter in model.query.named_parameters()}
    found |= {name: buffer.clone() for name, buffer in model.named_buffers() if "running" in name}
    return {**found, "loss": ranks.gather(loss).mean()}


def twenty_steps(config: Config) -> dict[str, Tensor]:
    """The model's state after as many steps of a training."""
    clips = open_clips(config, CPU)
    seed_everything(config.seed)
    training = start_training(config, CPU)
    for number in range(10):
        hands = clips.hands(clips.split(train=True))
        epoch = Epoch(number, hands, seed=0, batch_size=config.data.batch_size, device=CPU)
        for views in clips.training_views(epoch.left, epoch.generator):
            epoch.record(training.step(*views))
    return training.model.state_dict() | {"reports": epoch.state()["reports"]}


def features(config: Config, num: int) -> Tensor:
    """(num, D) of the first sequences of the store; batch-norm statistics differ from rank to rank beforehand."""
    clips = open_clips(config, CPU)
    seed_everything(1)
    encoder = build_model(config).query.encoder
    encoder.temporal_stem.input_norm.running_mean += ranks.share().rank
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


def main(store: Path, out: Path) -> None:
    """Write what this rank found to OUT/<rank>.pt."""
    torch.set_num_threads(1)
    config, rank = config_of(store), ranks.share().rank
    with ranks.joined(CPU):
        found = {
            "frozen": gradients(config, frozen=True, sync=False),
            "synced": gradients(config, frozen=False, sync=True),
            "apart": gradients(config, frozen=False, sync=False),
            "trained": twenty_steps(config),
            "trained on shares": twenty_steps(changed(config, data={"shard": True})),
            "features": features(config, 17),
            "features by holder": features(changed(config, data={"shard": True}), 18),
            "objects": ranks.gather_objects({"rank": rank}),
            "from main": ranks.from_main(lambda: f"of rank {rank}"),
            "error": exception_of(lambda: ranks.from_main(failing)),
            "largest": max(ranks.of_all(rank)),
        }
    out.mkdir(parents=True, exist_ok=True)
    torch.save(found, out / f"{rank}.pt")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
