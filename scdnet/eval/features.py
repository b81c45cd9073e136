"""From checkpoint to features: the one path that all evaluations share."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scdnet.config import Config
from scdnet.data.clips import SINGLE_PROCESS, Clips, contiguous_ranks
from scdnet.engine.build import build_model, build_objective, encoder_sizes
from scdnet.engine.device import seed_everything, set_precision
from scdnet.engine.distributed import all_gather_rows, broadcast_, is_initialized
from scdnet.engine.logs import progress_bar
from scdnet.engine.sources import check_fits, read_pretrained
from scdnet.errors import ScdnetError
from scdnet.memory import memory_advice
from scdnet.models.encoder import PATHS, DualPathEncoder
from scdnet.results.record import FINAL_LEVEL, EncoderRecord, ModuleBaseline
from scdnet.skeleton import Skeleton

# Clips of a forward pass; results do not depend on it.
BATCH = 64
GPU_BATCH = 256


class Features(NamedTuple):
    """Features and classes of clips."""

    x: Tensor  # (N, D) float32 on the CPU
    y: Tensor  # (N,) int64


class LevelFeatures(nn.Module):
    """An encoder cut off at one of its levels. Source: docs/objectives.md."""

    def __init__(self, encoder: DualPathEncoder, level: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.level = level

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        """Return what each path outputs at the level: (N, C, T, V, M) -> (N, width) each."""
        return tuple(self.encoder.level_features(clips, path, self.level)[-1] for path in PATHS)


class RawViews(nn.Module):
    """The baseline without an encoder: the flattened view, joints if it is of all streams."""

    def forward(self, clips: Tensor) -> tuple[Tensor]:
        """Flatten clips: (N, C, T, V, M) -> ((N, C*T*V*M),)."""
        return (clips.flatten(1),)


def load_encoder_or_baseline(
    source: Path | ModuleBaseline, config: Config, skeleton: Skeleton
) -> tuple[nn.Module, EncoderRecord]:
    """Load the encoder that a path or name asks for, or build a baseline; both on the CPU.

    `raw` is the evaluation view itself, `random-init` the encoder as `config.seed` initializes it.
    Raises CheckpointError if weights do not fit `config` or the `skeleton` of the store,
    ScdnetError if a baseline does not have the level `config.feature_level`.
    """
    level = config.feature_level
    if not isinstance(source, Path):
        record = EncoderRecord(
            baseline=source,
            feature_level=level,
            checkpoint=None,
            checkpoint_sha256=None,
            stream=config.stream,
            seed=None if source == "raw" else config.seed,
            epoch=None if source == "raw" else 0,
        )
        return at_level(_build_baseline(source, config, skeleton), level), record
    found = read_pretrained(source)
    encoder = found.build(num_heads=config.model.num_heads, dropout=config.model.dropout)
    check_fits(found, encoder, config=config, skeleton=skeleton, components=True)
    record = EncoderRecord(
        feature_level=level,
        checkpoint=found.source,
        checkpoint_sha256=found.sha256,
        stream=config.stream,
        seed=found.origin.seed,
        epoch=found.origin.epoch,
        pretrained_on=found.origin.stores,
        pretrained_sha256=found.origin.store_sha256,
        display_name=found.origin.display_name,
    )
    return at_level(encoder, level), record


def _build_baseline(name: ModuleBaseline, config: Config, skeleton: Skeleton) -> nn.Module:
    if name == "raw":
        return RawViews()
    seed_everything(config.seed)
    objective = build_objective(config)
    return build_model(config, objective, skeleton=skeleton).query.encoder


def at_level(encoder: nn.Module, level: int) -> nn.Module:
    """Cut off an encoder at a level. Raises ScdnetError for a baseline that has no levels."""
    if level == FINAL_LEVEL:
        return encoder
    if not isinstance(encoder, DualPathEncoder):
        raise ScdnetError(
            f"feature_level={level}: raw views have no levels; "
            "expected a checkpoint or --baseline random-init"
        )
    return LevelFeatures(encoder, level)


def extraction_settings(config: Config) -> dict[str, Any]:
    """Return the values of the config that features depend on, besides encoder and store."""
    sizes = vars(encoder_sizes(config))
    others = {
        "components": config.model.components,
        "precision": config.precision,
        "cache_dtype": config.data.cache_dtype,
    }
    return {key: sizes[key] for key in sizes if key != "dropout"} | others


def raw_settings(config: Config) -> dict[str, Any]:
    """Return the values of the config that raw views depend on: those without an encoder's."""
    settings = extraction_settings(config)
    return {key: settings[key] for key in ("num_frames", "num_bodies", "cache_dtype")}


@torch.inference_mode()
def encode(encoder: nn.Module, views: Tensor) -> Tensor:
    """Encode clips (N, C, T, V, M) as `join_features` does, without gradients."""
    return join_features(encoder, views)


def join_features(encoder: nn.Module, views: Tensor) -> Tensor:
    """Encode clips (N, C, T, V, M) as the outputs side by side: [v_t ; v_s], (N, 2D) float32.

    Components, if the encoder has them, come last.
    """
    if isinstance(encoder, DualPathEncoder):
        outputs = encoder.all_features(views)
    else:
        outputs = tuple(encoder(views))
    return torch.cat(outputs, dim=1).float()


@memory_advice("use data.cache=none, a smaller model or, if it is a GPU, device=cpu")
@torch.inference_mode()
def extract_features(
    encoder: nn.Module, clips: Clips, precision: str = "fp32", *, index: Tensor | None = None
) -> Features:
    """Extract the features of the sequences `index` (N,), by default of all, in their order.

    The encoder is put in eval mode, on the device of the clips. Several ranks, while they are
    connected, share the sequences, and each returns the features of all. Raises ScdnetError if a
    feature is not finite.
    """
    # An encoder that inference mode copied to a GPU could not be trained afterwards.
    with torch.inference_mode(mode=False):
        encoder.to(clips.device).eval()
    # Each rank has batch-norm statistics of its own, unless `sync_batchnorm` is set.
    broadcast_(encoder.buffers())
    mixed_precision = set_precision(precision, clips.device)
    index = torch.arange(len(clips.label)) if index is None else index
    rank, world_size = clips.rank_info if is_initialized() else SINGLE_PROCESS
    rank_of = contiguous_ranks(len(index), world_size)
    batches = index[rank_of == rank].split(BATCH if clips.device.type == "cpu" else GPU_BATCH)
    views = clips.evaluation_views(batches)
    parts = []
    for batch in progress_bar(
        views, total=len(batches), desc="features", unit="batch", leave=False
    ):
        with mixed_precision():
            parts.append(encode(encoder, batch))
    own = torch.cat(parts).cpu() if parts else torch.empty(0, 0)
    x = all_gather_rows(own, rank_of.bincount(minlength=world_size).tolist())
    if not x.isfinite().all():
        raise ScdnetError("the encoder outputs features that are not finite: training has diverged")
    return Features(x, clips.label[index])
