"""Build models and clips from sections of the config, and check that they go together."""

from dataclasses import replace

import torch

from scdnet.config import DataConfig, HdcConfig, ModelConfig, ScdConfig
from scdnet.data.cache import CPU, free_memory
from scdnet.data.clips import SINGLE_PROCESS, Clips, RankInfo, load_clips
from scdnet.engine.distributed import all_gather_scalar, local_rank_info
from scdnet.errors import ScdnetError
from scdnet.models.encoder import EncoderSizes
from scdnet.models.objective import Objective, hdc_objective, scd_objective
from scdnet.models.scdnet import SCDNet
from scdnet.skeleton import Skeleton


def encoder_sizes(model: ModelConfig, data: DataConfig) -> EncoderSizes:
    """Return the sizes of the encoder that the sections describe."""
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


def build_objective(name: str, scd: ScdConfig, hdc: HdcConfig) -> Objective:
    """Build the training objective `name`: scd, hdc or scd+hdc."""
    parts = {"scd": scd_objective(scd.pairs), "hdc": hdc_objective(**dict(hdc))}
    first, *rest = (parts[part] for part in name.split("+"))
    return sum(rest, start=first)


def build_model(
    model: ModelConfig, data: DataConfig, objective: Objective, skeleton: Skeleton
) -> SCDNet:
    """Build the pretraining model, with weights drawn from torch's random state."""
    return SCDNet(
        encoder_sizes(model, data),
        skeleton,
        projection_dim=model.projection_dim,
        queue_size=model.queue_size,
        momentum=model.momentum,
        objective=objective,
    )


def open_clips(
    data: DataConfig, stream: str, device: torch.device, *, ranks: RankInfo = SINGLE_PROCESS
) -> Clips:
    """Load the sequences of a store for this rank of `ranks`. Raises as `load_clips` does.

    Where the frames are cached follows from the memory that is free before any rank has loaded
    them, and is the same on all ranks.
    """
    free = free_memory(device)
    free[CPU] /= local_rank_info().world_size
    free = {place: min(all_gather_scalar(size)) for place, size in free.items()}
    clips = load_clips(data, stream, device, rank_info=ranks, free=free)
    if ranks == SINGLE_PROCESS:
        return clips
    return replace(
        clips, cache_summary=f"{clips.cache_summary} of each of {ranks.world_size} ranks"
    )


def check_sizes(batch_size: int, queue_size: int, *, num_train: int, num_ranks: int) -> str | None:
    """Check batch and queue against `num_train` sequences; return a warning, or None.

    Raises ScdnetError if they cannot work.
    """
    if batch_size % num_ranks:
        raise ScdnetError(
            f"data.batch_size {batch_size} (over all ranks) is not a multiple of "
            f"the number of ranks, {num_ranks}"
        )
    if batch_size > num_train:
        raise ScdnetError(
            f"data.batch_size {batch_size} exceeds the training split of {num_train} sequences; "
            "lower data.batch_size"
        )
    if queue_size > num_train // 2:
        return (
            f"model.queue_size {queue_size} is more than half of the {num_train} training "
            "sequences, so old keys of the same sequences become negatives; "
            "lower model.queue_size"
        )
    return None
