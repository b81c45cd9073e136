"""What is written to results.jsonl is found there again, whatever else stands in it."""

import json
from pathlib import Path

from scdnet.results.results_file import (
    RESULTS,
    append_results,
    format_table,
    read_results,
    recorded,
)

KNN = {"protocol": "knn", "dataset": "ntu60", "checkpoint_sha256": "ab", "seed": None}


def test_a_line_for_each_metric_with_all_that_is_known(tmp_path: Path):
    path = append_results(tmp_path / "new", KNN, {"knn@1": 50.0, "map": 25.5})
    assert path == tmp_path / "new" / RESULTS
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [
        {**KNN, "metric": "knn@1", "value": 50.0},
        {**KNN, "metric": "map", "value": 25.5},
    ]
    append_results(tmp_path / "new", KNN, {"knn@5": 60.0})
    assert read_results(path) == [*lines, {**KNN, "metric": "knn@5", "value": 60.0}]


def test_a_torn_last_line_is_passed_over_and_the_next_results_stand_on_their_own(tmp_path: Path):
    path = append_results(tmp_path, KNN, {"knn@1": 50.0, "map": 25.5})
    path.write_bytes(path.read_bytes()[:-9])
    assert [record["metric"] for record in read_results(path)] == ["knn@1"]
    append_results(tmp_path, KNN, {"map": 26.5})
    assert {record["metric"]: record["value"] for record in read_results(path)} == {
        "knn@1": 50.0,
        "map": 26.5,
    }


def test_lines_that_are_no_results_are_passed_over(tmp_path: Path):
    path = append_results(tmp_path, KNN, {"knn@1": 50.0})
    no_number = b'{"protocol": "knn", "metric": "map", "value": null}'
    others = [b"[1]", b'"x"', b'{"metric": "map"}', b"\xff\xfe", no_number]
    path.write_bytes(path.read_bytes() + b"\n".join(others))
    assert len(read_results(path)) == 1
    assert read_results(tmp_path / "gone.jsonl") == []


def test_keys_that_are_not_known_are_kept(tmp_path: Path):
    path = append_results(tmp_path, {**KNN, "weather": "fine"}, {"knn@1": 50.0})
    assert read_results(path)[0]["weather"] == "fine"


def test_recorded_is_of_this_very_evaluation_and_the_last(tmp_path: Path):
    append_results(
        tmp_path,
        {**KNN, "config": "a.yaml", "checkpoint": "runs/a/last.pt"},
        {"knn@1": 50.0, "map": 25.5},
    )
    append_results(tmp_path, {**KNN, "checkpoint_sha256": "cd"}, {"knn@1": 1.0})
    append_results(tmp_path, {**KNN, "gallery": "ntu120"}, {"knn@1": 2.0})
    append_results(tmp_path, KNN, {"knn@1": 51.0})
    same = {
        **KNN,
        "config": "b.yaml",
        "checkpoint": "/moved/last.pt",
    }  # the same weights, otherwise named
    assert recorded(tmp_path, same) == {"knn@1": 51.0, "map": 25.5}
    assert recorded(tmp_path, {**KNN, "seed": 3}) == {}
    assert recorded(tmp_path / "new", KNN) == {}


def test_controls_are_told_apart_by_their_name(tmp_path: Path):
    control = {"protocol": "knn", "checkpoint_sha256": None}
    append_results(tmp_path, {**control, "checkpoint": "raw"}, {"knn@1": 1.0})
    assert recorded(tmp_path, {**control, "checkpoint": "none"}) == {}
    assert recorded(tmp_path, {**control, "checkpoint": "raw"}) == {"knn@1": 1.0}


def test_a_row_without_a_metric_is_blank_there():
    lines = format_table(
        "title", {"two classes": {"top1": 50.0}, "many": {"top1": 25.0, "top5": 75.0}}
    ).split("\n")
    assert [line.split()[-1] for line in lines] == ["top5", "50.0", "75.0"]


def test_the_table_has_a_column_for_each_metric():
    lines = format_table(
        "title", {"one": {"top1": 1.25, "top5": 100.0}, "another": {"top1": 2.0, "top5": 3.0}}
    )
    assert [line.split() for line in lines.split("\n")] == [
        ["title", "top1", "top5"],
        ["one", "1.2", "100.0"],
        ["another", "2.0", "3.0"],
    ]
    assert len({len(line) for line in lines.split("\n")}) == 1
