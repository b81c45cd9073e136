"""Checkpoints: whole or not at all; strict or an error."""

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdnet.engine import official
from scdnet.errors import ScdnetError
from scdnet.models.encoder import DualPathEncoder, EncoderSizes

FORMAT, VERSION = "scdnet-checkpoint", 1
ENCODER = "query.encoder."  # where our checkpoints hold what is used downstream


class CheckpointError(ScdnetError):
    """A checkpoint that is missing, damaged, of another kind, or that does not fit."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state`; `path` is at any time the whole old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".tmp")
    with partial.open("wb") as file:
        torch.save({"format": FORMAT, "version": VERSION, **state}, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, ours or the authors', on the CPU; code in the file is not run."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({str(error).splitlines()[0]})") from None
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: expected a checkpoint, found a {type(state).__name__}")
    if state.get("format") == FORMAT and state.get("version") != VERSION:
        raise CheckpointError(f"{path}: expected version {VERSION}, found {state.get('version')}")
    return state


def is_ours(state: dict[str, Any]) -> bool:
    """Whether `state` was written by `save_checkpoint` (else: by the authors' code, or by something unknown)."""
    return state.get("format") == FORMAT


def query_encoder_weights(state: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """The query encoder's weights in our names."""
    weights = state.get("model" if is_ours(state) else "state_dict", {})
    prefix = ENCODER if is_ours(state) else "encoder_q.encoder."
    weights = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    if not weights:
        raise CheckpointError(f"{path}: no query encoder in it; is this a pretraining checkpoint?")
    try:
        return weights if is_ours(state) else official.encoder_weights(weights)
    except KeyError as error:
        raise CheckpointError(f"{path}: the query encoder lacks the weight {error}") from None


def encoder_from_state(state: dict[str, Any], path: Path, *, num_heads: int | None) -> DualPathEncoder:
    """The query encoder of a checkpoint that has been read from `path`, in eval mode."""
    weights = query_encoder_weights(state, path)
    if is_ours(state):
        num_heads = state["config"]["model"]["heads"]
    if num_heads is None:
        raise CheckpointError(f"{path}: the file does not say how many attention heads it has; give num_heads")
    try:
        encoder = DualPathEncoder(EncoderSizes.from_weights(weights, heads=num_heads))
        encoder.load_state_dict(weights, strict=True)
    except (RuntimeError, KeyError, AssertionError) as error:
        raise CheckpointError(f"{path}: the weights do not fit the encoder ({' '.join(str(error).split())})") from None
    return encoder.eval()


def load_encoder(path: str | Path, *, num_heads: int | None = None) -> DualPathEncoder:
    """The query encoder of a pretraining checkpoint, ours or the authors', on the CPU, in eval mode.

    Sizes come from the weights, every one of which must match; `num_heads` is needed where the file does not say
    (the authors'). Raises CheckpointError.
    """
    return encoder_from_state(read_checkpoint(Path(path)), Path(path), num_heads=num_heads)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
