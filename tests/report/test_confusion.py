import numpy as np
import pytest

from scdnet.report.confusion import count_confusions, order_by_similarity, wilson_interval


def test_cells_count_the_test_sequences():
    rng = np.random.default_rng(0)
    label = rng.integers(5, size=200)
    predicted = np.where(rng.random(200) < 0.6, label, rng.integers(5, size=200))
    confusion = count_confusions(label, predicted, {c: np.eye(5)[c] for c in range(5)})
    assert confusion.counts.sum() == 200
    for i, actual in enumerate(confusion.order):
        for j, guess in enumerate(confusion.order):
            expected = ((label == actual) & (predicted == guess)).sum()
            assert confusion.counts[i, j] == expected
    for one in confusion.accuracy:
        assert one.num == (label == one.label).sum()
        assert one.correct == ((label == one.label) & (predicted == one.label)).sum()
        assert one.low <= 100 * one.correct / one.num <= one.high


def test_a_class_that_is_only_predicted_has_a_column_and_no_test_sequence():
    confusion = count_confusions(
        np.array([0, 0]), np.array([0, 3]), {0: np.ones(2), 3: np.array([1.0, 0])}
    )
    assert sorted(confusion.order.tolist()) == [0, 3]
    assert {one.label: one.num for one in confusion.accuracy} == {0: 2, 3: 0}


def test_the_most_confused_pair_comes_first_and_right_ones_are_no_pairs():
    label = np.array([0] * 5 + [1] * 5 + [2] * 5)
    predicted = np.array([0] * 5 + [2] * 4 + [1] + [0, 2, 2, 2, 2])
    confusion = count_confusions(label, predicted, {c: np.eye(3)[c] for c in range(3)})
    assert [tuple(pair) for pair in confusion.pairs] == [(1, 2, 4), (2, 0, 1)]


def test_similar_classes_are_neighbors():
    angles = {0: 0.0, 1: 1.5, 2: 0.1, 3: 1.4}
    centers = {c: np.array([np.cos(a), np.sin(a)]) for c, a in angles.items()}
    order = order_by_similarity(np.arange(4), centers).tolist()
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset({0, 2}), frozenset({1, 3})}


def test_classes_without_a_direction_can_be_ordered():
    centers = {c: np.zeros(2) for c in range(4)}
    assert sorted(order_by_similarity(np.arange(4), centers)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("correct", "num", "low", "high"),
    # From R's binom.confint(method = "wilson").
    [(0, 10, 0.0, 27.75), (8, 10, 49.02, 94.33), (50, 100, 40.38, 59.62), (0, 0, 0, 100)],
)
def test_intervals_are_those_of_wilson(correct: int, num: int, low: float, high: float):
    assert wilson_interval(correct, num) == pytest.approx((low, high), abs=0.01)
