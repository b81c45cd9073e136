"""What an export measures: a linear head for the encoder, and what float16 costs."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from scdnet.data.clips import Clips
from scdnet.data.store import COORDINATES
from scdnet.engine.exported import Probe
from scdnet.errors import ScdnetError
from scdnet.eval.features import Features, encode, extract_features
from scdnet.eval.knn import accuracy_1nn, stratified_subset
from scdnet.eval.logistic import fit_probe, to_linear
from scdnet.models.encoder import DualPathEncoder

# The largest number of sequences of each split on which float16 is measured.
MAX_SEQUENCES = 2000
# The clips of noise, of this size in meters, on which it is measured where there is no store.
NUM_NOISE = 16
NOISE = 0.3


class Head(NamedTuple):
    """A linear head, and how many percent of the test split it recognizes."""

    probe: Probe
    # None: there is no test split.
    top1: float | None


class Rounding(NamedTuple):
    """The change that float16 weights make."""

    # The number of clips on which it was measured, and whether they are of noise.
    num_clips: int
    is_noise: bool
    # The largest change of the features of a clip, as a fraction of their length.
    change: float
    # The smallest cosine between the features of a clip.
    cosine: float
    # 1-NN accuracy in percent in float32 and in float16; None without classes or a test split.
    knn1: tuple[float, float] | None

    def describe(self) -> str:
        """Return a sentence."""
        clips = f"{self.num_clips:,} {'clips of noise' if self.is_noise else 'sequences'}"
        text = (
            f"float16 changes the features of {clips} by at most {100 * self.change:.2g} % of "
            f"their length (smallest cosine {self.cosine:.6f})"
        )
        if self.knn1 is None:
            return f"{text}; 1-NN accuracy was not measured"
        return f"{text}; 1-NN accuracy {self.knn1[0]:.1f} % in float32, {self.knn1[1]:.1f} % now"


def fit_head(encoder: DualPathEncoder, clips: Clips, *, seed: int) -> Head:
    """Fit a linear head to the features of the training split.

    Its classes are those that occur there. Raises ScdnetError if there are too few sequences, or
    all have the same class.
    """
    rows = clips.split(train=True)
    if len(clips.label[rows].unique()) < 2:
        raise ScdnetError(
            f"{clips.store}: all training sequences have the same class, but --head needs labels"
        )
    train = _extract(encoder, clips, rows)
    model = fit_probe(train, seed=seed)
    names = tuple(clips.class_names[label] for label in model.classes_)
    probe = Probe(*to_linear(model), names)
    if not clips.has_test_split:
        return Head(probe, None)
    test = _extract(encoder, clips, clips.split(train=False))
    found = torch.from_numpy(model.classes_)[(test.x @ probe.weight.T + probe.bias).argmax(dim=1)]
    return Head(probe, 100 * (found == test.y).float().mean().item())


def measure_rounding(encoder: DualPathEncoder, rounded: DualPathEncoder, clips: Clips) -> Rounding:
    """Compare an encoder with the one of rounded weights, on sequences of a store."""
    has_classes = clips.has_test_split and len(clips.label.unique()) > 1
    splits = [clips.split(train=True)]
    if clips.has_test_split:
        splits.append(clips.split(train=False))
    splits = [stratified_subset(rows, clips.label, MAX_SEQUENCES) for rows in splits]
    before, after = ([_extract(one, clips, rows) for rows in splits] for one in (encoder, rounded))
    changes = _compare(*(torch.cat([part.x for part in parts]) for parts in (before, after)))
    knn1 = None
    if has_classes:
        knn1 = (_accuracy(before), _accuracy(after))
    return Rounding(sum(map(len, splits)), False, *changes, knn1)


def measure_rounding_on_noise(encoder: DualPathEncoder, rounded: DualPathEncoder) -> Rounding:
    """Compare an encoder with the one of rounded weights, where there is no store."""
    sizes = encoder.sizes
    shape = (COORDINATES, sizes.num_frames, encoder.skeleton.num_joints, sizes.num_bodies)
    generator = torch.Generator().manual_seed(0)
    clips = NOISE * torch.randn(NUM_NOISE, *shape, generator=generator)
    changes = _compare(*(encode(one, clips) for one in (encoder, rounded)))
    return Rounding(NUM_NOISE, True, *changes, None)


def _compare(before: Tensor, after: Tensor) -> tuple[float, float]:
    """Return the largest relative change of features (N, D) and their smallest cosine."""
    change = (after - before).norm(dim=1) / before.norm(dim=1)
    cosine = F.cosine_similarity(before.double(), after.double(), dim=1)
    return change.max().item(), cosine.min().item()


def _accuracy(splits: Sequence[Features]) -> float:
    """Return the 1-NN accuracy in percent of features of the training and the test split."""
    train, test = splits
    return accuracy_1nn(train, test, torch.device("cpu"))


def _extract(encoder: DualPathEncoder, clips: Clips, rows: Tensor) -> Features:
    # A copy, since the encoder that is exported stays on the CPU.
    return extract_features(copy.deepcopy(encoder), clips, index=rows)
