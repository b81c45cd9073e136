"""Half-whitened principal components of clips: features that need no training.

A part (joints, bones or motion) is flattened and centered by the mean of the clips that it is
fitted to, and projected on the fewest of their principal components that hold 95 % of the variance,
at most a quarter as many as there are clips; each component is divided by the square root of its
singular value, and the part is scaled to unit length.

Source: docs/evaluation.md; Jegou and Chum 2012, who divide by the singular value itself.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scdnet.skeleton import Skeleton
from scdnet.streams import STREAMS

VARIANCE = 0.95
# The smallest number of training sequences for each component.
SEQUENCES_PER_COMPONENT = 4
# A larger training split is represented by a random sample, which bounds the memory: a part of
# 10,000 sequences of 32 frames and 25 joints is a matrix of 192 MB.
MAX_FITTED = 10_000
# A part whose mean square deviation is below this fraction of its mean square is constant but for
# rounding.
ROUNDING = 1e-12


class Projection(NamedTuple):
    """A map of the flattened clips (n, D) of a part to its components (n, K)."""

    mean: Tensor  # (D,)
    # A column for each component, divided by the square root of its singular value.
    weight: Tensor  # (D, K)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the components of x (n, D), scaled to unit length: (n, K)."""
        return F.normalize((x - self.mean) @ self.weight, dim=1)


def fit_projection(x: Tensor) -> Projection:
    """Fit the projection of a part to its flattened views (n, D) of the training split.

    It has no component if the rows are alike.
    """
    num_rows, width = x.shape
    centered = x.double()
    mean = centered.mean(dim=0)
    centered = centered - mean
    is_wide = num_rows < width
    # The smaller of the two products has the same eigenvalues: the squares of the singular values.
    product = centered @ centered.T if is_wide else centered.T @ centered
    values, vectors = torch.linalg.eigh(product)
    values = values.flip(0).clamp(min=0)
    vectors = vectors.flip(1)
    num = count_components(values, num_rows)
    if values.sum() <= ROUNDING * num_rows * mean.square().sum():
        num = 0
    singular = values[:num].sqrt()
    components = vectors[:, :num]
    if is_wide:
        components = centered.T @ components / singular
    return Projection(mean.float(), (components / singular.sqrt()).float())


def count_components(values: Tensor, num_rows: int) -> int:
    """Return how many components to keep of those with the eigenvalues `values`, largest first."""
    held = values.cumsum(dim=0) / values.sum()
    fewest = int((held < VARIANCE).sum()) + 1
    return min(fewest, num_rows // SEQUENCES_PER_COMPONENT)


class Components(nn.Module):
    """The components of joints, bones and motion side by side, fitted once and never trained."""

    def __init__(self, projections: Mapping[str, Projection], skeleton: Skeleton) -> None:
        super().__init__()
        self.skeleton = skeleton
        self.parts = tuple(projections)
        for part, projection in projections.items():
            self.register_buffer(f"{part}_mean", projection.mean)
            self.register_buffer(f"{part}_weight", projection.weight)

    @classmethod
    def fit(cls, clips: Tensor, parts: tuple[str, ...], skeleton: Skeleton) -> Self:
        """Fit the components of the parts to clips (n, C, T, V, M)."""
        flattened = {part: STREAMS[part](clips, skeleton).flatten(1) for part in parts}
        return cls({part: fit_projection(x) for part, x in flattened.items()}, skeleton)

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor], skeleton: Skeleton) -> Self:
        """Build the components whose state is `weights`. Raises KeyError."""
        parts = [part for part in STREAMS if f"{part}_mean" in weights]
        projections = {
            part: Projection(weights[f"{part}_mean"], weights[f"{part}_weight"]) for part in parts
        }
        return cls(projections, skeleton)

    @property
    def widths(self) -> dict[str, int]:
        """Return the number of components of each part."""
        return {part: self._projection(part).weight.shape[1] for part in self.parts}

    def _projection(self, part: str) -> Projection:
        return Projection(self.get_buffer(f"{part}_mean"), self.get_buffer(f"{part}_weight"))

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips (N, C, T, V, M) to the components (N, K) of all parts, each of unit length."""
        flattened = {part: STREAMS[part](clips, self.skeleton).flatten(1) for part in self.parts}
        return torch.cat([self._projection(part)(x) for part, x in flattened.items()], dim=1)
