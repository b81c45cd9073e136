"""Counts of the sequences of a store: by class, subject, camera, length and number of bodies."""

from typing import Any

import numpy as np

from scdnet.data.store import SequenceStore
from scdnet.report.confusion import Accuracy
from scdnet.report.motion import FRAME_RATE

NUM_BINS = 24


def count_classes(store: SequenceStore, is_train: np.ndarray, two_bodies: float) -> dict[str, Any]:
    """Count sequences; `is_train` (N,) bool, `two_bodies` the share of those with two bodies."""
    label = store.table.label
    num_classes = len(store.class_names)
    train = np.bincount(label[is_train], minlength=num_classes)
    test = np.bincount(label[~is_train], minlength=num_classes)
    counts, edges = np.histogram(np.diff(store.offset) / FRAME_RATE, NUM_BINS)
    return {
        "counts": [
            {"label": c, "train": int(train[c]), "test": int(test[c])}
            for c in np.unique(label).tolist()
        ],
        "subjects": _count_values(store.table.subject),
        "cameras": _count_values(store.table.camera),
        "lengths": {"edges": edges.round(3).tolist(), "counts": counts.tolist()},
        "twoBody": round(two_bodies, 4),
    }


def _count_values(column: np.ndarray) -> list[dict[str, int]]:
    """Count how often each value occurs; unknown ones, -1, are left out."""
    values, counts = np.unique(column[column >= 0], return_counts=True)
    return [{"id": v, "num": n} for v, n in zip(values.tolist(), counts.tolist(), strict=True)]


def find_extremes(accuracy: list[Accuracy]) -> tuple[Accuracy, Accuracy] | None:
    """Return the classes of the highest and the lowest accuracy; of equal ones the larger.

    None if fewer than two classes have a test sequence.
    """
    tested = [one for one in accuracy if one.num]
    if len(tested) < 2:
        return None
    best = max(tested, key=lambda one: (one.correct / one.num, one.num))
    others = [one for one in tested if one is not best]
    return best, min(others, key=lambda one: (one.correct / one.num, -one.num))
