"""Classify single recordings by sequences whose features are known, and find similar ones."""

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline
from torch import Tensor

from scdnet.data.clips import evaluation_view
from scdnet.data.normalized import check_normalized
from scdnet.engine.sources import read_pretrained
from scdnet.errors import ScdnetError
from scdnet.eval.feature_file import FeatureFileError, read_features
from scdnet.eval.feature_table import FeatureTable
from scdnet.eval.features import at_level, encode
from scdnet.eval.logistic import fit_logistic
from scdnet.models.encoder import DualPathEncoder
from scdnet.skeleton import Skeleton

# The regularization expects this variance of a class score. Source: docs/classify.md.
SCORE_VARIANCE = 8

NUM_NEIGHBORS = 5


class Neighbor(NamedTuple):
    """A known sequence and the cosine similarity of its features to those of a recording."""

    name: str
    class_name: str
    similarity: float


class Prediction(NamedTuple):
    """The class probabilities of a recording, largest first, and its neighbors, nearest first.

    The probabilities sum to 1; their keys are class names. There are none if the known sequences
    have a single class, as unlabeled ones do.
    """

    probabilities: dict[str, float]
    # Scripts rely on this spelling.
    neighbours: list[Neighbor]


class Classifier:
    """A classifier of recordings; `encoder` has to be the one that made the features `known`."""

    def __init__(self, encoder: DualPathEncoder, known: FeatureTable) -> None:
        self.known = known
        self._encoder = encoder

    @property
    def skeleton(self) -> Skeleton:
        """Return the skeleton whose joints the recordings must have."""
        return self._encoder.skeleton

    def __call__(self, frames: np.ndarray, *, num_neighbors: int = NUM_NEIGHBORS) -> Prediction:
        """Classify one recording (T, M, V, C), normalized as in a store, of the encoder's joints.

        The first call fits the linear probe, in a second for 1000 known sequences and a minute for
        40,000 with 4096 features. Raises ScdnetError for frames that are not normalized.
        """
        frames = np.asarray(frames, dtype=np.float32)
        check_normalized(frames, self._encoder.skeleton)
        known_encoder = self.known.encoder
        sizes = self._encoder.sizes
        view = evaluation_view(
            frames,
            known_encoder.stream,
            num_frames=sizes.num_frames,
            num_bodies=sizes.num_bodies,
            skeleton=self._encoder.skeleton,
        )
        x = encode(at_level(self._encoder, known_encoder.feature_level), view)  # (1, 2D)
        if not x.isfinite().all():
            raise ScdnetError(
                "the features of the recording became NaN or Inf; "
                "expected finite coordinates in meters"
            )
        return Prediction(
            self._probabilities(x) if self.known.num_occurring > 1 else {},
            self._neighbors(x[0], num_neighbors),
        )

    @cached_property
    def _probe(self) -> Pipeline:
        known = self.known
        return fit_logistic(known.x.numpy(), known.label.numpy(), SCORE_VARIANCE / known.x.shape[1])

    def _probabilities(self, x: Tensor) -> dict[str, float]:
        probabilities = self._probe.predict_proba(x.numpy())[0]
        # The probe has no columns for classes without a sequence.
        labels = self._probe.classes_
        return {
            self.known.class_names[labels[i]]: probabilities[i].item()
            for i in (-probabilities).argsort(kind="stable")
        }

    def _neighbors(self, x: Tensor, num_neighbors: int) -> list[Neighbor]:
        known = self.known
        cosines = (known.x @ x / (known.x.norm(dim=1) * x.norm())).clamp(max=1)
        rows = cosines.argsort(descending=True, stable=True)[:num_neighbors]
        return [
            Neighbor(str(known.name[i]), known.class_names[known.label[i]], cosines[i].item())
            for i in rows
        ]


def load_classifier(
    checkpoint: str | Path, features: str | Path, *, num_heads: int | None = None
) -> Classifier:
    """Load a classifier from the features that `scdnet extract` has written with `checkpoint`.

    It learns from all their sequences, of training and test splits. A checkpoint that does not
    state `num_heads` (the authors') has those of the features. Raises CheckpointError, and
    FeatureFileError if the features have another checkpoint or other heads.
    """
    known = read_features(Path(features))
    # Features without an encoder do not have the setting.
    known_num_heads = known.settings.get("num_heads")
    if None not in (num_heads, known_num_heads) and num_heads != known_num_heads:
        raise FeatureFileError(
            f"{features}: extracted with {known_num_heads} attention heads, expected {num_heads}"
        )
    found = read_pretrained(checkpoint)
    if known.encoder.checkpoint_sha256 != found.sha256:
        source = known.encoder.checkpoint or known.encoder.baseline
        raise FeatureFileError(
            f"{features}: extracted with {source}, whose hash is not that of {checkpoint}; "
            "recreate it with `scdnet extract`"
        )
    return Classifier(found.build(num_heads=known_num_heads), known)
