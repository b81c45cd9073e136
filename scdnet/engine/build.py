"""From config to model and clips, and whether they go together."""

from dataclasses import replace

import torch

from scdnet.config import Config
from scdnet.data.cache import CPU, free_memory
from scdnet.data.clips import Clips, load_clips
from scdnet.data.rank_info import SINGLE_PROCESS
from scdnet.engine.distributed import all_gather_scalar, local_rank_info, rank_info
from scdnet.errors import ScdnetError
from scdnet.models.encoder import EncoderSizes
from scdnet.models.objective import Objective, hdc_objective, scd_objective
from scdnet.models.scdnet import SCDNet


def encoder_sizes(config: Config) -> EncoderSizes:
    """The sizes of the encoder that `config` describes."""
    model, data = config.model, config.data
    return EncoderSizes(
        base_channels=model.base_channels,
        embed_dim=model.embed_dim,
        num_heads=model.num_heads,
        num_layers=model.num_layers,
        num_frames=data.num_frames,
        num_bodies=data.num_bodies,
        dropout=model.dropout,
        pooling=model.pooling,
    )


def build_objective(config: Config) -> Objective:
    """What `config` contrasts with what."""
    parts = {"scd": scd_objective(config.scd.pairs), "hdc": hdc_objective(**dict(config.hdc))}
    first, *rest = (parts[name] for name in config.objective.split("+"))
    return sum(rest, start=first)


def build_model(config: Config) -> SCDNet:
    """The pretraining model, with weights drawn from torch's random state."""
    model = config.model
    return SCDNet(
        encoder_sizes(config),
        projection_dim=model.projection_dim,
        queue_size=model.queue_size,
        momentum=model.momentum,
        objective=build_objective(config),
    )


def open_clips(config: Config, device: torch.device) -> Clips:
    """The sequences of the config's store for this rank. Raises as `load_clips` does.

    Where the frames go is decided by what is free before any rank has loaded them, and on all ranks alike.
    """
    free = free_memory(device)
    free[CPU] /= local_rank_info().world_size
    free = {place: min(all_gather_scalar(size)) for place, size in free.items()}
    clips = load_clips(config.data, config.stream, device, rank_info=rank_info(), free=free)
    return (
        clips
        if clips.rank_info == SINGLE_PROCESS
        else replace(clips, place=f"{clips.place} of each of {clips.rank_info.world_size} ranks")
    )


def check_sizes(config: Config, num_train: int) -> str | None:
    """What may be wrong with batch and queue for `num_train` sequences. Raises ScdnetError if it surely is."""
    batch, queue, num_ranks = (
        config.data.batch_size,
        config.model.queue_size,
        rank_info().world_size,
    )
    if batch % num_ranks:
        raise ScdnetError(
            f"data.batch_size {batch} is that of all ranks together; {num_ranks} ranks do not divide it"
        )
    if batch > num_train:
        raise ScdnetError(
            f"data.batch_size {batch} exceeds the training split of {num_train} sequences"
        )
    if queue > num_train // 2:
        return (
            f"model.queue_size {queue} is more than half of the {num_train} training sequences; "
            "clips will meet their own old keys among the negatives"
        )
    return None
