"""The start of a training: fresh weights, optimizer, schedule, and the way its steps are done."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from scdnet.config import Config
from scdnet.data.clips import SINGLE_PROCESS, RankInfo
from scdnet.engine.build import NumTrain, build_model, build_objective
from scdnet.engine.device import (
    GraphedStep,
    derive_seed,
    seed_everything,
    set_precision,
)
from scdnet.engine.distributed import all_gather, broadcast_, is_initialized
from scdnet.engine.optim import make_optimizer, make_schedule
from scdnet.engine.train.initial import RANDOM, Initial
from scdnet.engine.train.state import Training
from scdnet.engine.train.step import train_step
from scdnet.models.layers import synchronize_statistics
from scdnet.skeleton import Skeleton

# Operation by operation, or all operations of a step as one CUDA graph, which saves their launches.
Mode = Literal["eager", "graphed"]


def start_training(
    config: Config,
    skeleton: Skeleton,
    device: torch.device,
    *,
    ranks: RankInfo = SINGLE_PROCESS,
    num_train: NumTrain | None = None,
    mode: Mode = "eager",
    initial: Initial = RANDOM,
) -> Training:
    """Return a training at its start: fresh weights, optimizer, schedule and step.

    `num_train` is the number of training sequences, which a queue of size `auto` depends on. The
    encoders start from the `initial` weights of the first rank.
    The random state, until then the same on all ranks, is a different one on each of them
    afterwards; what it is used for is dropout.
    """
    objective = build_objective(config)
    model = build_model(config, objective, skeleton=skeleton, num_train=num_train)
    if initial.weights is not None:
        model.load_encoder(initial.weights)
    model.to(device).train()
    broadcast_(model.state_dict().values())
    optimizer = make_optimizer(model.trained_parameters(), config.optim)
    if is_initialized() and config.sync_batchnorm:
        synchronize_statistics(model, all_gather)
    step: Callable[..., Tensor] = partial(
        train_step,
        model,
        optimizer,
        temperature=config.model.temperature,
        num_neighbors=config.neighbours.k,
        precision=set_precision(config.precision, device),
    )
    for side in (model.query, model.key):
        # Looking for empty bodies in the clips would force a host-device synchronization.
        side.encoder.share_empty_bodies = device.type == "cpu"
    if mode == "graphed":
        step = GraphedStep(step)
    if ranks.world_size > 1:
        seed_everything(derive_seed(config.seed, ranks.rank))
    schedule = make_schedule(optimizer, config.optim)
    return Training(
        model,
        optimizer,
        schedule,
        step,
        init_sha256=initial.sha256,
        init_store_sha256=initial.store_sha256,
    )
