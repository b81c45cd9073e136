"""The dual-path encoder: one path over frames, one over joints. Source: SCD-Net, sec. 3.1; docs/method.md 3."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from scdnet.models.bodies import DistinctBodies, distinct_bodies
from scdnet.models.ctrgcn import COORDINATES, STEM_WIDTHS, Stem
from scdnet.skeleton import NTU_25, Skeleton

PATHS = ("temporal", "spatial")
NUM_LEVELS = (
    4  # of a path at which it can be looked at: after each unit of the stem, and at its end
)
POOLINGS = {
    "max": lambda x: x.amax(dim=0),
    "mean": lambda x: x.mean(dim=0),
}  # over tokens (tokens, N, D)


@dataclass(frozen=True)
class EncoderSizes:
    """Everything that decides the shapes of the encoder's weights, its dropout and its pooling."""

    base_channels: int = 64  # b, the stem's width
    embed_dim: int = 2048  # D
    num_heads: int = 8
    num_layers: int = 1
    num_frames: int = 64  # T
    num_bodies: int = 2  # M
    dropout: float = 0.1
    pooling: str = "max"  # a key of POOLINGS

    @classmethod
    def from_weights(
        cls,
        weights: Mapping[str, Tensor],
        *,
        num_heads: int,
        dropout: float = dropout,
        pooling: str = pooling,
        skeleton: Skeleton = NTU_25,
    ) -> Self:
        """The sizes of an encoder with these weights, which do not tell heads, dropout and pooling. Raises KeyError."""
        base_channels = len(weights["temporal_stem.units.0.gcn.norm.weight"])
        embed_dim, frame_tokens = weights["spatial_path.project.0.weight"].shape
        joints_of_bodies = len(weights["temporal_stem.input_norm.weight"]) // COORDINATES
        layers = {
            key.split(".")[3]
            for key in weights
            if key.startswith("temporal_path.transformer.layers.")
        }
        return cls(
            base_channels=base_channels,
            embed_dim=embed_dim,
            num_heads=num_heads,
            num_layers=len(layers),
            num_frames=frame_tokens // base_channels,
            num_bodies=joints_of_bodies // skeleton.num_joints,
            dropout=dropout,
            pooling=pooling,
        )

    def level_width(self, level: int) -> int:
        """The width of a path's feature at `level`, 1 to NUM_LEVELS."""
        return (*STEM_WIDTHS, 0)[level - 1] * self.base_channels or self.embed_dim


class PathFeatures(NamedTuple):
    """What the two paths say of each clip."""

    temporal: Tensor  # (N, D)
    spatial: Tensor  # (N, D)


class TokenPath(nn.Module):
    """Tokens to one vector: linear, layer norm, relu, linear, a post-norm transformer, a pooling of the tokens."""

    def __init__(self, token_width: int, sizes: EncoderSizes) -> None:
        super().__init__()
        width = sizes.embed_dim
        self.project = nn.Sequential(
            nn.Linear(token_width, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width)
        )
        layer = nn.TransformerEncoderLayer(width, sizes.num_heads, width, sizes.dropout)
        # the nested-tensor path has no use without padding masks and warns about it
        self.transformer = nn.TransformerEncoder(
            layer, sizes.num_layers, enable_nested_tensor=False
        )
        self._pool = POOLINGS[sizes.pooling]
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Projected tokens (tokens, N, D) -> (N, D)."""
        return self._pool(self.transformer(tokens))


class DualPathEncoder(nn.Module):
    """Clips to a temporal and a spatial feature, with weights of its own for each of the two paths."""

    def __init__(self, sizes: EncoderSizes, skeleton: Skeleton = NTU_25) -> None:
        super().__init__()
        self.sizes = sizes
        self.share_empty_bodies = (
            True  # saves work; off where what is done must not depend on what the clips show
        )
        b, m, t, v = sizes.base_channels, sizes.num_bodies, sizes.num_frames, skeleton.num_joints
        self.temporal_stem = Stem(b, m, skeleton)
        self.spatial_stem = Stem(b, m, skeleton)
        self.temporal_path = TokenPath(m * v * b, sizes)  # a token per frame
        self.spatial_path = TokenPath(t * b, sizes)  # a token per joint of each body

    def forward(self, clips: Tensor) -> PathFeatures:
        """Encode clips (N, C, T, V, M), metres, along both paths."""
        bodies = distinct_bodies(clips) if self.share_empty_bodies else None
        n = len(clips)
        t = self._frame_tokens(self.temporal_stem(clips, bodies)[-1], n, bodies)
        s = self._joint_tokens(self.spatial_stem(clips, bodies)[-1], n, bodies)
        return PathFeatures(self.temporal_path(t), self.spatial_path(s))

    def levels(self, clips: Tensor, path: str, last: int = NUM_LEVELS) -> list[Tensor]:
        """What one path says of clips (N, C, T, V, M) at its levels up to `last`: (N, b), (N, 4b), (N, b), (N, D).

        Of the units the mean over bodies, joints and frames. Source: docs/methods.md.
        """
        bodies = distinct_bodies(clips) if self.share_empty_bodies else None
        n = len(clips)
        stem, to_tokens, end = {
            "temporal": (self.temporal_stem, self._frame_tokens, self.temporal_path),
            "spatial": (self.spatial_stem, self._joint_tokens, self.spatial_path),
        }[path]
        units = stem(clips, bodies, last)
        means = (x.mean(dim=(2, 3))[None].split(n, dim=1) for x in units)
        pooled = [torch.cat(_per_clip(mean, bodies)).mean(dim=0) for mean in means]
        return pooled if last < NUM_LEVELS else [*pooled, end(to_tokens(units[-1], n, bodies))]

    def _frame_tokens(self, x: Tensor, n: int, bodies: DistinctBodies | None) -> Tensor:
        """Bodies (R, b, V, T) -> a projected token (T, N, D) for each frame, of all bodies together."""
        first, *rest = self.temporal_path.project
        parts = (
            rearrange(y, "r c v t -> t r (v c)") for y in x.split(n)
        )  # the first bodies, the second ones
        weights = first.weight.unflatten(1, (self.sizes.num_bodies, -1)).unbind(
            dim=1
        )  # what each body adds
        token, *others = _per_clip(
            [F.linear(y, w) for y, w in zip(parts, weights, strict=True)], bodies
        )
        token = sum(others, start=token + first.bias)
        for layer in rest:
            token = layer(token)
        return token

    def _joint_tokens(self, x: Tensor, n: int, bodies: DistinctBodies | None) -> Tensor:
        """Bodies (R, b, V, T) -> a projected token (M*V, N, D) for each joint of each body."""
        token = self.spatial_path.project(rearrange(x, "r c v t -> v r (t c)"))
        return torch.cat(_per_clip(token.split(n, dim=1), bodies))


def _per_clip(x: Sequence[Tensor], bodies: DistinctBodies | None) -> list[Tensor]:
    """Rows of the first and of the second bodies -> (tokens, N, ...) each, an empty body wherever it belongs."""
    first, *second = x
    return [first, *(y if bodies is None else y.index_select(1, bodies.row) for y in second)]
