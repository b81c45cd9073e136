import numpy as np
import pytest

from scdnet.report.verdict import compare, judge


def hits(num_right: int, num: int = 200) -> np.ndarray:
    """Return which sequences are recognized: the first ones."""
    return np.arange(num) < num_right


@pytest.mark.parametrize(
    ("gained", "p_value"),
    # Two-sided: 2 / 2^n, where nothing was lost.
    [(0, 1), (1, 1), (3, 0.25), (5, 0.0625), (6, 0.03125)],
)
def test_few_sequences_that_one_alone_recognizes_are_not_significant(gained: int, p_value: float):
    difference = compare(hits(50 + gained, 100), hits(50, 100))
    assert difference.points == gained
    assert difference.p_value == pytest.approx(p_value)
    assert difference.kind == ("better" if p_value < 0.05 else "equal")


def test_sequences_that_were_lost_count_against_those_gained():
    own = np.array([True] * 10 + [False] * 10)
    other = np.roll(own, 5)
    assert compare(own, other) == (0, 1)


@pytest.mark.parametrize(
    ("num_right", "kind", "words"),
    [
        (160, "better", "30.0 points above the best baseline, raw-pca (50.0 %): pretraining helps"),
        (60, "worse", "20.0 points below the best baseline, raw-pca (50.0 %): worse than no"),
        (101, "equal", "0.5 points above the best baseline, raw-pca (50.0 %): not a significant"),
    ],
)
def test_the_verdict_compares_with_the_best_baseline(num_right: int, kind: str, words: str):
    verdict = judge([hits(num_right)], {"raw views": [hits(80)], "raw-pca": [hits(100)]})
    assert verdict.kind == kind
    assert words in verdict.text


@pytest.mark.parametrize(
    ("counts", "kind", "words"),
    [
        ((160, 101), "equal", "significantly better in 1 of 2 runs"),
        ((160, 40), "equal", "significantly better in 1 and worse in 1 of 2 runs"),
        ((101, 99), "equal", "significantly different in none of 2 runs"),
        ((160, 150), "better", "pretraining helps"),
    ],
)
def test_several_runs_must_all_be_better(counts: tuple[int, ...], kind: str, words: str):
    verdict = judge([hits(num) for num in counts], {"raw-pca": [hits(100), hits(100)]})
    assert verdict.kind == kind
    assert words in verdict.text
    assert "mean of 2 runs" in verdict.text


def test_without_baselines_there_is_no_judgment():
    verdict = judge([hits(150)], {})
    assert verdict.kind == "unknown"
    assert "75.0 % on 200 test sequences" in verdict.text
    assert "on 1 test sequence;" in judge([hits(1, 1)], {}).text
