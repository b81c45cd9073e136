"""The verdict of a report: whether an encoder is better than the baselines, beyond chance."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import binomtest

# A difference is called one if chance alone makes a larger one with less than this probability.
SIGNIFICANCE = 0.05
Kind = Literal["better", "equal", "worse", "unknown"]


class Verdict(NamedTuple):
    """A verdict in one sentence."""

    kind: Kind
    text: str


class Difference(NamedTuple):
    """A difference of two accuracies on the same test sequences."""

    # Percent.
    points: float
    # The probability of one at least as large, if the two were equally good.
    p_value: float

    @property
    def kind(self) -> Kind:
        """Return whether the first encoder is better, worse, or neither for certain."""
        if self.p_value >= SIGNIFICANCE:
            return "equal"
        return "better" if self.points > 0 else "worse"


def compare(own: np.ndarray, other: np.ndarray) -> Difference:
    """Compare which test sequences (n,) bool two encoders recognize; both see the same ones.

    Only sequences that one of them alone recognizes count (the exact sign test, that of McNemar).
    """
    gained = int((own & ~other).sum())
    lost = int((other & ~own).sum())
    p_value = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    return Difference(100 * (gained - lost) / len(own), float(p_value))


def judge(runs: Sequence[np.ndarray], baselines: Mapping[str, Sequence[np.ndarray]]) -> Verdict:
    """Judge the 1-NN of one or several runs: which test sequences (n,) bool each recognizes.

    `baselines` have one for each run. The runs are compared with the one that is best on average.
    """
    values = [_percent(run) for run in runs]
    num = len(runs[0])
    sequences = "1 test sequence" if num == 1 else f"{num:,} test sequences"
    own = f"1-NN accuracy is {_describe(values)} on {sequences}"
    if not baselines:
        return Verdict("unknown", f"{own}; there is no baseline to compare with.")
    means = {name: np.mean([_percent(one) for one in hits]) for name, hits in baselines.items()}
    name = max(means, key=lambda name: means[name])
    differences = [compare(run, best) for run, best in zip(runs, baselines[name], strict=True)]
    points = float(np.mean([difference.points for difference in differences]))
    side = "above" if points >= 0 else "below"
    where = f"{abs(points):.1f} points {side} the best baseline, {name} ({means[name]:.1f} %)"
    kinds = {difference.kind for difference in differences}
    kind: Kind = kinds.pop() if len(kinds) == 1 else "equal"
    return Verdict(kind, f"{own}, {where}: {_conclude(kind, differences)}.")


def _conclude(kind: Kind, differences: Sequence[Difference]) -> str:
    """Return what follows from the differences of all runs."""
    if kind == "better":
        return "pretraining helps"
    if kind == "worse":
        return "worse than no pretraining"
    if len(differences) == 1:
        return f"not a significant difference (sign test, p = {differences[0].p_value:.2f})"
    counts = {
        word: sum(difference.kind == word for difference in differences)
        for word in ("better", "worse")
    }
    parts = [f"{word} in {num}" for word, num in counts.items() if num]
    return f"significantly {' and '.join(parts) or 'different in none'} of {len(differences)} runs"


def _percent(hits: np.ndarray) -> float:
    return 100 * float(hits.mean())


def _describe(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.1f} %"
    spread = f"{min(values):.1f} to {max(values):.1f}"
    return f"{np.mean(values):.1f} % (mean of {len(values)} runs, {spread})"
