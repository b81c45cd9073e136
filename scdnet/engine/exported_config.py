"""The config.json of an exported encoder: what it states, and what this version can read."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from scdnet.config import Stream
from scdnet.data.views import TRIMMED_FRACTION
from scdnet.models.encoder import POOLINGS, EncoderSizes
from scdnet.skeleton import JointSet, Skeleton
from scdnet.streams import ALL_STREAMS, STREAMS

FORMAT: Literal["scdnet-encoder"] = "scdnet-encoder"
VERSION: Literal[1] = 1

Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of a config.json. Keys of later versions are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)


class FileEntry(Section):
    """A file beside config.json, and what its bytes must be."""

    sha256: str
    num_bytes: Annotated[int, Field(ge=0)]


class WeightsEntry(FileEntry):
    """The file with the weights of the encoder."""

    # The type of the weights in the file; integers, such as counts of batches, stay what they are.
    dtype: Literal["float32", "float16"]


class HeadEntry(FileEntry):
    """The file with a linear head, and its classes in the order of the rows."""

    class_names: Annotated[list[str], Field(min_length=2)]


class SizesEntry(Section):
    """The sizes of the encoder: the fields of `EncoderSizes`, and its principal components."""

    base_channels: Count
    embed_dim: Count
    num_heads: Count
    num_layers: Count
    num_frames: Count
    num_bodies: Annotated[int, Field(ge=1, le=2)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    pooling: str
    align_sides: bool
    num_streams: Count
    component_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        EncoderSizes.component_weight
    )
    # The number of components of each part, by the clips that they see; empty if there are none.
    components: dict[str, dict[str, Annotated[int, Field(ge=0)]]]

    def to_sizes(self) -> EncoderSizes:
        """Return the sizes without the components."""
        return EncoderSizes(**self.model_dump(exclude={"components"}))


class ExportedConfig(Section):
    """The content of a config.json."""

    format: Literal["scdnet-encoder"] = FORMAT
    version: Literal[1] = VERSION
    # The version of scdnet that has written it.
    scdnet_version: str
    weights: WeightsEntry
    head: HeadEntry | None = None
    sizes: SizesEntry
    # The result of `Skeleton.to_dict`.
    skeleton: dict[str, Any]
    stream: Stream
    # The results of `describe_views` and `describe_normalization`.
    views: dict[str, Any]
    normalization: dict[str, Any]
    # The length of the features of a clip.
    num_features: Count
    # The origin of the encoder; nothing that reading relies on.
    pretraining: dict[str, Any]


def describe_views(sizes: EncoderSizes) -> dict[str, Any]:
    """Describe the views of evaluation, which the encoder takes (docs/method.md 2)."""
    return {
        "num_frames": sizes.num_frames,
        "num_bodies": sizes.num_bodies,
        "trimmed_fraction": TRIMMED_FRACTION,
        "resize": "linear, half-pixel centers",
    }


def describe_normalization(skeleton: Skeleton) -> dict[str, Any]:
    """Describe the normalization of the recordings, with the names of joints."""

    def names(joints: JointSet) -> list[str]:
        return [skeleton.joints[joint] for joint in joints]

    common = {
        "center": names(skeleton.center),
        "spine": [names(end) for end in skeleton.spine],
        "shoulders": [names(side) for side in skeleton.shoulders],
    }
    if skeleton.dims == 2:
        return {"kind": "trunk of length 1", "unit": "trunk", **common}
    return {"kind": "spine along +z, shoulders along +x", "unit": "m", **common}


def name_fault(config: ExportedConfig, sizes: EncoderSizes, skeleton: Skeleton) -> str | None:
    """Return which values contradict each other or this version of scdnet, or None."""
    num_streams = len(STREAMS) if config.stream == ALL_STREAMS else 1
    expected: dict[str, tuple[object, object]] = {
        "views": (config.views, describe_views(sizes)),
        "normalization": (config.normalization, describe_normalization(skeleton)),
        "sizes.num_streams": (sizes.num_streams, num_streams),
        "sizes.embed_dim, divided by num_heads": (sizes.embed_dim % sizes.num_heads, 0),
        "sizes.pooling": (sizes.pooling in POOLINGS and sizes.pooling, sizes.pooling),
    }
    for key, (found, wanted) in expected.items():
        if found != wanted:
            return f"{key}: expected {wanted}, found {found}"
    return None
