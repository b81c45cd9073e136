"""Clips to features: the one path that all evaluations share."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from scdnet.config import Config
from scdnet.data.clips import Clips, load_clips
from scdnet.engine.build import build_model, encoder_sizes
from scdnet.engine.checkpoint import (
    CheckpointError,
    encoder_from_state,
    file_sha256,
    is_ours,
    read_checkpoint,
)
from scdnet.engine.runtime import keep_freed_memory, resolve_device, seed_everything

BATCH = 256  # clips a forward; no result depends on it
UNTRAINED, RAW = "none", "raw"  # what may stand in the place of a checkpoint, as controls


class Features(NamedTuple):
    """What is known of clips once the encoder has seen them."""

    x: Tensor  # (N, D) float32 on the CPU
    y: Tensor  # (N,) int64 class ids


class Source(NamedTuple):
    """Where features come from."""

    checkpoint: str  # path, `none` or `raw`
    sha256: str | None
    epoch: int | None  # completed epochs of pretraining


class RawViews(nn.Module):
    """The control without any learning: the view itself, flattened."""

    def forward(self, clips: Tensor) -> tuple[Tensor]:
        """(N, C, T, V, M) -> ((N, C*T*V*M),)."""
        return (clips.flatten(1),)


@torch.inference_mode()
def extract_features(encoder: nn.Module, clips: Clips, index: Tensor | None = None) -> Features:
    """Features of the sequences `index` (N,), all by default, in that order; the encoder is put in eval mode.

    The parts that the encoder returns are put side by side: [v_t ; v_s], (N, 2D).
    """
    index = torch.arange(len(clips.label)) if index is None else index
    encoder.eval()
    x = []
    for batch in tqdm(index.split(BATCH), desc="features", unit="batch", leave=False, disable=None):
        out = encoder(clips.evaluation_views(batch.to(clips.frames.device)))
        x.append(torch.cat(tuple(out), dim=1).float().cpu())
    return Features(torch.cat(x), clips.label[index])


def features_of(checkpoint: str, config: Config) -> tuple[Features, Clips, Source]:
    """Features of all sequences of the config's store, with its clips, by an encoder or a control.

    `checkpoint` is a path, `none` (the encoder as `config.seed` initialises it) or `raw` (evaluation views).
    """
    device = resolve_device(config.device)
    keep_freed_memory()
    encoder, source = encoder_of(checkpoint, config)
    clips = load_clips(config.data, config.stream, device)
    return extract_features(encoder.to(device), clips), clips, source


def encoder_of(checkpoint: str, config: Config) -> tuple[nn.Module, Source]:
    """The encoder, or control, that `checkpoint` names. Raises CheckpointError if it does not fit `config`."""
    if checkpoint == RAW:
        return RawViews(), Source(checkpoint, None, None)
    if checkpoint == UNTRAINED:
        seed_everything(config.seed)
        return build_model(config).query.encoder, Source(checkpoint, None, 0)
    path = Path(checkpoint)
    state = read_checkpoint(path)
    encoder = encoder_from_state(state, path, num_heads=config.model.heads)
    _check_fits(state, encoder, config, path)
    return encoder, Source(checkpoint, file_sha256(path), state.get("epoch"))


def _check_fits(state: dict[str, Any], encoder: nn.Module, config: Config, path: Path) -> None:
    wanted, found = vars(encoder_sizes(config)), vars(encoder.sizes)
    differing = [name for name in wanted if name != "dropout" and wanted[name] != found[name]]
    for name in differing:
        raise CheckpointError(f"{path}: {name} is {found[name]} in the checkpoint, {wanted[name]} in the config")
    if is_ours(state) and state["config"]["stream"] != config.stream:
        raise CheckpointError(f"{path}: trained on stream {state['config']['stream']}, the config says {config.stream}")
