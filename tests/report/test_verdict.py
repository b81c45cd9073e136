import numpy as np
import pytest

from scdnet.report.verdict import compare, judge


def hits(num_right: int, num: int = 200) -> np.ndarray:
    """Return which sequences are recognized: the first ones."""
    return np.arange(num) < num_right


def test_only_sequences_that_one_encoder_alone_recognizes_make_a_margin():
    assert compare(hits(100), hits(100)) == (0, 0)
    difference = compare(hits(120), hits(100))
    assert difference.points == 10
    # 20 gained, none lost: the variance of their share.
    assert difference.margin == pytest.approx(100 * 1.96 * np.sqrt(20 - 400 / 200) / 200)


@pytest.mark.parametrize(
    ("num_right", "kind", "words"),
    [
        (160, "better", "30.0 points more than the best baseline, raw-pca (50.0 %)"),
        (60, "worse", "20.0 points less than the best baseline, raw-pca (50.0 %)"),
        (101, "equal", "0.5 points more than the best baseline, raw-pca (50.0 %): within chance"),
    ],
)
def test_the_verdict_compares_with_the_best_baseline(num_right: int, kind: str, words: str):
    verdict = judge([hits(num_right)], {"raw views": [hits(80)], "raw-pca": [hits(100)]})
    assert verdict.kind == kind
    assert words in verdict.text


def test_several_seeds_must_all_be_better():
    baselines = {"raw-pca": [hits(100), hits(100)]}
    verdict = judge([hits(160), hits(101)], baselines)
    assert verdict.kind == "equal"
    assert "65.2 % (mean of 2 runs, 50.5 to 80.0)" in verdict.text
    assert judge([hits(160), hits(150)], baselines).kind == "better"


def test_without_baselines_there_is_no_judgment():
    verdict = judge([hits(150)], {})
    assert verdict.kind == "unknown"
    assert "75.0 % of the 200 test sequences" in verdict.text
