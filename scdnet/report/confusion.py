"""Confusions between classes: their matrix, its order, accuracies with intervals, worst pairs."""

from typing import NamedTuple

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import pdist

# The quantile of the normal distribution for intervals of 95 %.
Z = 1.96
NUM_PAIRS = 12


class Accuracy(NamedTuple):
    """The accuracy of one class, in percent, with the bounds of its 95 % Wilson interval."""

    label: int
    num: int
    correct: int
    low: float
    high: float


class Pair(NamedTuple):
    """A class, the one that it is taken for, and how often."""

    actual: int
    predicted: int
    num: int


class Confusion(NamedTuple):
    """The confusions of a test split."""

    # Class ids, similar classes beside each other.
    order: np.ndarray  # (c,)
    # Rows are the true classes, columns the predicted ones, both in this order.
    counts: np.ndarray  # (c, c)
    accuracy: list[Accuracy]
    # Most frequent first.
    pairs: list[Pair]


def wilson_interval(correct: int, num: int) -> tuple[float, float]:
    """Return the bounds of the 95 % interval of a share, in percent. Source: Wilson 1927."""
    if num == 0:
        return 0.0, 100.0
    share = correct / num
    scale = 1 + Z**2 / num
    middle = (share + Z**2 / (2 * num)) / scale
    half = Z * np.sqrt(share * (1 - share) / num + Z**2 / (4 * num**2)) / scale
    return 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)


def count_confusions(
    label: np.ndarray, predicted: np.ndarray, centers: dict[int, np.ndarray]
) -> Confusion:
    """Count the test sequences by class and prediction (n,) each.

    `centers` have the mean feature (D,) of each class that occurs; similar ones become neighbors.
    """
    occurring = np.union1d(label, predicted)
    order = order_by_similarity(occurring, centers)
    place = {c: i for i, c in enumerate(order.tolist())}
    counts = np.zeros((len(order), len(order)), dtype=np.int64)
    np.add.at(counts, ([place[c] for c in label], [place[c] for c in predicted]), 1)
    accuracy = []
    for i, c in enumerate(order.tolist()):
        num = int(counts[i].sum())
        correct = int(counts[i, i])
        accuracy.append(Accuracy(c, num, correct, *wilson_interval(correct, num)))
    return Confusion(order, counts, accuracy, _find_pairs(order, counts))


def order_by_similarity(labels: np.ndarray, centers: dict[int, np.ndarray]) -> np.ndarray:
    """Sort class ids (c,) so that neighbors have similar mean features."""
    if len(labels) < 3:
        return labels
    distances = pdist(np.stack([centers[c] for c in labels.tolist()]), "cosine")
    # Rounding makes distances of equal features negative.
    distances = np.maximum(np.nan_to_num(distances, nan=1.0), 0)
    tree = optimal_leaf_ordering(linkage(distances, "average"), distances)
    return labels[leaves_list(tree)]


def _find_pairs(order: np.ndarray, counts: np.ndarray) -> list[Pair]:
    wrong = counts * (1 - np.eye(len(order), dtype=np.int64))
    ranked = np.argsort(-wrong, axis=None, kind="stable")[:NUM_PAIRS]
    cells = zip(*np.unravel_index(ranked, wrong.shape), strict=True)
    return [
        Pair(int(order[i]), int(order[j]), int(wrong[i, j])) for i, j in cells if wrong[i, j] > 0
    ]
