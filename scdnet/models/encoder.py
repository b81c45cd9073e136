"""The dual-path encoder: one path over frames, one over joints. Source: SCD-Net, sec. 3.1; docs/method.md 3."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from einops import rearrange
from torch import Tensor, nn

from scdnet.models.ctrgcn import COORDINATES, Stem
from scdnet.skeleton import NTU_25, Skeleton


@dataclass(frozen=True)
class EncoderSizes:
    """Everything that decides the shapes of the encoder's weights, and its dropout."""

    base_channels: int = 64  # b, the stem's width
    width: int = 2048  # D
    heads: int = 8
    layers: int = 1
    frames: int = 64  # T
    bodies: int = 2  # M
    dropout: float = 0.1

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor], *, heads: int, skeleton: Skeleton = NTU_25) -> Self:
        """The sizes that an encoder with these weights has; they do not tell the heads. Raises KeyError."""
        base_channels = len(weights["temporal_stem.units.0.gcn.norm.weight"])
        width, frame_tokens = weights["spatial_path.project.0.weight"].shape
        joints_of_bodies = len(weights["temporal_stem.input_norm.weight"]) // COORDINATES
        layers = {key.split(".")[3] for key in weights if key.startswith("temporal_path.transformer.layers.")}
        return cls(
            base_channels=base_channels,
            width=width,
            heads=heads,
            layers=len(layers),
            frames=frame_tokens // base_channels,
            bodies=joints_of_bodies // skeleton.num_joints,
        )


class PathFeatures(NamedTuple):
    """What the two paths say of each clip."""

    temporal: Tensor  # (N, D)
    spatial: Tensor  # (N, D)


class TokenPath(nn.Module):
    """Tokens to one vector: linear, layer norm, relu, linear, a post-norm transformer, maximum over the tokens."""

    def __init__(self, token_width: int, sizes: EncoderSizes) -> None:
        super().__init__()
        width = sizes.width
        self.project = nn.Sequential(
            nn.Linear(token_width, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width)
        )
        layer = nn.TransformerEncoderLayer(width, sizes.heads, width, sizes.dropout, batch_first=True)
        # the nested-tensor path has no use without padding masks and warns about it
        self.transformer = nn.TransformerEncoder(layer, sizes.layers, enable_nested_tensor=False)
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, tokens, token width) -> (N, D)."""
        return self.transformer(self.project(tokens)).amax(dim=1)


class DualPathEncoder(nn.Module):
    """Clips to a temporal and a spatial feature, with weights of its own for each of the two paths."""

    def __init__(self, sizes: EncoderSizes, skeleton: Skeleton = NTU_25) -> None:
        super().__init__()
        self.sizes = sizes
        b, m, t, v = sizes.base_channels, sizes.bodies, sizes.frames, skeleton.num_joints
        self.temporal_stem = Stem(b, m, skeleton)
        self.spatial_stem = Stem(b, m, skeleton)
        self.temporal_path = TokenPath(m * v * b, sizes)  # a token per frame
        self.spatial_path = TokenPath(t * b, sizes)  # a token per joint of each body

    def forward(self, clips: Tensor) -> PathFeatures:
        """Encode clips (N, C, T, V, M), metres, along both paths."""
        n = len(clips)
        t = rearrange(self.temporal_stem(clips), "(n m) c v t -> n t (m v c)", n=n)
        s = rearrange(self.spatial_stem(clips), "(n m) c v t -> n (m v) (t c)", n=n)
        return PathFeatures(self.temporal_path(t), self.spatial_path(s))
