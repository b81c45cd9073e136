"""The verdict of a report: whether an encoder is better than the baselines, beyond chance."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

Z = 1.96
Kind = Literal["better", "equal", "worse", "unknown"]


class Verdict(NamedTuple):
    """A verdict in one sentence."""

    kind: Kind
    text: str


class Difference(NamedTuple):
    """A difference of two accuracies on the same test sequences, in points, and its 95 % margin."""

    points: float
    margin: float


def compare(own: np.ndarray, other: np.ndarray) -> Difference:
    """Compare which test sequences (n,) bool two encoders recognize; both see the same ones.

    Source: the interval of paired proportions; only sequences that one of them alone recognizes
    count.
    """
    num = len(own)
    gained = int((own & ~other).sum())
    lost = int((other & ~own).sum())
    spread = np.sqrt(max(gained + lost - (gained - lost) ** 2 / num, 0))
    return Difference(100 * (gained - lost) / num, 100 * Z * float(spread) / num)


def judge(runs: Sequence[np.ndarray], baselines: Mapping[str, Sequence[np.ndarray]]) -> Verdict:
    """Judge the 1-NN of one or several runs: which test sequences (n,) bool each recognizes.

    `baselines` have one for each run. The runs are compared with the one that is best on average.
    """
    values = [_percent(run) for run in runs]
    own = f"The nearest neighbor is of the right class for {_describe(values)}"
    own = f"{own} of the {len(runs[0]):,} test sequences"
    if not baselines:
        return Verdict("unknown", f"{own}; there is no baseline to compare with.")
    means = {name: np.mean([_percent(one) for one in hits]) for name, hits in baselines.items()}
    name = max(means, key=lambda name: means[name])
    differences = [compare(run, best) for run, best in zip(runs, baselines[name], strict=True)]
    points = float(np.mean([difference.points for difference in differences]))
    kind = _choose_kind(differences)
    where = f"the best baseline, {name} ({means[name]:.1f} %)"
    if kind == "equal":
        margin = max(difference.margin for difference in differences)
        return Verdict(
            kind, f"{own}, {_signed(points)} than {where}: within chance (± {margin:.1f})."
        )
    judgment = "pretraining pays" if kind == "better" else "it is not worth its training"
    return Verdict(kind, f"{own}, {_signed(points)} than {where}: {judgment}.")


def _percent(hits: np.ndarray) -> float:
    return 100 * float(hits.mean())


def _choose_kind(differences: Sequence[Difference]) -> Kind:
    """Return whether all runs differ from the baseline, and in the same direction."""
    if all(difference.points > difference.margin for difference in differences):
        return "better"
    if all(difference.points < -difference.margin for difference in differences):
        return "worse"
    return "equal"


def _signed(points: float) -> str:
    return f"{abs(points):.1f} points {'more' if points >= 0 else 'less'}"


def _describe(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.1f} %"
    spread = f"{min(values):.1f} to {max(values):.1f}"
    return f"{np.mean(values):.1f} % (mean of {len(values)} runs, {spread})"
