"""What is written to results.jsonl is found there again, whatever else it contains."""

import json
from pathlib import Path

import numpy as np

from scdnet.results.results_file import (
    RESULTS,
    append_results,
    find_evaluation,
    read_results,
    write_evaluation,
)
from tests.results.records import make_record, make_scores

KNN = make_record(protocol="knn", seed=None)
SCORES = make_scores(np.eye(2), np.array([0, 1]), "ab", protocol="knn")


def test_each_metric_is_a_line_with_all_that_is_known(tmp_path: Path):
    path = append_results(tmp_path / "new", KNN, {"knn@1": 50.0, "map": 25.5})
    assert path == tmp_path / "new" / RESULTS
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [
        {**KNN.dump(), "metric": "knn@1", "value": 50.0},
        {**KNN.dump(), "metric": "map", "value": 25.5},
    ]
    append_results(tmp_path / "new", KNN, {"knn@5": 60.0})
    results = read_results(path)
    assert [(result.metric, result.value) for result in results] == [
        ("knn@1", 50.0),
        ("map", 25.5),
        ("knn@5", 60.0),
    ]
    assert {str(result.identity) for result in results} == {str(KNN.identity)}


def test_a_torn_last_line_is_skipped_and_the_next_results_have_lines_of_their_own(tmp_path: Path):
    path = append_results(tmp_path, KNN, {"knn@1": 50.0, "map": 25.5})
    path.write_bytes(path.read_bytes()[:-9])
    assert [result.metric for result in read_results(path)] == ["knn@1"]
    append_results(tmp_path, KNN, {"map": 26.5})
    metrics = {result.metric: result.value for result in read_results(path)}
    assert metrics == {"knn@1": 50.0, "map": 26.5}


def test_lines_that_are_not_results_are_skipped(tmp_path: Path):
    path = append_results(tmp_path, KNN, {"knn@1": 50.0})
    whole = {**KNN.dump(), "metric": "map", "value": 1.0}
    no_number = json.dumps({**whole, "value": None}).encode()
    no_dataset = json.dumps({key: whole[key] for key in whole if key != "dataset"}).encode()
    unknown_protocol = json.dumps({**whole, "protocol": "hum"}).encode()
    others = [b"[1]", b'"x"', b'{"metric": "map"}', b"\xff\xfe", no_number, no_dataset]
    path.write_bytes(path.read_bytes() + b"\n".join([*others, unknown_protocol]))
    assert len(read_results(path)) == 1
    assert read_results(tmp_path / "gone.jsonl") == []


def test_unknown_keys_are_ignored(tmp_path: Path):
    line = {**KNN.dump(), "metric": "map", "value": 3.0, "weather": ["fine"]}
    (tmp_path / RESULTS).write_text(json.dumps(line))
    (result,) = read_results(tmp_path / RESULTS)
    assert result.value == 3.0 and result.identity == KNN.identity


def test_an_evaluation_is_found_by_its_record(tmp_path: Path):
    assert find_evaluation(tmp_path, SCORES.record) == {}
    write_evaluation(tmp_path, SCORES, {"knn@1": 100.0}, labeled=["one", "two"])
    assert find_evaluation(tmp_path, SCORES.record) == {"knn@1": 100.0}
    other = SCORES.record.model_copy(update={"seed": 9})
    assert find_evaluation(tmp_path, other) == {}
    assert (tmp_path / "labeled_knn.txt").read_text() == "one\ntwo\n"


def test_numbers_without_their_scores_do_not_count(tmp_path: Path):
    write_evaluation(tmp_path, SCORES, {"knn@1": 100.0})
    scores = tmp_path / "scores_knn.npz"
    scores.write_bytes(scores.read_bytes()[:-50])
    assert find_evaluation(tmp_path, SCORES.record) == {}
    scores.unlink()
    assert find_evaluation(tmp_path, SCORES.record) == {}


def test_scores_are_replaced_by_those_of_the_latest_evaluation(tmp_path: Path):
    write_evaluation(tmp_path, SCORES, {"knn@1": 100.0})
    other = SCORES.record.model_copy(update={"seed": 9})
    write_evaluation(tmp_path, SCORES._replace(record=other), {"knn@1": 50.0})
    assert find_evaluation(tmp_path, SCORES.record) == {}
    assert find_evaluation(tmp_path, other) == {"knn@1": 50.0}


def test_the_latest_metrics_of_exactly_this_evaluation_are_found(tmp_path: Path):
    append_results(tmp_path, SCORES.record, {"knn@1": 50.0, "map": 25.5})
    other = SCORES.record.model_copy(update={"gallery": "ntu120"})
    append_results(tmp_path, other, {"knn@1": 2.0})
    write_evaluation(tmp_path, SCORES, {"knn@1": 51.0})
    # The same weights, under other names.
    renamed = SCORES.record.model_copy(update={"config": "b.yaml", "checkpoint": "/moved.pt"})
    assert find_evaluation(tmp_path, renamed) == {"knn@1": 51.0, "map": 25.5}
