"""What scores of classes say: accuracies, the confusion matrix, and the files they are kept in."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from scdnet.errors import ScdnetError
from scdnet.files import atomic_write

TOPS = (1, 5)


class Scores(NamedTuple):
    """What an evaluation gives each class for each test sequence; the largest is its answer."""

    scores: np.ndarray  # float32 (N, classes)
    name: np.ndarray  # (N,) str
    label: np.ndarray  # (N,) int64
    benchmark: str
    class_names: tuple[str, ...]
    dataset: str
    stream: str
    evaluation: Mapping[str, Any]  # as in results.jsonl; empty where the file does not say


def topk_metrics(scores: Tensor, label: Tensor) -> dict[str, float]:
    """top1 and top5 in percent of scores (N, classes); a k of as many classes as there are, or more, is left out.

    Of equal scores the smaller class counts as higher.
    """
    ranked = scores.argsort(dim=1, descending=True, stable=True)
    hits = ranked == label[:, None]
    ks = [k for k in TOPS if k == 1 or k < scores.shape[1]]
    return {f"top{k}": 100 * hits[:, :k].any(dim=1).double().mean().item() for k in ks}


def confusion_matrix(scores: Tensor, label: Tensor) -> Tensor:
    """(classes, classes) int64: how many sequences of the class of the row were taken for that of the column."""
    num_classes = scores.shape[1]
    pairs = label * num_classes + scores.argmax(dim=1)
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


def write_confusion(path: Path, matrix: Tensor, class_names: Sequence[str]) -> None:
    """Write a table: for each class of the test split its size, its accuracy in percent and what it was taken for."""
    shown = (matrix.sum(dim=0) + matrix.sum(dim=1)).nonzero()[:, 0].tolist()
    names = [" ".join(name.split()) for name in class_names]
    lines = ["\t".join(["class", "sequences", "accuracy", *(names[c] for c in shown)])]
    for c in (c for c in shown if matrix[c].any()):
        size = int(matrix[c].sum())
        cells = [
            names[c],
            size,
            f"{100 * matrix[c, c].item() / size:.1f}",
            *matrix[c, shown].tolist(),
        ]
        lines.append("\t".join(map(str, cells)))
    with atomic_write(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_scores(path: Path, scores: Scores) -> None:
    """Write a scores file (npz)."""
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **_plain(scores))


def read_scores(path: Path) -> Scores:
    """Read a scores file. Raises ScdnetError if it is none."""
    if not path.is_file():
        raise ScdnetError(
            f"{path}: no such scores file; evaluations write them as runs/<name>/scores_<protocol>.npz"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {key: _array(file[key]) for key in Scores._fields if key != "evaluation"}
            evaluation = dict(json.loads(str(file["evaluation"]))) if "evaluation" in file else {}
    except (
        Exception
    ) as error:  # of a damaged file numpy hands on those of zipfile, zlib, tokenize and more
        raise ScdnetError(f"{path}: not a readable scores file ({error})") from error
    texts = {key: str(found[key]) for key in ("benchmark", "dataset", "stream")}
    names = tuple(np.atleast_1d(found["class_names"]).tolist())
    _check_arrays(path, found, (found["name"].size, len(names)))
    return Scores(**{**found, **texts, "class_names": names}, evaluation=evaluation)


def _array(read: np.ndarray | bytes) -> np.ndarray:
    """What numpy has read; it hands on as bytes what does not begin as an array does."""
    if not isinstance(read, np.ndarray):
        raise ValueError("a part of it is no array")
    return read


def _check_arrays(path: Path, found: Mapping[str, np.ndarray], shape: tuple[int, int]) -> None:
    """Raise ScdnetError if these are not the arrays of `shape` (sequences, classes) that `write_scores` writes."""
    scores, label = found["scores"], found["label"]
    if scores.shape != shape or label.shape != shape[:1] or found["name"].shape != shape[:1]:
        raise ScdnetError(
            f"{path}: expected scores of shape {shape}, found {scores.shape}, labels {label.shape}"
        )
    if scores.dtype.kind != "f" or not np.isfinite(scores).all():
        raise ScdnetError(f"{path}: expected scores that are finite numbers")
    if label.dtype.kind != "i" or not ((label >= 0) & (label < shape[1])).all():
        raise ScdnetError(f"{path}: expected labels in 0..{shape[1] - 1}")


def _plain(scores: Scores) -> Mapping[str, np.ndarray]:
    columns = {**scores._asdict(), "evaluation": json.dumps(dict(scores.evaluation))}
    return {key: np.asarray(value) for key, value in columns.items()}
