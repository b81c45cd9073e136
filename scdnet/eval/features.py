"""Clips to features: the one path that all evaluations share."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scdnet.config import Config
from scdnet.data.clips import Clips
from scdnet.data.rank_info import contiguous_ranks
from scdnet.engine.build import build_model, encoder_sizes, open_clips
from scdnet.engine.checkpoint import Checkpoint, CheckpointError, build_encoder, read_checkpoint
from scdnet.engine.device import disable_malloc_trim, resolve_device, seed_everything, set_precision
from scdnet.engine.distributed import broadcast_, gather_rows
from scdnet.engine.logs import log, progress_bar
from scdnet.errors import ScdnetError
from scdnet.models.encoder import NUM_LEVELS, PATHS, DualPathEncoder

BATCH, GPU_BATCH = 64, 256  # clips a forward; no result depends on it
FINAL_LEVEL = NUM_LEVELS  # of both paths: [v_t ; v_s]
RANDOM_INIT, RAW = "none", "raw"  # what may stand in the place of a checkpoint, as controls
BASELINES = {RAW: "raw views", RANDOM_INIT: "untrained"}


class Features(NamedTuple):
    """What is known of clips once the encoder has seen them."""

    x: Tensor  # (N, D) float32 on the CPU
    y: Tensor  # (N,) int64 class ids


class Source(NamedTuple):
    """Where features come from."""

    checkpoint: str  # path, `none` or `raw`
    sha256: str | None
    seed: int | None  # of the pretraining, or of the untrained weights; None where unknown
    epoch: int | None  # completed epochs of pretraining
    pretrained_on: str | None = None  # file name of the store, without suffix; None where unknown
    display_name: str | None = None  # of the pretraining's config, if it has one


class LevelFeatures(nn.Module):
    """An encoder at one of its levels. Source: docs/methods.md."""

    def __init__(self, encoder: DualPathEncoder, level: int) -> None:
        super().__init__()
        self.encoder, self.level = encoder, level

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        """(N, C, T, V, M) -> what each path says at the level, (N, width of the level)."""
        return tuple(self.encoder.levels(clips, path, last=self.level)[-1] for path in PATHS)


class RawViews(nn.Module):
    """The control without any learning: the view itself, flattened."""

    def forward(self, clips: Tensor) -> tuple[Tensor]:
        """(N, C, T, V, M) -> ((N, C*T*V*M),)."""
        return (clips.flatten(1),)


def load_encoder_or_baseline(name: str, config: Config) -> tuple[nn.Module, Source]:
    """The encoder, or control, that `name` stands for, on the CPU.

    `name` is the path of a checkpoint, `none` (the encoder as `config.seed` initialises it) or `raw` (evaluation
    views). Raises CheckpointError if a checkpoint does not fit `config`.
    """
    if name == RAW:
        return RawViews(), Source(name, None, None, None)
    if name == RANDOM_INIT:
        seed_everything(config.seed)
        return build_model(config).query.encoder, Source(name, None, config.seed, 0)
    checkpoint = read_checkpoint(Path(name))
    encoder = build_encoder(
        checkpoint, num_heads=config.model.num_heads, dropout=config.model.dropout
    )
    _check_fits(checkpoint, encoder, config)
    source = Source(name, checkpoint.sha256, None, checkpoint.state.get("epoch"))
    if config := checkpoint.config:
        store, display_name = Path(config["data"]["store"]).stem, config.get("display_name") or None
        source = source._replace(
            seed=config["seed"], pretrained_on=store, display_name=display_name
        )
    return encoder, source


def at_level(encoder: nn.Module, level: int) -> nn.Module:
    """The encoder as `config.feature_level` wants it looked at. Raises ScdnetError for a control that has no levels."""
    if level == FINAL_LEVEL:
        return encoder
    if not isinstance(encoder, DualPathEncoder):
        raise ScdnetError(
            f"feature_level={level}: raw views have no levels; expected a checkpoint, or none"
        )
    return LevelFeatures(encoder, level)


def _check_fits(checkpoint: Checkpoint, encoder: DualPathEncoder, config: Config) -> None:
    wanted, found = vars(encoder_sizes(config)), vars(encoder.sizes)
    path, stream = checkpoint.path, (checkpoint.config or {}).get("stream", config.stream)
    for name in wanted:
        if name != "dropout" and wanted[name] != found[name]:
            raise CheckpointError(
                f"{path}: {name} is {found[name]} in the checkpoint, {wanted[name]} in the config"
            )
    if stream != config.stream:
        raise CheckpointError(
            f"{path}: trained on stream {stream}, the config says {config.stream}"
        )


def extraction_settings(config: Config) -> dict[str, Any]:
    """The values of `config` that features depend on, besides the weights and the store; of controls the seed too."""
    sizes = {key: value for key, value in vars(encoder_sizes(config)).items() if key != "dropout"}
    others = {
        "stream": config.stream,
        "precision": config.precision,
        "cache_dtype": config.data.cache_dtype,
    }
    return {**sizes, **others, "feature_level": config.feature_level}


def load_all_clips(config: Config) -> Clips:
    """The sequences of the config's store on its device, for this rank; says where their frames lie."""
    clips = open_clips(config, resolve_device(config.device))
    log(clips.place)
    disable_malloc_trim()
    return clips


@torch.inference_mode()
def encode(encoder: nn.Module, views: Tensor) -> Tensor:
    """Clips (N, C, T, V, M) -> the parts that the encoder returns side by side: [v_t ; v_s], (N, 2D) float32."""
    return torch.cat(tuple(encoder(views)), dim=1).float()


@torch.inference_mode()
def extract_features(
    encoder: nn.Module, clips: Clips, precision: str = "fp32", *, index: Tensor | None = None
) -> Features:
    """Features of the sequences `index` (N,), by default of all in the order of the store.

    The encoder is put in eval mode, on the device of the clips. Of several ranks each sees a share of the sequences and
    has the features of all in the end. Raises ScdnetError if one is no finite number.
    """
    encoder.to(clips.device).eval()
    broadcast_(
        encoder.buffers()
    )  # batch-norm statistics: without `sync_batchnorm` each rank has its own
    x, compute = [], set_precision(precision, clips.device)
    index = torch.arange(len(clips.label)) if index is None else index
    seen_by = contiguous_ranks(len(index), clips.rank_info.world_size)
    batches = index[seen_by == clips.rank_info.rank].split(
        BATCH if clips.device.type == "cpu" else GPU_BATCH
    )
    for views in progress_bar(
        clips.evaluation_views(batches),
        total=len(batches),
        desc="features",
        unit="batch",
        leave=False,
    ):
        with compute():
            x.append(encode(encoder, views))
    own = torch.cat(x).cpu() if x else torch.empty(0, 0)
    x = gather_rows(own, seen_by.bincount(minlength=clips.rank_info.world_size).tolist())
    features = Features(x, clips.label[index])
    if not features.x.isfinite().all():
        raise ScdnetError(
            "the encoder gives features that are no finite numbers: its training has diverged"
        )
    return features
