import json
import math
from pathlib import Path

import pytest

from scdnet.report.curves import (
    MAX_POINTS,
    RunCurves,
    build_curves,
    find_events,
    read_metrics,
    thin_out,
)

LINES = [
    {"epoch": 0, "loss": 2.0, "loss/temporal": 1.0, "feature_std/temporal": 0.5, "lr": 0.01},
    {"epoch": 1, "loss": 1.5, "loss/temporal": 0.7, "feature_std/temporal": 0.001, "lr": 0.01},
    {"epoch": 2, "loss": math.nan, "loss/temporal": 0.6, "feature_std/temporal": 0.4, "lr": 0.01},
]


def test_charts_show_the_metrics_that_the_runs_have():
    curves = build_curves([RunCurves("runs/a", LINES, 3.0), RunCurves("runs/b", LINES[:2], 3.0)])
    assert curves["xLabel"] == "epoch"
    keys = {chart["title"]: [key["key"] for key in chart["keys"]] for chart in curves["charts"]}
    assert keys == {
        "Loss": ["loss"],
        "Loss terms": ["loss/temporal"],
        "Spread of the embeddings": ["feature_std/temporal"],
        "Learning rate": ["lr"],
    }
    references = {chart["title"]: chart["reference"] for chart in curves["charts"]}
    assert references.pop("Loss") == {"value": 3.0, "label": "chance"}
    assert set(references.values()) == {None}
    first, second = curves["runs"]
    assert first["x"] == [0, 1, 2]
    assert second["series"]["loss"] == [2.0, 1.5]


def test_nan_is_a_gap_in_the_curve_and_an_event():
    (run,) = build_curves([RunCurves("a", LINES, 3.0)])["runs"]
    assert run["series"]["loss"] == [2.0, 1.5, None]
    assert json.dumps(run, allow_nan=False)
    assert {"x": 2, "kind": "nan", "text": "NaN"} in run["events"]


def test_a_collapse_is_marked_where_it_began():
    assert find_events(LINES[:2], "epoch") == [{"x": 1, "kind": "collapse", "text": "collapse"}]
    assert find_events(LINES[:1], "epoch") == []


def test_each_stretch_of_nan_is_marked_where_it_begins():
    losses = [math.nan, math.nan, 1.0, 1.0, math.nan]
    lines = [{"epoch": i, "loss": loss} for i, loss in enumerate(losses)]
    assert [event["x"] for event in find_events(lines, "epoch")] == [0, 4]


def test_steps_are_the_unit_of_runs_that_count_them():
    assert build_curves([RunCurves("a", [{"step": 50, "loss": 1.0}], 3.0)])["xLabel"] == "step"


def test_long_runs_are_thinned_out_and_keep_their_end():
    lines = [{"epoch": i} for i in range(5 * MAX_POINTS + 3)]
    kept = thin_out(lines)
    assert len(kept) <= MAX_POINTS
    assert kept[-1] == lines[-1]
    assert thin_out(lines[:7]) == lines[:7]
    assert thin_out([]) == []


@pytest.mark.parametrize(("largest", "is_log"), [(100.0, True), (2.0, False)])
def test_the_gradient_norm_has_a_logarithmic_axis_where_it_varies_much(
    largest: float, is_log: bool
):
    lines = [{"epoch": 0, "grad_norm": 1.0}, {"epoch": 1, "grad_norm": largest}]
    (chart,) = build_curves([RunCurves("a", lines, 3.0)])["charts"]
    assert chart["log"] == is_log


def test_runs_without_metrics_have_no_charts(tmp_path: Path):
    assert read_metrics(tmp_path) == []
    assert build_curves([RunCurves("a", [], 3.0)]) == {"xLabel": "", "runs": [], "charts": []}


def test_unfinished_lines_are_skipped(tmp_path: Path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 0}\n[1]\n{"epoch": 1, "lo')
    assert read_metrics(tmp_path) == [{"epoch": 0}]
