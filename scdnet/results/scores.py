"""Scores of classes: accuracies, the confusion matrix, and the files that contain them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from scdnet.errors import ScdnetError
from scdnet.files import DAMAGED_FILE_ERRORS, atomic_write, write_text
from scdnet.results.record import EvaluationRecord

TOPS = (1, 5)
# Numpy tokenizes the headers of arrays, which may be damaged too.
DAMAGED_SCORES_ERRORS: tuple[type[Exception], ...] = (*DAMAGED_FILE_ERRORS, SyntaxError, TokenError)
# The metric top1 of the epoch that does best on the test split; it is shown beside the last one's.
BEST_ON_TEST = "top1_best_on_test"


class Outcome(NamedTuple):
    """The metrics of an evaluation, and the scores behind them."""

    # Percent.
    metrics: dict[str, float]
    # (N, classes) float32 on the CPU, for the test sequences; the prediction is the largest one.
    scores: Tensor


class Scores(NamedTuple):
    """The content of a scores file."""

    scores: np.ndarray  # float32 (N, classes)
    name: np.ndarray  # (N,) str
    label: np.ndarray  # (N,) int64
    class_names: tuple[str, ...]
    record: EvaluationRecord


def topk_metrics(scores: Tensor, label: Tensor) -> dict[str, float]:
    """Return top1 and top5 in percent of scores (N, classes).

    A k that is not smaller than the number of classes is left out, except 1. Of equal scores the
    smaller class ranks higher.
    """
    ranked = scores.argsort(dim=1, descending=True, stable=True)
    hits = ranked == label[:, None]
    ks = [k for k in TOPS if k == 1 or k < scores.shape[1]]
    return {f"top{k}": 100 * hits[:, :k].any(dim=1).double().mean().item() for k in ks}


def confusion_matrix(scores: Tensor, label: Tensor) -> Tensor:
    """Count the sequences of each class (rows) by the class predicted (columns), int64."""
    num_classes = scores.shape[1]
    pairs = label * num_classes + scores.argmax(dim=1)
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


def write_confusion(path: Path, matrix: Tensor, class_names: Sequence[str]) -> None:
    """Write a table: for each class of the test split its size, accuracy and predictions."""
    shown = (matrix.sum(dim=0) + matrix.sum(dim=1)).nonzero()[:, 0].tolist()
    names = [" ".join(name.split()) for name in class_names]
    lines = ["\t".join(["class", "sequences", "accuracy", *(names[c] for c in shown)])]
    for c in shown:
        size = int(matrix[c].sum())
        if size:
            accuracy = f"{100 * matrix[c, c].item() / size:.1f}"
            cells = [names[c], size, accuracy, *matrix[c, shown].tolist()]
            lines.append("\t".join(map(str, cells)))
    write_text(path, "\n".join(lines) + "\n")


def write_scores(path: Path, scores: Scores) -> None:
    """Write a scores file (npz)."""
    texts = {"benchmark": scores.record.benchmark, "record": scores.record.model_dump_json()}
    with atomic_write(path) as file:
        np.savez_compressed(file, **{**scores._asdict(), **texts})


def read_scores(path: Path) -> Scores:
    """Read a scores file. Raises ScdnetError if it is missing, damaged or of another kind."""
    if not path.is_file():
        raise ScdnetError(
            f"{path}: no such scores file; evaluations write runs/<name>/scores_<protocol>.npz"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {key: np.asarray(file[key]) for key in Scores._fields}
        record = EvaluationRecord.model_validate_json(str(found.pop("record")))
    except DAMAGED_SCORES_ERRORS as error:
        raise ScdnetError(f"{path}: not a readable scores file ({error})") from error
    names = tuple(np.atleast_1d(found.pop("class_names")).tolist())
    _check_arrays(path, found, (found["name"].size, len(names)))
    return Scores(**found, class_names=names, record=record)


def _check_arrays(path: Path, found: Mapping[str, np.ndarray], shape: tuple[int, int]) -> None:
    """Raise ScdnetError unless these are the arrays of a file of `shape` (sequences, classes)."""
    scores = found["scores"]
    label = found["label"]
    if scores.shape != shape or label.shape != shape[:1] or found["name"].shape != shape[:1]:
        raise ScdnetError(
            f"{path}: expected scores of shape {shape}, found {scores.shape}, labels {label.shape}"
        )
    if scores.dtype.kind != "f" or not np.isfinite(scores).all():
        raise ScdnetError(f"{path}: expected scores that are finite numbers")
    if label.dtype.kind != "i" or not ((label >= 0) & (label < shape[1])).all():
        raise ScdnetError(f"{path}: expected labels in 0..{shape[1] - 1}")
