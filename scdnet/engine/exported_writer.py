"""Writes an encoder to a directory that `read_exported` reads."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor

from scdnet.config import Stream
from scdnet.data.store import COORDINATES
from scdnet.engine.exported import CONFIG, HEAD, WEIGHTS, ExportedError, Probe
from scdnet.engine.exported_config import (
    ExportedConfig,
    HeadEntry,
    SizesEntry,
    WeightsEntry,
    describe_normalization,
    describe_views,
)
from scdnet.errors import ScdnetError
from scdnet.files import EARLIER, PARTIAL, PatientFile, atomic_directory, check_directory_of
from scdnet.models.components import Components
from scdnet.models.encoder import DualPathEncoder
from scdnet.version import __version__

CARD = "README.md"
# The files that `--overwrite` may replace: ours, and one that the hub adds.
REPLACEABLE = (CONFIG, WEIGHTS, HEAD, CARD, ".gitattributes")
DTYPES = {"float32": torch.float32, "float16": torch.float16}
# Tells other programs that read safetensors whose tensors they are.
METADATA = {"format": "pt"}


class Packed(NamedTuple):
    """The files of an encoder before they are written, and their config.json."""

    config: ExportedConfig
    # The bytes by file name, without the model card.
    files: dict[str, bytes]


def pack_encoder(
    encoder: DualPathEncoder,
    stream: Stream,
    *,
    dtype: Literal["float32", "float16"],
    probe: Probe | None,
    pretraining: Mapping[str, Any],
) -> Packed:
    """Pack an encoder, and a linear head if there is one.

    Raises ExportedError if a weight is not finite, or too large for `dtype`.
    """
    weights = _pack_tensors(convert_weights(encoder, dtype))
    files = {WEIGHTS: weights}
    head = None
    if probe is not None:
        files[HEAD] = _pack_tensors({"weight": probe.weight, "bias": probe.bias})
        head = HeadEntry(**_describe_file(files[HEAD]), class_names=list(probe.class_names))
    config = ExportedConfig(
        scdnet_version=__version__,
        weights=WeightsEntry(**_describe_file(weights), dtype=dtype),
        head=head,
        sizes=_describe_sizes(encoder),
        skeleton=encoder.skeleton.to_dict(),
        stream=stream,
        views=describe_views(encoder.sizes),
        normalization=describe_normalization(encoder.skeleton),
        num_features=count_features(encoder),
        pretraining=dict(pretraining),
    )
    text = json.dumps(config.model_dump(mode="json", exclude_none=True), indent=2)
    return Packed(config, {CONFIG: f"{text}\n".encode(), **files})


def convert_weights(encoder: DualPathEncoder, dtype: str) -> dict[str, Tensor]:
    """Return the weights of an encoder in the type `dtype`; integers stay what they are."""
    converted = {}
    for name, weight in encoder.state_dict().items():
        own = weight.to(DTYPES[dtype]) if weight.is_floating_point() else weight
        if not weight.isfinite().all():
            raise ExportedError(f"{name} contains NaN or Inf: the training has diverged")
        if not own.isfinite().all():
            raise ExportedError(
                f"{name}: {weight.abs().max():.3g} is too large for {dtype}; export float32"
            )
        converted[name] = own
    return converted


def _pack_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, METADATA)


def _describe_file(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "num_bytes": len(content)}


def _describe_sizes(encoder: DualPathEncoder) -> SizesEntry:
    components = {}
    for name, module in encoder.components.items():
        assert isinstance(module, Components)
        components[name] = module.widths
    return SizesEntry(**vars(encoder.sizes), components=components)


@torch.inference_mode()
def count_features(encoder: DualPathEncoder) -> int:
    """Return the number of features of a clip."""
    sizes = encoder.sizes
    clip = torch.zeros(
        1, COORDINATES, sizes.num_frames, encoder.skeleton.num_joints, sizes.num_bodies
    )
    return sum(x.shape[1] for x in encoder.all_features(clip))


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Raise ScdnetError unless `folder` can be written; called before the work is done."""
    if folder.exists() and not overwrite:
        raise ScdnetError(f"{folder} exists; choose another --out, or replace it by --overwrite")
    if folder.exists() and not folder.is_dir():
        raise ScdnetError(f"{folder}: is a file, expected the name of a directory")
    # A killed export leaves a directory behind.
    for place in (folder, *(folder.with_name(folder.name + end) for end in (PARTIAL, EARLIER))):
        foreign = [path.name for path in place.glob("*") if path.name not in REPLACEABLE]
        if foreign:
            raise ScdnetError(
                f"{place}: only what scdnet export has written is replaced, found {min(foreign)}"
            )
    check_directory_of(folder)
    if folder.is_dir():
        check_directory_of(folder / CONFIG)


def write_exported(folder: Path, packed: Packed, card: str) -> None:
    """Write the files and the model card to `folder`, all or none; what was there is replaced."""
    with atomic_directory(folder) as partial:
        for name, content in {**packed.files, CARD: card.encode()}.items():
            with PatientFile(partial / name, target=folder / name) as file:
                file.write(content)
                file.sync()
