"""Build models and clips from the config, and check that they go together."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, TypeVar

import torch

from scdnet.config import Config, DataConfig, ModelConfig
from scdnet.data.cache import CPU, free_memory
from scdnet.data.clips import SINGLE_PROCESS, Clips, RankInfo, load_clips
from scdnet.data.mixture import Mixture, apportion, load_mixture
from scdnet.engine.distributed import all_gather_scalar, local_rank_info
from scdnet.errors import ScdnetError
from scdnet.models.encoder import EncoderSizes
from scdnet.models.latent import Latent
from scdnet.models.objective import Objective, hdc_objective, latent_objective, scd_objective
from scdnet.models.scdnet import SCDNet
from scdnet.skeleton import Skeleton
from scdnet.streams import ALL_STREAMS, STREAMS

Loaded = TypeVar("Loaded", Clips, Mixture)
# The number of training sequences, or of those of each of several stores.
NumTrain = int | tuple[int, ...]


def encoder_sizes(config: Config) -> EncoderSizes:
    """Return the sizes of the encoder that the config describes."""
    model = config.model
    data = config.data
    return EncoderSizes(
        base_channels=model.base_channels,
        embed_dim=model.embed_dim,
        num_heads=model.num_heads,
        num_layers=model.num_layers,
        num_frames=data.num_frames,
        num_bodies=data.num_bodies,
        dropout=model.dropout,
        pooling=model.pooling,
        align_sides=model.align_sides,
        component_weight=model.component_weight,
        num_streams=len(STREAMS) if config.stream == ALL_STREAMS else 1,
    )


def build_objective(config: Config) -> Objective:
    """Build the training objective of a config: contrasts, a prediction, or both."""
    parts = {
        "scd": scd_objective(config.scd.pairs),
        "hdc": hdc_objective(**dict(config.hdc)),
        "latent": latent_objective(Latent(config.latent, config.stream)),
    }
    first, *rest = (parts[part] for part in config.objective.split("+"))
    return sum(rest, start=first)


def build_model(
    config: Config, objective: Objective, *, skeleton: Skeleton, num_train: NumTrain | None = None
) -> SCDNet:
    """Build the pretraining model, with weights drawn from torch's random state.

    `num_train` is the number of training sequences, which a queue of size `auto` depends on.
    Raises ScdnetError if nothing or everything would be hidden of a clip, or if a queue has fewer
    keys than neighbors are asked for.
    """
    if objective.latent is not None:
        _check_hidden(objective.latent, skeleton, config.data.num_frames)
    queue_size = resolve_sizes(config.data, config.model, num_train).queue_size
    # The model is built for its encoder alone where the number of sequences is not given.
    is_known = num_train is not None or config.model.queue_size != "auto"
    if is_known and config.neighbours.k > queue_size:
        raise ScdnetError(
            f"neighbours.k: expected at most the {queue_size} keys of a queue "
            f"(model.queue_size {config.model.queue_size}), found {config.neighbours.k}"
        )
    return SCDNet(
        encoder_sizes(config),
        skeleton,
        projection_dim=config.model.projection_dim,
        queue_size=queue_size,
        momentum=config.model.momentum,
        objective=objective,
    )


def _check_hidden(latent: Latent, skeleton: Skeleton, num_frames: int) -> None:
    """Raise ScdnetError unless some joints and some frames are hidden, and others are not."""
    sizes = (skeleton.num_joints, num_frames)
    config = latent.config
    hidden = config.num_hidden(*sizes)
    keys = {"joint_fraction": "joints", "frame_fraction": "frames"}
    for (key, kind), size, num in zip(keys.items(), sizes, hidden, strict=True):
        if not 0 < num < size:
            raise ScdnetError(
                f"latent.{key}: expected to hide between 1 and {size - 1} of {size} {kind}, "
                f"found {getattr(config, key)}, which is {num} of them"
            )


def open_clips(
    data: DataConfig, stream: str, device: torch.device, *, ranks: RankInfo = SINGLE_PROCESS
) -> Clips:
    """Load the sequences of a store for this rank of `ranks`. Raises as `load_clips` does."""
    return _open(load_clips, data, stream, device, ranks=ranks)


def open_mixture(
    data: DataConfig, stream: str, device: torch.device, *, ranks: RankInfo = SINGLE_PROCESS
) -> Mixture:
    """Load the sequences of all stores for this rank of `ranks`. Raises as `load_mixture` does."""
    return _open(load_mixture, data, stream, device, ranks=ranks)


def _open(
    load: Callable[..., Loaded],
    data: DataConfig,
    stream: str,
    device: torch.device,
    *,
    ranks: RankInfo,
) -> Loaded:
    """Load sequences, cached at the same place on all ranks.

    It follows from the memory that is free before any rank has loaded them.
    """
    free = free_memory(device)
    free[CPU] /= local_rank_info().world_size
    free = {place: min(all_gather_scalar(size)) for place, size in free.items()}
    clips = load(data, stream, device, rank_info=ranks, free=free)
    if ranks == SINGLE_PROCESS:
        return clips
    return replace(
        clips, cache_summary=f"{clips.cache_summary} of each of {ranks.world_size} ranks"
    )


class BatchSizes(NamedTuple):
    """The sizes of a batch and of a queue, as they suit a training split."""

    batch_size: int
    queue_size: int


def total(num_train: NumTrain) -> int:
    """Return the number of training sequences of all stores."""
    return num_train if isinstance(num_train, int) else sum(num_train)


def resolve_sizes(data: DataConfig, model: ModelConfig, num_train: NumTrain | None) -> BatchSizes:
    """Return the sizes of batch and queue for `num_train` sequences; None: not known.

    A batch is at most the whole split. They follow from config and stores alone, so a run that is
    resumed has the same ones.
    """
    batch_size = data.batch_size if num_train is None else min(data.batch_size, total(num_train))
    if model.queue_size != "auto":
        return BatchSizes(batch_size, model.queue_size)
    recurrence = 0 if num_train is None else _recurrence(data, num_train)
    # The largest power of two that is at most a quarter; 0 if a quarter is less than 1.
    queue_size = (1 << (recurrence // 4).bit_length()) // 2
    return BatchSizes(batch_size, max(queue_size, batch_size))


def _recurrence(data: DataConfig, num_train: NumTrain) -> int:
    """Return after how many sequences one that was drawn comes again, where it does soonest."""
    if data.shares is None or isinstance(num_train, int):
        return total(num_train)
    # A share can be so small that it is 0; that of one store is not.
    parts = zip(num_train, data.shares, strict=True)
    return int(min(num / share for num, share in parts if share))


def check_sizes(
    data: DataConfig, model: ModelConfig, *, num_train: NumTrain, num_ranks: int
) -> str | None:
    """Check batch, shares and queue against `num_train` sequences; return a warning, or None.

    Raises ScdnetError if they cannot work.
    """
    batch_size, queue_size = resolve_sizes(data, model, num_train)
    num_all = total(num_train)
    if num_all < 2:
        stores = ", ".join(map(str, data.stores))
        benchmarks = ", ".join(map(repr, dict.fromkeys(data.benchmarks)))
        found = "one sequence" if num_all else "no sequence that is not left out"
        raise ScdnetError(
            f"{stores}: the training split of benchmark {benchmarks} has {found}; "
            "expected two or more, as sequences are contrasted with each other"
        )
    _check_shares(data, num_train, num_all // batch_size * batch_size)
    if batch_size % num_ranks:
        whole = ", the whole training split," if batch_size < data.batch_size else ""
        raise ScdnetError(
            f"data.batch_size {batch_size}{whole} (over all ranks) is not a multiple of "
            f"the number of ranks, {num_ranks}"
        )
    recurrence = _recurrence(data, num_train)
    if queue_size <= recurrence // 2:
        return None
    is_auto = model.queue_size == "auto"
    # An automatic one is that long only if a batch is.
    name = f"model.queue_size {queue_size}{' (auto: a batch)' if is_auto else ''}"
    half = f"the {num_all} training sequences"
    if recurrence < num_all:
        half = f"the {recurrence} sequences after which data.sampling draws the same one again"
    return (
        f"{name} is more than half of {half}, so old keys of the same "
        f"sequences become negatives; lower {'data.batch_size' if is_auto else 'model.queue_size'}"
    )


def _check_shares(data: DataConfig, num_train: NumTrain, size: int) -> None:
    """Raise ScdnetError if an epoch of `size` sequences draws none of a store, or has none."""
    if data.shares is None or isinstance(num_train, int):
        return
    for store, num in zip(data.stores, num_train, strict=True):
        if num == 0:
            raise ScdnetError(
                f"{store}: data.sampling gives it a share, but no training sequence is left, as "
                "all are test sequences of another store or are contained in an earlier one; "
                "leave it out of data.store, or set data.sampling=proportional"
            )
    apportion(size, data.shares)
