"""What is written to results.jsonl is found there again, whatever else it contains."""

import json
from pathlib import Path

from scdnet.results.results_file import RESULTS, append_results, find_metrics, read_results
from tests.results.records import RANDOM_INIT, RAW, make_record

KNN = make_record(protocol="knn", seed=None)


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
    assert find_metrics(tmp_path, KNN) == {"map": 3.0}


def test_found_are_the_latest_metrics_of_exactly_this_evaluation(tmp_path: Path):
    append_results(tmp_path, KNN, {"knn@1": 50.0, "map": 25.5})
    append_results(tmp_path, make_record(protocol="knn", checkpoint_sha256="cd"), {"knn@1": 1.0})
    append_results(tmp_path, make_record(protocol="knn", gallery="ntu120"), {"knn@1": 2.0})
    append_results(tmp_path, KNN, {"knn@1": 51.0})
    # The same weights, under other names.
    renamed = KNN.model_copy(update={"config": "b.yaml", "checkpoint": "/moved/last.pt"})
    assert find_metrics(tmp_path, renamed) == {"knn@1": 51.0, "map": 25.5}
    assert find_metrics(tmp_path, KNN.model_copy(update={"seed": 3})) == {}
    assert find_metrics(tmp_path / "new", KNN) == {}


def test_baselines_are_distinguished_by_their_name(tmp_path: Path):
    append_results(tmp_path, make_record(**RAW), {"knn@1": 1.0})
    assert find_metrics(tmp_path, make_record(**RANDOM_INIT)) == {}
    assert find_metrics(tmp_path, make_record(**RAW)) == {"knn@1": 1.0}
