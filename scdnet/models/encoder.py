"""The dual-path encoder: one path over frames, one over joints.

Source: SCD-Net, sec. 3.1; docs/method.md 3.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from scdnet.models.ctrgcn import (
    COORDINATES,
    STEM_WIDTHS,
    DistinctBodies,
    Stem,
    find_distinct_bodies,
)
from scdnet.models.layers import dropout, fixed_statistics
from scdnet.models.sides import align_sides, side_balance
from scdnet.skeleton import Skeleton
from scdnet.streams import stack_streams

PATHS = ("temporal", "spatial")
# The shares of the components, by the clips that they see, in the squared length of all, and the
# squared length of the feature that says which side acted; that of the features of both paths is 1.
# Source: docs/small.md.
COMPONENTS = {"original": 0.25, "aligned": 0.75}
SIDE = 0.2
# The larger the slope, the sooner it is certain which side acted.
SIDE_SLOPE = 2
# The depths at which a path has a feature: after each unit of the stem, and at its end.
NUM_LEVELS = 4
# Weights whose shapes state V and C.
ADJACENCY = "temporal_stem.units.0.gcn.adjacency"
FIRST_VALUES = "temporal_stem.units.0.gcn.value_weight"
# Maps rows (R, b, V, T) of N clips to projected tokens (tokens, N, D).
ToTokens = Callable[[Tensor, int, DistinctBodies | None], Tensor]
# Poolings of the tokens (tokens, N, D) of a path to one feature (N, D).
POOLINGS = {
    "max": lambda x: x.amax(dim=0),
    "mean": lambda x: x.mean(dim=0),
}


@dataclass(frozen=True)
class EncoderSizes:
    """The sizes of the encoder's weights, its dropout and its pooling."""

    # b, the width of the stems.
    base_channels: int = 64
    embed_dim: int = 2048  # D
    num_heads: int = 8
    num_layers: int = 1
    num_frames: int = 64  # T
    num_bodies: int = 2  # M
    dropout: float = 0.1
    # A key of POOLINGS.
    pooling: str = "max"
    # Whether clips are mirrored so that always the same side acts.
    align_sides: bool = False
    # The number of streams that are stacked as channels: one, or all of them.
    num_streams: int = 1
    # The squared length of all components; that of the features of both paths is 1.
    component_weight: float = 1.0

    @classmethod
    def from_weights(
        cls,
        weights: Mapping[str, Tensor],
        *,
        num_heads: int,
        dropout: float = dropout,
        pooling: str = pooling,
        align_sides: bool = align_sides,
        component_weight: float = component_weight,
    ) -> Self:
        """Read the sizes from an encoder's weights. Raises KeyError.

        Heads, dropout, pooling, the alignment of sides and the weight of the components leave no
        trace in the weights.
        """
        num_joints = weights[ADJACENCY].shape[-1]
        # The last input channel is one of ones.
        num_channels = weights[FIRST_VALUES].shape[1] - 1
        base_channels = len(weights["temporal_stem.units.0.gcn.norm.weight"])
        embed_dim, frame_tokens = weights["spatial_path.project.0.weight"].shape
        input_width = len(weights["temporal_stem.input_norm.weight"])
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
            num_bodies=input_width // (num_channels * num_joints),
            dropout=dropout,
            pooling=pooling,
            align_sides=align_sides,
            num_streams=num_channels // COORDINATES,
            component_weight=component_weight,
        )

    def level_widths(self) -> tuple[int, ...]:
        """Return the widths of a path's features at the levels 1 to NUM_LEVELS."""
        return (*(times * self.base_channels for times in STEM_WIDTHS), self.embed_dim)


class PathFeatures(NamedTuple):
    """The features of clips that the two paths output."""

    temporal: Tensor  # (N, D)
    spatial: Tensor  # (N, D)


class PathTokens(NamedTuple):
    """The tokens of clips that the two paths pool to features."""

    temporal: Tensor  # (T, N, D)
    spatial: Tensor  # (M*V, N, D), the joints of the first body first


class EncoderLayer(nn.TransformerEncoderLayer):
    """torch's layer, post-norm with relu, with less work on a CPU in training."""

    def forward(self, src: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Map tokens (tokens, N, D) to tokens; there are no masks."""
        if src.is_cuda:
            return super().forward(src, *args, **kwargs)
        x = self.norm1(src + self._drop(self._attend(src), self.dropout1))
        hidden = self._drop(F.relu(self.linear1(x)), self.dropout)
        return self.norm2(x + self._drop(self.linear2(hidden), self.dropout2))

    def _attend(self, x: Tensor) -> Tensor:
        """Attend with H heads: (tokens, N, D) -> (tokens, N, D)."""
        attention = self.self_attn
        heads = attention.num_heads
        # A product each, so that the heads of all clips are matrices in place.
        weights = attention.in_proj_weight.chunk(3)
        biases = attention.in_proj_bias.chunk(3)
        query, key, value = (
            rearrange(F.linear(x, w, b), "l n (h d) -> (n h) l d", h=heads)
            for w, b in zip(weights, biases, strict=True)
        )
        scale = attention.head_dim**-0.5
        affinity = torch.softmax((query * scale) @ key.mT, dim=-1)  # (N*H, tokens, tokens)
        affinity = dropout(affinity, attention.dropout, training=self.training)
        mixed = rearrange(affinity @ value, "(n h) l d -> l n (h d)", h=heads)
        return attention.out_proj(mixed)

    def _drop(self, x: Tensor, layer: nn.Dropout) -> Tensor:
        return dropout(x, layer.p, training=self.training)


class TokenPath(nn.Module):
    """Tokens to one vector: a projection, a post-norm transformer, a pooling over the tokens."""

    def __init__(self, token_width: int, sizes: EncoderSizes) -> None:
        super().__init__()
        width = sizes.embed_dim
        self.project = nn.Sequential(
            nn.Linear(token_width, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width)
        )
        layer = EncoderLayer(width, sizes.num_heads, width, sizes.dropout)
        # The nested-tensor path is of no use without padding masks and warns about it.
        self.transformer = nn.TransformerEncoder(
            layer, sizes.num_layers, enable_nested_tensor=False
        )
        self.pool = POOLINGS[sizes.pooling]
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map projected tokens (tokens, N, D) to features (N, D)."""
        return self.pool(self.transformer(tokens))


class DualPathEncoder(nn.Module):
    """Clips to a temporal and a spatial feature; the two paths share no weights."""

    def __init__(self, sizes: EncoderSizes, skeleton: Skeleton) -> None:
        super().__init__()
        self.sizes = sizes
        self.skeleton = skeleton
        # Saves work; to be switched off where the work must not depend on the content of clips.
        self.share_empty_bodies = True
        # Components of the clips as they are, and as the paths see them; empty if there are none.
        self.components = nn.ModuleDict()
        b = sizes.base_channels
        m = sizes.num_bodies
        self.temporal_stem = Stem(b, m, skeleton, num_streams=sizes.num_streams)
        self.spatial_stem = Stem(b, m, skeleton, num_streams=sizes.num_streams)
        # One token per frame.
        self.temporal_path = TokenPath(m * skeleton.num_joints * b, sizes)
        # One token per joint of each body.
        self.spatial_path = TokenPath(sizes.num_frames * b, sizes)

    def forward(self, clips: Tensor) -> PathFeatures:
        """Encode clips (N, C, T, V, M), meters, along both paths."""
        return self.pool(self.tokens(self.align(clips)))

    def tokens(self, clips: Tensor) -> PathTokens:
        """Encode clips (N, C, T, V, M) whose sides are aligned up to the poolings of both paths."""
        n = clips.shape[0]
        bodies = self._find_bodies(clips)
        x = self._stack(clips)
        t = self._frame_tokens(self.temporal_stem(x, bodies)[-1], n, bodies)
        s = self._joint_tokens(self.spatial_stem(x, bodies)[-1], n, bodies)
        return PathTokens(self.temporal_path.transformer(t), self.spatial_path.transformer(s))

    def pool(self, tokens: PathTokens) -> PathFeatures:
        """Pool the tokens of both paths."""
        return PathFeatures(
            self.temporal_path.pool(tokens.temporal), self.spatial_path.pool(tokens.spatial)
        )

    def visible_tokens(
        self, clips: Tensor, path: str, *, is_visible: Tensor, rows: Tensor
    ) -> Tensor:
        """Encode some tokens of one path, from clips of which a part is hidden.

        `clips` (N, C, T, V, M) are aligned as whole ones; `is_visible` (N, S, T, V) says for each
        of the encoder's streams what is seen of them, in all bodies; `rows` (U, N) are the tokens
        that enter the transformer. Returns (U, N, D). Running statistics stay as they are: they
        are those of whole clips.
        """
        n = clips.shape[0]
        # A body that is absent stays so, whatever is hidden of it.
        bodies = self._find_bodies(clips)
        streams = self._stack(clips).unflatten(1, (self.sizes.num_streams, -1))
        x = (streams * is_visible[:, :, None, :, :, None]).flatten(1, 2)
        stem, to_tokens, end = self._parts(path)
        with fixed_statistics(stem):
            tokens = to_tokens(stem(x, bodies)[-1], n, bodies)
        return end.transformer(take_rows(tokens, rows))

    def align(self, clips: Tensor) -> Tensor:
        """Return clips (N, C, T, V, M) as the paths see them."""
        return align_sides(clips, self.skeleton) if self.sizes.align_sides else clips

    def _stack(self, clips: Tensor) -> Tensor:
        """Return clips (N, C, T, V, M), with bones and motion as channels if they are encoded."""
        return clips if self.sizes.num_streams == 1 else stack_streams(clips, self.skeleton)

    def seen_clips(self, clips: Tensor) -> dict[str, Tensor]:
        """Return the clips (N, C, T, V, M) that each of the components sees, by its name.

        The paths see the last ones.
        """
        seen = {"original": clips}
        if self.sizes.align_sides:
            seen["aligned"] = self.align(clips)
        return seen

    def all_features(self, clips: Tensor) -> tuple[Tensor, ...]:
        """Encode clips (N, C, T, V, M) as features that are to stand side by side.

        The length of the components, if the encoder has them, is that of the features of both paths
        together, times the root of their weight. Where sides are aligned, a last feature says which
        one acted, for classes that differ by it.
        """
        if not self.components:
            return self(clips)
        seen = self.seen_clips(clips)
        paths = self.pool(self.tokens([*seen.values()][-1]))
        length = torch.cat(paths, dim=1).norm(dim=1, keepdim=True)
        parts = [
            COMPONENTS[name] ** 0.5 * F.normalize(self.components[name](x), dim=1)
            for name, x in seen.items()
        ]
        components = F.normalize(torch.cat(parts, dim=1), dim=1) * length
        components = self.sizes.component_weight**0.5 * components
        if not self.sizes.align_sides:
            return *paths, components
        side = torch.tanh(SIDE_SLOPE * side_balance(clips, self.skeleton))[:, None]
        return *paths, components, SIDE**0.5 * side * length

    def level_features(self, clips: Tensor, path: str, last: int = NUM_LEVELS) -> list[Tensor]:
        """Encode clips (N, C, T, V, M) along one path, up to level `last`.

        Returns the features of the levels: (N, b), (N, 4b), (N, b), (N, D). The feature of a unit
        is its mean over bodies, joints and frames. Source: docs/objectives.md.
        """
        levels, _ = self.levels_and_tokens(clips, path, last)
        return levels

    def levels_and_tokens(
        self, clips: Tensor, path: str, last: int = NUM_LEVELS
    ) -> tuple[list[Tensor], Tensor | None]:
        """Return the features of `level_features`, and the tokens that the last level pools.

        Below the last level there are no tokens.
        """
        n = clips.shape[0]
        clips = self.align(clips)
        bodies = self._find_bodies(clips)
        stem, to_tokens, end = self._parts(path)
        units = stem(self._stack(clips), bodies, last)
        means = (_split_bodies(x.mean(dim=(2, 3))[None], n, dim=1) for x in units)
        pooled = [torch.cat(_expand_bodies(mean, bodies)).mean(dim=0) for mean in means]
        if last < NUM_LEVELS:
            return pooled, None
        tokens = end.transformer(to_tokens(units[-1], n, bodies))
        return [*pooled, end.pool(tokens)], tokens

    def _parts(self, path: str) -> tuple[Stem, ToTokens, TokenPath]:
        """Return the stem of a path, what maps its output to tokens, and the end of the path."""
        return {
            "temporal": (self.temporal_stem, self._frame_tokens, self.temporal_path),
            "spatial": (self.spatial_stem, self._joint_tokens, self.spatial_path),
        }[path]

    def _find_bodies(self, clips: Tensor) -> DistinctBodies | None:
        return find_distinct_bodies(clips) if self.share_empty_bodies else None

    def _frame_tokens(self, x: Tensor, n: int, bodies: DistinctBodies | None) -> Tensor:
        """Map rows (R, b, V, T) to a projected token (T, N, D) for each frame of all bodies."""
        first, *rest = self.temporal_path.project
        assert isinstance(first, nn.Linear)
        # The first layer is linear, so each body adds a part of its own.
        parts = (rearrange(y, "r c v t -> t r (v c)") for y in _split_bodies(x, n))
        weights = first.weight.unflatten(1, (self.sizes.num_bodies, -1)).unbind(dim=1)
        by_body = [F.linear(y, w) for y, w in zip(parts, weights, strict=True)]
        first_body, *others = _expand_bodies(by_body, bodies)
        token = sum(others, start=first_body + first.bias)
        for layer in rest:
            token = layer(token)
        return token

    def _joint_tokens(self, x: Tensor, n: int, bodies: DistinctBodies | None) -> Tensor:
        """Map rows (R, b, V, T) to a projected token (M*V, N, D) for each joint of each body."""
        token = self.spatial_path.project(rearrange(x, "r c v t -> v r (t c)"))
        return torch.cat(_expand_bodies(_split_bodies(token, n, dim=1), bodies))


def take_rows(x: Tensor, rows: Tensor) -> Tensor:
    """Take other rows of each clip: (L, N, D) and indices (U, N) -> (U, N, D)."""
    n = x.shape[1]
    index = rows * n + torch.arange(n, device=x.device)
    return x.flatten(0, 1).index_select(0, index.flatten()).unflatten(0, rows.shape)


def _split_bodies(x: Tensor, n: int, dim: int = 0) -> Sequence[Tensor]:
    """Split rows along `dim` into those of N first bodies and those of second ones, if any."""
    num_rows = x.shape[dim]
    return x.split([n, num_rows - n], dim) if num_rows > n else [x]


def _expand_bodies(x: Sequence[Tensor], bodies: DistinctBodies | None) -> list[Tensor]:
    """Repeat the row that represents absent bodies: (tokens, rows, ...) -> (tokens, N, ...).

    `x` has the rows of the first bodies, then those of the second ones.
    """
    first, *second = x
    return [first, *(y if bodies is None else y.index_select(1, bodies.row) for y in second)]
