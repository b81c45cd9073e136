"""An encoder in a directory to share: weights in safetensors, and a config.json on them.

The format: docs/export.md.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from scdnet.config import Stream
from scdnet.data.store import COORDINATES
from scdnet.engine.checkpoint import COMPONENTS, assemble_encoder
from scdnet.engine.exported_config import (
    ExportedConfig,
    FileEntry,
    SizesEntry,
    name_fault,
)
from scdnet.engine.locate import CONFIG, WEIGHTS, locate_encoder
from scdnet.errors import ScdnetError
from scdnet.files import DAMAGED_FILE_ERRORS, name_download_fault
from scdnet.models.ctrgcn import NUM_SUBSETS, STEM_WIDTHS
from scdnet.models.encoder import PATHS, DualPathEncoder, EncoderSizes
from scdnet.skeleton import Skeleton

HEAD = "head.safetensors"
# A larger file is no config.json: that of 25 joints has 4 kB.
MAX_CONFIG_BYTES = 2**24
# Ends the errors over damage.
CURE = "copy or download it again"
# Sizes that the weights state as well.
STATED_BY_WEIGHTS = (
    "base_channels",
    "embed_dim",
    "num_layers",
    "num_frames",
    "num_bodies",
    "num_streams",
)

Shape = tuple[int, ...]
UNREADABLE: tuple[type[Exception], ...] = (SafetensorError, *DAMAGED_FILE_ERRORS)
# The attention layer asserts that its heads divide its width.
MISFITS: tuple[type[Exception], ...] = (AssertionError, *DAMAGED_FILE_ERRORS)


class ExportedError(ScdnetError):
    """A directory that lacks a file, or whose files are damaged or do not fit each other."""


class Probe(NamedTuple):
    """A linear head: softmax(weight @ features + bias) are the probabilities of the classes."""

    weight: Tensor  # (classes, D) float32
    bias: Tensor  # (classes,) float32
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Exported:
    """An encoder that was read from a directory."""

    # It is on the CPU, in eval mode, with weights in float32.
    encoder: DualPathEncoder
    # The joints that recordings must have.
    skeleton: Skeleton
    stream: Stream
    # The hash of model.safetensors.
    sha256: str
    # The content of config.json.
    config: dict[str, Any]
    # None: there is no linear head.
    probe: Probe | None


def open_exported(source: str | Path) -> Exported:
    """Read an exported encoder: a directory, hf://OWNER/NAME, or the name of weights that ship.

    Raises ExportedError, CheckpointError if there is none, HubError if it cannot be downloaded.
    """
    return read_exported(locate_encoder(source))


def read_exported(folder: Path) -> Exported:
    """Read an exported encoder. Raises ExportedError if it cannot be used as it is."""
    raw, config = _read_config(folder / CONFIG)
    skeleton = _read_skeleton(folder / CONFIG, config)
    sizes = config.sizes.to_sizes()
    fault = name_fault(config, sizes, skeleton)
    if fault is not None:
        raise ExportedError(
            f"{folder / CONFIG}: {fault}; it was written by scdnet {config.scdnet_version}"
        )
    weights = _read_tensors(folder / WEIGHTS, config.weights)
    check_dtypes(folder / WEIGHTS, weights, config.weights.dtype)
    # Components take the type of their weights.
    weights = {name: x.float() if x.is_floating_point() else x for name, x in weights.items()}
    encoder = _build_encoder(folder / WEIGHTS, weights, config.sizes, skeleton)
    probe = _read_probe(folder / HEAD, config) if config.head else None
    return Exported(encoder, skeleton, config.stream, config.weights.sha256, raw, probe)


def _read_bytes(path: Path, *, limit: int | None = None) -> bytes:
    """Return the content of a file, which must not be another than the one that was asked for."""
    if not path.parent.is_dir():
        raise ExportedError(
            f"{path.parent}: no such directory; expected one that scdnet export has written"
        )
    if not path.is_file():
        raise ExportedError(
            f"{path.parent}: it contains no {path.name}; "
            "expected a directory that scdnet export has written"
        )
    with path.open("rb") as file:
        content = file.read(-1 if limit is None else limit + 1)
    fault = name_download_fault(content) if content else "an empty file"
    if fault is not None:
        raise ExportedError(f"{path}: expected {path.name} of scdnet export, found {fault}")
    return content


def _read_config(path: Path) -> tuple[dict[str, Any], ExportedConfig]:
    content = _read_bytes(path, limit=MAX_CONFIG_BYTES)
    try:
        raw = json.loads(content)
        return raw, ExportedConfig.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "its content"
        message = first["msg"].replace("Input should be", "expected")
        raise ExportedError(
            f"{path}: not a config.json of an encoder that this version of scdnet can read: "
            f"{key}: {message}"
        ) from None
    except DAMAGED_FILE_ERRORS as error:
        raise ExportedError(f"{path}: not readable as JSON ({error}); {CURE}") from None


def _read_skeleton(path: Path, config: ExportedConfig) -> Skeleton:
    try:
        return Skeleton.from_dict(config.skeleton)
    except ValueError as error:
        raise ExportedError(f"{path}: skeleton: {error}") from None


def _read_tensors(path: Path, entry: FileEntry) -> dict[str, Tensor]:
    """Read a file of safetensors whose size and hash are known, and whose numbers are finite."""
    # A longer file need not be read to its end.
    content = _read_bytes(path, limit=entry.num_bytes)
    if len(content) != entry.num_bytes:
        raise ExportedError(
            f"{path}: expected {entry.num_bytes:,} bytes, as {CONFIG} states, "
            f"found {path.stat().st_size:,}; {CURE}"
        )
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != entry.sha256:
        raise ExportedError(
            f"{path}: its SHA-256 is {sha256[:12]}..., but {CONFIG} states "
            f"{entry.sha256[:12]}...: the file was changed or damaged; {CURE}"
        )
    try:
        tensors = load(content)
    except UNREADABLE as error:
        raise ExportedError(f"{path}: not readable as safetensors ({error}); {CURE}") from None
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ExportedError(
                f"{path}: {name} contains NaN or Inf; the encoder cannot be used: "
                "export one whose training has not diverged"
            )
    return tensors


def check_dtypes(path: Path, weights: Mapping[str, Tensor], dtype: str) -> None:
    """Raise ExportedError unless all weights that are not integers have the type `dtype`."""
    for name, weight in weights.items():
        found = str(weight.dtype).removeprefix("torch.")
        if weight.is_floating_point() and found != dtype:
            raise ExportedError(f"{path}: {name}: expected {dtype}, found {found}")


def _build_encoder(
    path: Path, weights: Mapping[str, Tensor], entry: SizesEntry, skeleton: Skeleton
) -> DualPathEncoder:
    sizes = entry.to_sizes()
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    components = {name: shape for name, shape in found.items() if name.startswith(COMPONENTS)}
    try:
        _check_sizes(EncoderSizes.from_weights(weights, num_heads=sizes.num_heads), sizes)
        # Before memory is taken for the others.
        for name, shape in _bounding_shapes(sizes, skeleton).items():
            _compare_shapes({name: found[name]}, {name: shape})
        _compare_shapes(components, _component_shapes(entry, skeleton))
        encoder = assemble_encoder(weights, sizes, skeleton)
    except MISFITS as error:
        # Torch lists each weight that does not fit, a line each.
        first = " ".join(str(error).splitlines()[:2])
        reason = f"it lacks {first}" if isinstance(error, KeyError) else first
        raise ExportedError(f"{path}: the weights do not fit {CONFIG}: {reason}") from None
    return encoder.eval()


def _bounding_shapes(sizes: EncoderSizes, skeleton: Skeleton) -> dict[str, Shape]:
    """Return the shapes of weights without which an encoder could be larger than its file."""
    b = sizes.base_channels
    d = sizes.embed_dim
    widest = max(STEM_WIDTHS) * b
    shapes: dict[str, Shape] = {
        "temporal_path.project.0.weight": (d, sizes.num_bodies * skeleton.num_joints * b),
        "spatial_path.project.0.weight": (d, sizes.num_frames * b),
    }
    for path in PATHS:
        shapes[f"{path}_stem.units.1.gcn.value_weight"] = (NUM_SUBSETS * widest, b + 1)
        for layer in range(sizes.num_layers):
            shapes[f"{path}_path.transformer.layers.{layer}.linear1.weight"] = (d, d)
    return shapes


def _component_shapes(entry: SizesEntry, skeleton: Skeleton) -> dict[str, Shape]:
    """Return the shapes of the weights of the principal components."""
    width = COORDINATES * entry.num_frames * skeleton.num_joints * entry.num_bodies
    shapes: dict[str, Shape] = {}
    for name, parts in entry.components.items():
        for part, num in parts.items():
            shapes[f"{COMPONENTS}{name}.{part}_mean"] = (width,)
            shapes[f"{COMPONENTS}{name}.{part}_weight"] = (width, num)
    return shapes


def _check_sizes(found: EncoderSizes, expected: EncoderSizes) -> None:
    """Raise ValueError unless the sizes that weights state are those of config.json."""
    for key in STATED_BY_WEIGHTS:
        if getattr(found, key) != getattr(expected, key):
            raise ValueError(
                f"{key} is {getattr(found, key)} in the weights, {getattr(expected, key)} in "
                f"{CONFIG}"
            )


def _compare_shapes(found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> None:
    """Raise ValueError unless both have the same names and shapes."""
    for name in sorted(found.keys() | expected.keys()):
        if name not in expected:
            raise ValueError(f"{name} belongs to no such encoder")
        if name not in found:
            raise ValueError(f"it lacks {name}")
        if found[name] != expected[name]:
            raise ValueError(f"{name}: expected {expected[name]}, found {found[name]}")


def _read_probe(path: Path, config: ExportedConfig) -> Probe:
    assert config.head is not None
    tensors = _read_tensors(path, config.head)
    check_dtypes(path, tensors, "float32")
    names = config.head.class_names
    expected = {"weight": (len(names), config.num_features), "bias": (len(names),)}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != expected:
        raise ExportedError(f"{path}: expected {expected}, as {CONFIG} states, found {found}")
    return Probe(tensors["weight"], tensors["bias"], tuple(names))
