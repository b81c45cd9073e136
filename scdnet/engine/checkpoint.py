"""Checkpoints: whole or not at all; strict or an error."""

import errno
import hashlib
import pickle
import re
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from scdnet.engine import official
from scdnet.errors import ScdnetError
from scdnet.files import atomic_write
from scdnet.models.encoder import DualPathEncoder, EncoderSizes

FORMAT, VERSION = "scdnet-checkpoint", 3
CONTENT = {  # of our checkpoints
    "config": dict,
    "epoch": int,  # completed ones
    "unfinished": dict,  # the state of the epoch after them; empty: not begun
    "best": dict,  # the best score so far and its epoch; empty: none
    "model": dict,
    "optimizer": dict,
    "random": list,  # a dict of states for each rank
}
DAMAGED = (  # what reading a damaged file raises; NotImplementedError of zipfile is a RuntimeError
    *(RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(OSError, zipfile.BadZipFile, zlib.error, struct.error),
)
OLD_HEAD = re.compile(
    r"^(query|key)\.(temporal|spatial|instance)\."
)  # names of version 2, and of 3 at first
ENCODER = "query.encoder."  # where our checkpoints hold what is used downstream


class CheckpointError(ScdnetError):
    """A checkpoint that is missing, damaged, of another kind, or that does not fit."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint that cannot be read, and that no other machine, version or memory could read either."""


class Checkpoint(NamedTuple):
    """A checkpoint that has been read."""

    path: Path
    sha256: str  # of the very bytes that were read
    state: dict[str, Any]

    @property
    def is_ours(self) -> bool:
        """Whether it was written by `save_checkpoint` (else: by the authors' code, or by something unknown)."""
        return self.state.get("format") == FORMAT

    @property
    def config(self) -> dict[str, Any] | None:
        """The dumped config of the run that wrote it; None if that was not ours."""
        return self.state["config"] if self.is_ours else None


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state`, which has the keys of CONTENT; `path` is at any time the whole old file or the whole new one.

    Raises CheckpointError if it cannot be written.
    """
    assert state.keys() == CONTENT.keys(), state.keys()
    try:
        with atomic_write(path) as partial:
            torch.save({"format": FORMAT, "version": VERSION, **state}, partial)
    except (OSError, RuntimeError) as error:  # the latter is what torch makes of a full disk
        free = shutil.disk_usage(path.parent).free / 1e9
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path}: cannot be written ({reason}); {free:.2f} GB are free there"
        ) from error


def read_checkpoint(path: Path) -> Checkpoint:
    """The content of a checkpoint, ours or the authors', on the CPU; code in the file is not run.

    Raises CheckpointError if it is missing or of another kind, DamagedCheckpointError if it is damaged, by the
    checksums that torch writes or because it cannot be read.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            _check_sums(file)
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch's own message advises to run the code
        raise DamagedCheckpointError(
            f"{path}: not a checkpoint, or one that would run code"
        ) from None
    except DAMAGED as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        kind = CheckpointError if _is_of_the_machine(error) else DamagedCheckpointError
        raise kind(f"{path}: not a readable checkpoint ({reason})") from None
    checkpoint = Checkpoint(path, sha256, state if isinstance(state, dict) else {})
    if checkpoint.is_ours:
        _check_content(checkpoint)
    return checkpoint


def _is_of_the_machine(error: Exception) -> bool:
    """Whether a file cannot be read because of a disk, a network or too little memory: it may be whole."""
    if isinstance(error, OSError):
        return error.errno not in (
            None,
            errno.EINVAL,
        )  # the latter: a place that a damaged file speaks of
    return "memory" in str(error)  # torch says so in a RuntimeError


def _check_sums(file: BinaryIO) -> None:
    """Raise BadZipFile if a record of the zip archive that torch writes has not its CRC-32; torch does not look."""
    if zipfile.is_zipfile(file):  # the format of before is none
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"{damaged} is damaged")


def _check_content(checkpoint: Checkpoint) -> None:
    state = checkpoint.state
    if state.get("version") == 2:  # written at the end of an epoch, by one process
        state |= {"version": VERSION, "unfinished": {}, "best": {}, "random": [state.get("random")]}
    if isinstance(state.get("model"), dict):
        state["model"] = {
            OLD_HEAD.sub(r"\1.heads.\2.", name): x for name, x in state["model"].items()
        }
    if state.get("version") != VERSION:
        raise CheckpointError(
            f"{checkpoint.path}: expected version {VERSION}, found {state.get('version')}"
        )
    for key, kind in CONTENT.items():
        if not isinstance(state.get(key), kind):
            found = type(state[key]).__name__ if key in state else "nothing"
            raise CheckpointError(
                f"{checkpoint.path}: expected {key} to be a {kind.__name__}, found {found}"
            )


def query_encoder_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The query encoder's weights in our names. Raises CheckpointError if they are not all there."""
    ours = checkpoint.is_ours
    weights = checkpoint.state.get("model" if ours else "state_dict")
    prefix = ENCODER if ours else "encoder_q.encoder."
    weights = official.within(weights if isinstance(weights, dict) else {}, prefix)
    if not weights:
        raise CheckpointError(
            f"{checkpoint.path}: no query encoder in it; is this a pretraining checkpoint?"
        )
    return weights if ours else official.encoder_weights(weights)


def build_encoder(
    checkpoint: Checkpoint, *, num_heads: int | None, dropout: float = EncoderSizes.dropout
) -> DualPathEncoder:
    """The query encoder of a checkpoint, in eval mode, with `dropout` for further training. Raises CheckpointError."""
    path = checkpoint.path
    pooling = EncoderSizes.pooling  # the authors'
    if checkpoint.is_ours:
        model = checkpoint.state["config"]["model"]
        num_heads, pooling = model["num_heads"], model.get("pooling", pooling)
    if num_heads is None:
        raise CheckpointError(
            f"{path}: the file does not say how many attention heads it has; give num_heads"
        )
    try:
        weights = query_encoder_weights(checkpoint)
        encoder = DualPathEncoder(
            EncoderSizes.from_weights(
                weights, num_heads=num_heads, dropout=dropout, pooling=pooling
            )
        )
        encoder.load_state_dict(weights, strict=True)
    except (
        RuntimeError,
        KeyError,
        AssertionError,
        ValueError,
        TypeError,
        AttributeError,
        ArithmeticError,
    ) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"{path}: the weights do not fit an encoder of {num_heads} heads ({reason})"
        ) from None
    return encoder.eval()


def load_encoder(path: str | Path, *, num_heads: int | None = None) -> DualPathEncoder:
    """The query encoder of a pretraining checkpoint, ours or the authors', on the CPU, in eval mode.

    Sizes come from the weights, every one of which must match; `num_heads` is needed where the file does not say
    (the authors'). Raises CheckpointError.
    """
    return build_encoder(read_checkpoint(Path(path)), num_heads=num_heads)
