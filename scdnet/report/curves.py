"""Curves of trainings, from metrics.jsonl: what a report plots, and where a run went wrong."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scdnet.engine.run.directory import METRICS
from scdnet.engine.train.diagnostics import COLLAPSED, FEATURE_STD
from scdnet.losses import LATENT_SPREAD

# Points of a curve; more could not be told apart on a screen.
MAX_POINTS = 600
UNITS = ("epoch", "step")
# A larger ratio of the largest to the smallest value calls for a logarithmic axis.
WIDE = 20


class Chart(NamedTuple):
    """A plot of the metric of this name, or if it ends in a slash, of those that begin with it."""

    title: str
    note: str
    prefix: str
    may_be_log: bool = False


LOSS = "Loss"
CHARTS = (
    Chart(LOSS, "Total training loss.", "loss"),
    Chart("Loss terms", "One for each pair of projections.", "loss/"),
    Chart(
        "Alignment",
        "Mean squared distance between two views of a clip; 0: equal, 2: unrelated.",
        "alignment/",
    ),
    Chart("Uniformity", "The lower, the more evenly spread.", "uniformity/"),
    Chart("Spread of the embeddings", "1: evenly spread, 0: collapsed.", f"{FEATURE_STD}/"),
    Chart("Loss of hidden tokens", "The prediction of each path.", "latent_loss/"),
    Chart(
        "Loss of the batch mean",
        "What the prediction of hidden tokens has to fall below.",
        "latent_mean_loss/",
    ),
    Chart("Spread of the tokens", "Over clips, at one position; 0: collapsed.", "latent_spread/"),
    Chart("1-NN accuracy", "Percent, on the test split.", "knn@1"),
    Chart("Learning rate", "", "lr"),
    Chart("Gradient norm", "", "grad_norm", may_be_log=True),
    Chart("Speed", "Clips per second.", "clips_per_second"),
)

Line = Mapping[str, Any]


class RunCurves(NamedTuple):
    """The metrics of a training."""

    name: str
    # The lines of metrics.jsonl.
    lines: Sequence[Line]
    # The loss at chance level, if it is that of a contrast alone.
    chance: float | None


def read_metrics(run_dir: Path) -> list[Line]:
    """Read the lines of a run's metrics.jsonl, skipping unfinished ones; none without the file."""
    path = run_dir / METRICS
    if not path.is_file():
        return []
    lines: list[Line] = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines


def build_curves(runs: Sequence[RunCurves]) -> dict[str, Any]:
    """Build the charts of several runs as plain values."""
    all_lines = [line for run in runs for line in run.lines]
    unit = next((unit for unit in UNITS if any(unit in line for line in all_lines)), "")
    names = {name for line in all_lines for name in line}
    charts: list[dict[str, Any]] = [
        {
            "title": chart.title,
            "note": chart.note,
            "log": chart.may_be_log and _is_wide(all_lines, keys),
            "keys": keys,
            "reference": _find_reference(chart, runs),
        }
        for chart in CHARTS
        if (keys := _find_keys(chart, names))
    ]
    shown = [key["key"] for chart in charts for key in chart["keys"]]
    return {
        "xLabel": unit,
        "runs": [_build_run(run, unit, shown) for run in runs if run.lines],
        "charts": charts,
    }


def _find_keys(chart: Chart, names: set[str]) -> list[dict[str, str]]:
    """Return the metrics among `names` that a chart shows, with their labels."""
    prefix = chart.prefix
    matching = sorted(
        name for name in names if name == prefix or (prefix[-1] == "/" and name.startswith(prefix))
    )
    return [{"key": name, "label": name.removeprefix(prefix) or prefix} for name in matching]


def _is_wide(lines: Sequence[Line], keys: Sequence[Mapping[str, str]]) -> bool:
    """Check whether the values of metrics are spread over a factor of WIDE."""
    values = [
        number for line in lines for key in keys if (number := read_number(line.get(key["key"])))
    ]
    return bool(values) and max(values) > WIDE * min(values) > 0


def _find_reference(chart: Chart, runs: Sequence[RunCurves]) -> dict[str, Any] | None:
    """Return the chance level of the loss, if it is the same for all runs."""
    levels = {run.chance for run in runs}
    if chart.title != LOSS or len(levels) != 1:
        return None
    (level,) = levels
    return None if level is None else {"value": round(level, 3), "label": "chance"}


def _build_run(run: RunCurves, unit: str, shown: Sequence[str]) -> dict[str, Any]:
    kept = thin_out(run.lines)
    return {
        "name": run.name,
        "x": [line.get(unit) for line in kept],
        "series": {key: [read_number(line.get(key)) for line in kept] for key in shown},
        "events": find_events(run.lines, unit),
    }


def thin_out(lines: Sequence[Line]) -> list[Line]:
    """Return at most MAX_POINTS lines, evenly spaced, the last one among them."""
    step = -(-len(lines) // MAX_POINTS) if lines else 1
    return list(lines[::-1][::step])[::-1]


def find_events(lines: Sequence[Line], unit: str) -> list[dict[str, Any]]:
    """Find where a run became NaN, each time anew, and where its embeddings first collapsed."""
    broken = [_is_broken(line) for line in lines]
    begins = [now and not before for now, before in zip(broken, [False, *broken], strict=False)]
    events = [
        {"x": line.get(unit), "kind": "nan", "text": "NaN"}
        for line, is_first in zip(lines, begins, strict=True)
        if is_first
    ]
    collapsed = next((line for line in lines if _is_collapsed(line)), None)
    if collapsed is not None:
        events.append({"x": collapsed.get(unit), "kind": "collapse", "text": "collapse"})
    return events


def _is_broken(line: Line) -> bool:
    return any(isinstance(value, float) and not math.isfinite(value) for value in line.values())


def _is_collapsed(line: Line) -> bool:
    measures = (f"{FEATURE_STD}/", f"{LATENT_SPREAD}/")
    spreads = [value for key, value in line.items() if key.startswith(measures)]
    return any(read_number(value) is not None and value < COLLAPSED for value in spreads)


def read_number(value: object) -> float | None:
    """Return a number with the digits that a plot can show; None for NaN, Inf and what is none."""
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return float(f"{value:.5g}") if is_number else None
