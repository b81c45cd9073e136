"""The baseline raw-pca: half-whitened principal components of the views, without any network.

Whatever the config states, it takes the first body in evaluation views of 32 frames, of joints,
bones and motion. Each part is centered by the mean of the training split, projected on the fewest
principal components of the training split that hold 95 % of its variance, at most a quarter as many
as it has sequences; each component is divided by the square root of its singular value, and the
part is scaled to unit length. The three parts stand side by side.

Source: docs/evaluation.md; Jegou and Chum 2012, who divide by the singular value itself.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from scdnet.data.clips import Clips
from scdnet.data.views import STREAMS
from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.skeleton import Skeleton

NUM_FRAMES = 32
NUM_BODIES = 1
PARTS = ("joint", "bone", "motion")
VARIANCE = 0.95
# The smallest number of training sequences for each component.
SEQUENCES_PER_COMPONENT = 4
# A larger training split is represented by a random sample, which bounds the memory: with 25 joints
# a part of 10,000 sequences is a matrix of 192 MB.
MAX_FITTED = 10_000
# Values that the features depend on, besides the store and the benchmark.
SETTINGS = {
    "num_frames": NUM_FRAMES,
    "num_bodies": NUM_BODIES,
    "variance": VARIANCE,
    "max_fitted": MAX_FITTED,
    "precision": "fp32",
}
BATCH = 256
# A part whose mean square deviation is below this fraction of its mean square is constant but for
# rounding.
ROUNDING = 1e-12


class Projection(NamedTuple):
    """A map of the flattened views (n, D) of a part to its components (n, K)."""

    mean: Tensor  # (D,)
    # A column for each component, divided by the square root of its singular value.
    weight: Tensor  # (D, K)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the components of x (n, D), scaled to unit length: (n, K)."""
        return F.normalize((x - self.mean) @ self.weight, dim=1)


def extract_raw_pca(clips: Clips) -> Tensor:
    """Return the features (N, K) float32 of all sequences, fitted to the training split.

    `clips` are of joints, with NUM_FRAMES and NUM_BODIES, on the CPU. Raises ScdnetError if the
    training split is too small or all its sequences are alike.
    """
    train = clips.split(train=True)
    where = f"{clips.store}: raw-pca: the training split of {clips.benchmark!r}"
    if len(train) < SEQUENCES_PER_COMPONENT:
        raise ScdnetError(
            f"{where} has {len(train)} sequences, expected at least {SEQUENCES_PER_COMPONENT}: "
            "a component takes that many; use --baseline raw"
        )
    fitted = _sample(train)
    joints = torch.cat(list(clips.evaluation_views(fitted.split(BATCH))))
    projections = {part: fit_projection(_flatten(joints, part, clips.skeleton)) for part in PARTS}
    widths = {part: projection.weight.shape[1] for part, projection in projections.items()}
    if not any(widths.values()):
        raise ScdnetError(f"{where} has no variance: all its {len(train)} sequences are alike")
    listed = ", ".join(f"{width} of {part}" for part, width in widths.items())
    sampled = "" if len(fitted) == len(train) else f" a random sample of {len(fitted)} of"
    log(f"raw-pca: components: {listed}; fitted to{sampled} {len(train)} training sequences")
    batches = torch.arange(len(clips.label)).split(BATCH)
    rows = []
    for views in clips.evaluation_views(batches):
        parts = (projections[part](_flatten(views, part, clips.skeleton)) for part in PARTS)
        rows.append(torch.cat(tuple(parts), dim=1))
    return torch.cat(rows)


def _sample(index: Tensor) -> Tensor:
    """Draw at most MAX_FITTED of the sequences `index` (N,), the same ones at each call."""
    if len(index) <= MAX_FITTED:
        return index
    order = torch.randperm(len(index), generator=torch.Generator().manual_seed(0))
    return index[order[:MAX_FITTED]].sort().values


def _flatten(joints: Tensor, part: str, skeleton: Skeleton) -> Tensor:
    """Map joints (n, C, T, V, M) to the flattened views (n, C*T*V*M) of a part."""
    return STREAMS[part](joints, skeleton).flatten(1)


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
