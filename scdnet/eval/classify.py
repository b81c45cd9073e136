"""What a recording shows, by those that are known: probabilities of their classes, and the most similar of them."""

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline
from torch import Tensor

from scdnet.data.clips import evaluation_view
from scdnet.data.store import FRAME_SHAPE
from scdnet.engine.checkpoint import build_encoder, read_checkpoint
from scdnet.errors import ScdnetError
from scdnet.eval.feature_file import FeatureFileError, read_features
from scdnet.eval.feature_table import FeatureTable
from scdnet.eval.features import at_level, encode
from scdnet.eval.logistic import fit_logistic
from scdnet.models.encoder import DualPathEncoder

SCORE_VARIANCE = (
    8  # that the probe's regularisation expects of a class score. Source: docs/method.md 5
)
NUM_NEIGHBOURS = 5


class Neighbour(NamedTuple):
    """A known sequence that is like the recording asked about."""

    name: str
    class_name: str
    similarity: float  # cosine of the features


class Prediction(NamedTuple):
    """What is said of a recording."""

    probabilities: dict[str, float]  # by name of class, the largest first; they sum to 1
    neighbours: list[Neighbour]  # the nearest first


class Classifier:
    """Says what recordings show; `encoder` is the one that made the features `known`. From `load_classifier`."""

    def __init__(self, encoder: DualPathEncoder, known: FeatureTable) -> None:
        self.known = known
        self._encoder = encoder

    def __call__(self, frames: np.ndarray, *, num_neighbours: int = NUM_NEIGHBOURS) -> Prediction:
        """Classify one recording, (T, 2, 25, 3) metres, normalised as a store holds it.

        The first call trains the linear probe: a second for a thousand known ones, a minute for 40,000 x 4096.
        Raises ScdnetError for another shape or coordinates that are no finite numbers.
        """
        frames = np.asarray(frames, dtype=np.float32)
        if frames.shape[1:] != FRAME_SHAPE or not len(frames):
            raise ScdnetError(
                f"expected frames (T, {', '.join(map(str, FRAME_SHAPE))}), found {frames.shape}"
            )
        sizes = self._encoder.sizes
        view = evaluation_view(
            frames, self.known.stream, num_frames=sizes.num_frames, bodies=sizes.num_bodies
        )
        x = encode(at_level(self._encoder, self.known.level), view)  # (1, 2D)
        if not x.isfinite().all():
            raise ScdnetError(
                "the recording has no finite features: are its coordinates finite numbers, metres?"
            )
        return Prediction(self._probabilities(x), self._neighbours(x[0], num_neighbours))

    @cached_property
    def _probe(self) -> Pipeline:
        known = self.known
        return fit_logistic(known.x.numpy(), known.label.numpy(), SCORE_VARIANCE / known.x.shape[1])

    def _probabilities(self, x: Tensor) -> dict[str, float]:
        chances = self._probe.predict_proba(x.numpy())[0]
        labels = self._probe.classes_  # of the columns; classes without a sequence have none
        return {
            self.known.class_names[labels[i]]: chances[i].item()
            for i in (-chances).argsort(kind="stable")
        }

    def _neighbours(self, x: Tensor, num: int) -> list[Neighbour]:
        known = self.known
        cosines = (known.x @ x / (known.x.norm(dim=1) * x.norm())).clamp(max=1)
        rows = cosines.argsort(descending=True, stable=True)[:num]
        return [
            Neighbour(str(known.name[i]), known.class_names[known.label[i]], cosines[i].item())
            for i in rows
        ]


def load_classifier(
    checkpoint: str | Path, features: str | Path, *, num_heads: int | None = None
) -> Classifier:
    """A classifier by the `features` that tools/extract_features.py has made with `checkpoint`, of all their sequences.

    `num_heads`, where the checkpoint does not say (the authors'), is by default that of the features. Raises
    CheckpointError, and FeatureFileError if the features are another checkpoint's, of other heads or of one class.
    """
    read, known = read_checkpoint(Path(checkpoint)), read_features(Path(features))
    made_with_heads = known.extraction_settings.get("num_heads", num_heads)
    if num_heads not in (None, made_with_heads):
        raise FeatureFileError(
            f"{features}: made with {made_with_heads} attention heads, expected {num_heads}"
        )
    encoder = build_encoder(read, num_heads=made_with_heads)
    if known.source.sha256 != read.sha256:
        found = f"made with {known.source.checkpoint}, whose hash is not that of {checkpoint}"
        raise FeatureFileError(f"{features}: {found}; make it anew with tools/extract_features.py")
    if (known.label == known.label[0]).all():
        only = known.class_names[known.label[0]]
        raise FeatureFileError(
            f"{features}: expected sequences of several classes, found only {only!r}"
        )
    return Classifier(encoder, known)
