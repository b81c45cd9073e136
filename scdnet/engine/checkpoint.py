"""Checkpoints: written whole or not at all, read strictly or refused."""

import hashlib
import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from scdnet.engine import official
from scdnet.engine.numpy_scalars import NUMPY_SCALARS
from scdnet.errors import ScdnetError
from scdnet.files import DAMAGED_FILE_ERRORS, atomic_write, name_download_fault
from scdnet.models.components import Components
from scdnet.models.encoder import ADJACENCY, DualPathEncoder, EncoderSizes
from scdnet.skeleton import Skeleton
from scdnet.skeletons import DEFAULT_SKELETON

FORMAT = "scdnet-checkpoint"
VERSION = 2
CONTENT = {
    "config": dict,
    # The result of `Skeleton.to_dict`.
    "skeleton": dict,
    # The hash of the content of each store that it was trained on, with blanks between them.
    "store_sha256": str,
    # The hash of the weights that the run has started from; empty: random ones.
    "init_sha256": str,
    # The hashes of the stores that those weights were trained on; empty: unknown, or random ones.
    "init_store_sha256": str,
    # The number of completed epochs.
    "epoch": int,
    # The state of the epoch after them, and metrics that are not logged yet; empty if there are
    # neither.
    "unfinished": dict,
    # The best score so far and its epoch or step; empty if there is none.
    "best": dict,
    "model": dict,
    "optimizer": dict,
    # A dict of states for each rank.
    "random": list,
}
# Bytes of a checkpoint that are written at a time.
BUFFER_BYTES = 2**16
# The attribute of directories in a zip archive, by which torch knows them.
DIRECTORY = 0x10
# Entries of a file without an encoder that are named.
MAX_NAMES = 3
# The part of the model that evaluations use.
ENCODER = "query.encoder."
# The part of the encoder that is fitted, not trained.
COMPONENTS = "components."


# Missing memory, and damage of any kind.
UNREADABLE: tuple[type[Exception], ...] = (MemoryError, *DAMAGED_FILE_ERRORS)
# The attention layer asserts that its heads divide its width.
MISFITS: tuple[type[Exception], ...] = (AssertionError, *DAMAGED_FILE_ERRORS)


class CheckpointError(ScdnetError):
    """A checkpoint that is missing, damaged, of another kind, or that does not fit."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint that no machine, version or amount of memory could read."""


class Checkpoint(NamedTuple):
    """A checkpoint that has been read."""

    path: Path
    # The hash of the very bytes that were read.
    sha256: str
    state: dict[str, Any]

    @property
    def is_ours(self) -> bool:
        """Check whether `save_checkpoint` wrote it, not the authors' code or another program."""
        return self.state.get("format") == FORMAT

    @property
    def epoch(self) -> int | None:
        """Return the number of completed epochs, if the file states it."""
        epoch = self.state.get("epoch")
        return int(epoch) if isinstance(epoch, int | np.integer) else None

    @property
    def config(self) -> dict[str, Any] | None:
        """Return the dumped config of the run that wrote it, or None if it is not ours."""
        return self.state["config"] if self.is_ours else None


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state`, which has the keys of CONTENT.

    At any moment `path` is the whole old file or the whole new one. Raises CheckpointError if it
    cannot be written.
    """
    assert state.keys() == CONTENT.keys(), state.keys()
    try:
        with atomic_write(path) as file:
            # torch writes thousands of small pieces.
            buffer = io.BufferedWriter(file, BUFFER_BYTES)
            torch.save({"format": FORMAT, "version": VERSION, **state}, buffer)
            buffer.detach()
    except ScdnetError as error:
        raise CheckpointError(str(error)) from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, ours or the authors', on the CPU; code in the file is not run.

    Raises CheckpointError if it is missing or of another kind, DamagedCheckpointError if it cannot
    be read or its checksums do not match.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        content = path.read_bytes()
        fault = name_download_fault(content) if content else "an empty file"
        if fault is not None:
            raise DamagedCheckpointError(f"{path}: expected a checkpoint, found {fault}")
        _verify_checksums(content)
        with safe_globals(NUMPY_SCALARS):
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # The message of torch advises to run the code in the file.
        raise DamagedCheckpointError(f"{path}: {_explain_refusal(content)}") from None
    except UNREADABLE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        # A disk, a network or too little memory is to blame: the file may be whole. torch reports
        # missing memory as a RuntimeError.
        is_of_machine = isinstance(error, OSError | MemoryError) or "memory" in str(error)
        kind = CheckpointError if is_of_machine else DamagedCheckpointError
        raise kind(f"{path}: not a readable checkpoint ({reason})") from None
    sha256 = hashlib.sha256(content).hexdigest()
    checkpoint = Checkpoint(path, sha256, state if isinstance(state, dict) else {})
    if checkpoint.is_ours:
        _check_content(checkpoint)
    return checkpoint


def _verify_checksums(content: bytes) -> None:
    """Raise BadZipFile if a record of torch's zip archive does not match its CRC-32.

    torch itself does not check, and takes what is in memory for a record that is marked as a
    directory but named as a file. Files in its older format, which the authors' may have, contain
    no checksums.
    """
    file = io.BytesIO(content)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            marked = (
                record.filename
                for record in archive.infolist()
                if record.external_attr & DIRECTORY and not record.is_dir()
            )
            damaged = archive.testzip() or next(marked, None)
        if damaged is not None:
            raise zipfile.BadZipFile(f"{damaged} is damaged")


def _explain_refusal(content: bytes) -> str:
    """Explain why torch does not load a file, as unsafe or as no checkpoint at all."""
    try:
        with safe_globals(NUMPY_SCALARS):
            unsafe = get_unsafe_globals_in_checkpoint(io.BytesIO(content))
    except DAMAGED_FILE_ERRORS:
        unsafe = []
    if unsafe:
        names = ", ".join(sorted(unsafe)[:MAX_NAMES])
        return f"not a safe checkpoint: besides tensors and numbers it contains {names}"
    return "not a readable checkpoint (torch cannot unpickle it)"


def _check_content(checkpoint: Checkpoint) -> None:
    state = checkpoint.state
    if state.get("version") != VERSION:
        raise CheckpointError(
            f"{checkpoint.path}: expected version {VERSION}, found {state.get('version')}"
        )
    # Runs from before these keys existed started from random weights.
    for key in ("init_sha256", "init_store_sha256"):
        state.setdefault(key, "")
    for key, kind in CONTENT.items():
        if not isinstance(state.get(key), kind):
            found = type(state[key]).__name__ if key in state else "nothing"
            raise CheckpointError(
                f"{checkpoint.path}: expected {key} of type {kind.__name__}, found {found}"
            )


def query_encoder_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return the query encoder's weights by our names.

    Raises CheckpointError if there are none, KeyError if some are missing.
    """
    if checkpoint.is_ours:
        found = official.find_state(checkpoint.state["model"])
        weights = official.within(found, ENCODER)
    else:
        found = official.find_state(checkpoint.state)
        weights = official.find_encoder(found)
    if not weights:
        names = ", ".join(map(str, [*(found or checkpoint.state)][:MAX_NAMES])) or "nothing"
        raise CheckpointError(
            f"{checkpoint.path}: it contains no query encoder; is this a pretraining checkpoint? "
            f"Its first entries are {names}"
        )
    return weights


def _read_skeleton(checkpoint: Checkpoint) -> Skeleton:
    try:
        return Skeleton.from_dict(checkpoint.state["skeleton"])
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.path}: skeleton: {error}") from None


def build_encoder(
    checkpoint: Checkpoint, *, num_heads: int | None, dropout: float = EncoderSizes.dropout
) -> DualPathEncoder:
    """Build the query encoder of a checkpoint, in eval mode.

    `num_heads` is used for files that do not state it (the authors'); `dropout` matters for further
    training only. Raises CheckpointError if the weights do not fit.
    """
    path = checkpoint.path
    pooling = EncoderSizes.pooling
    align_sides = EncoderSizes.align_sides
    component_weight = EncoderSizes.component_weight
    skeleton = DEFAULT_SKELETON
    if checkpoint.is_ours:
        model = checkpoint.state["config"]["model"]
        num_heads = model["num_heads"]
        pooling = model["pooling"]
        # Runs from before the keys existed did not align, and gave components a weight of 1.
        align_sides = model.get("align_sides", align_sides)
        component_weight = model.get("component_weight", component_weight)
        skeleton = _read_skeleton(checkpoint)
    try:
        weights = query_encoder_weights(checkpoint)
        if num_heads is None:
            raise CheckpointError(
                f"{path}: the file does not state its number of attention heads; pass num_heads"
            )
        num_joints = weights[ADJACENCY].shape[-1]
        if not checkpoint.is_ours and num_joints != skeleton.num_joints:
            raise CheckpointError(
                f"{path}: weights for {num_joints} joints, but expected {skeleton.num_joints} of "
                f"{skeleton.name}, as the file states no skeleton; give a checkpoint of "
                "scdnet train"
            )
        sizes = EncoderSizes.from_weights(
            weights,
            num_heads=num_heads,
            dropout=dropout,
            pooling=pooling,
            align_sides=align_sides,
            component_weight=component_weight,
        )
        encoder = assemble_encoder(weights, sizes, skeleton)
    except MISFITS as error:
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"{path}: the weights do not fit an encoder with {num_heads} heads ({reason})"
        ) from None
    return encoder.eval()


def assemble_encoder(
    weights: Mapping[str, Tensor], sizes: EncoderSizes, skeleton: Skeleton
) -> DualPathEncoder:
    """Build an encoder with `weights`, and the components that these contain.

    Raises KeyError or RuntimeError if they do not fit.
    """
    encoder = DualPathEncoder(sizes, skeleton)
    components = official.within(weights, COMPONENTS)
    for name in {key.split(".")[0] for key in components}:
        own = official.within(components, f"{name}.")
        encoder.components[name] = Components.from_weights(own, skeleton)
    encoder.load_state_dict(dict(weights), strict=True)
    return encoder


def load_encoder(path: str | Path, *, num_heads: int | None = None) -> DualPathEncoder:
    """Load the query encoder of a pretraining checkpoint, on the CPU, in eval mode.

    See `scdnet.load_encoder`. Raises CheckpointError.
    """
    return build_encoder(read_checkpoint(Path(path)), num_heads=num_heads)
