"""Which evaluations of a run are current, and what a line states of them."""

from scdnet.results.kept_lines import KeptBaseline, current_evaluations, parse_line
from tests.results.records import RANDOM_INIT, RAW, make_result


def test_the_latest_evaluations_of_a_level_and_of_the_baselines_are_current():
    results = [
        make_result(1.0, checkpoint_sha256="b0" * 32, metric="top5"),
        make_result(2.0, checkpoint_sha256="b0" * 32),
        make_result(3.0, feature_level=2),
        make_result(4.0, **RAW),
        make_result(5.0, **RANDOM_INIT),
        make_result(6.0, **RANDOM_INIT, feature_level=2),
        make_result(7.0),
        make_result(8.0, protocol="knn", metric="knn@1"),
        make_result(9.0, protocol="knn", metric="knn@1"),
    ]
    found = current_evaluations(results, 4)
    assert [(e.baseline, e.metrics) for e in found] == [
        (None, {"top1": 7.0}),
        ("raw", {"top1": 4.0}),
        ("random-init", {"top1": 5.0}),
        (None, {"knn@1": 9.0}),
    ]
    level = [(e.baseline, e.metrics) for e in current_evaluations(results, 2)]
    assert level == [
        (None, {"top1": 3.0}),
        ("raw", {"top1": 4.0}),
        ("random-init", {"top1": 6.0}),
    ]


def test_a_line_states_the_same_evaluation_without_paths():
    result = make_result(7.0, checkpoint="/home/me/runs/a_seed0/last.pt")
    (evaluation,) = current_evaluations([result], 4)
    line = KeptBaseline(id="a", evaluation=evaluation)
    again = parse_line(line.model_dump_json().encode(), "here")
    assert again == line
    (read,) = evaluation.results()
    expected = {"checkpoint": "a_seed0/last.pt", "config": None}
    assert read == result.model_copy(update=expected)
