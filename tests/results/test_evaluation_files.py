"""The files of an evaluation, and when they count as complete."""

from pathlib import Path

import numpy as np

from scdnet.results.evaluation_files import find_evaluation, write_evaluation
from tests.results.records import make_scores

SCORES = make_scores(np.eye(2), np.array([0, 1]), "ab", protocol="knn")


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
