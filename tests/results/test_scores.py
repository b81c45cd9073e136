"""Accuracies and confusion matrices against scikit-learn, and the files that contain them."""

from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import torch

from scdnet.errors import ScdnetError
from scdnet.results.scores import (
    Scores,
    confusion_matrix,
    read_scores,
    topk_metrics,
    write_confusion,
    write_scores,
)
from tests.results.records import make_scores

GENERATOR = torch.Generator().manual_seed(0)
SCORES = torch.randn(200, 9, generator=GENERATOR)
LABEL = torch.randint(9, (200,), generator=GENERATOR)


def synthetic() -> Scores:
    return make_scores(SCORES.numpy(), LABEL.numpy(), "abcdefghi", seed=None)


@pytest.mark.parametrize("k", [1, 5])
def test_top_k_is_that_of_scikit_learn(k: int):
    reference = sklearn.metrics.top_k_accuracy_score(LABEL, SCORES, k=k, labels=range(9))
    assert topk_metrics(SCORES, LABEL)[f"top{k}"] == pytest.approx(100 * reference)


def test_top_5_of_five_classes_is_left_out():
    assert set(topk_metrics(SCORES[:, :6], LABEL % 6)) == {"top1", "top5"}
    assert set(topk_metrics(SCORES[:, :5], LABEL % 5)) == {"top1"}
    assert topk_metrics(torch.zeros(4, 1), torch.zeros(4, dtype=torch.long)) == {"top1": 100}


def test_of_equal_scores_the_smaller_class_counts_as_higher():
    for c, (top1, top5) in {0: (100, 100), 4: (0, 100), 5: (0, 0)}.items():
        assert topk_metrics(torch.zeros(9, 60), torch.full((9,), c)) == {"top1": top1, "top5": top5}
    label = torch.tensor([0, 1, 5, 4])
    assert topk_metrics(torch.zeros(4, 6), label) == {"top1": 25, "top5": 75}


def test_confusion_is_that_of_scikit_learn_with_classes_that_nobody_has():
    scores = torch.cat([SCORES, torch.full((200, 2), -9.0)], dim=1)
    reference = sklearn.metrics.confusion_matrix(LABEL, scores.argmax(dim=1), labels=range(11))
    assert np.array_equal(confusion_matrix(scores, LABEL), reference)


def test_the_confusion_file_has_the_classes_of_the_test_split_and_what_they_were_taken_for(
    tmp_path: Path,
):
    matrix = torch.tensor(
        [[2, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 3]]
    )  # nobody is of classes 1 and 2
    write_confusion(tmp_path / "confusion.tsv", matrix, ["sit", "stand", "wave\tboth hands", "bow"])
    lines = [line.split("\t") for line in (tmp_path / "confusion.tsv").read_text().splitlines()]
    assert lines == [
        ["class", "sequences", "accuracy", "sit", "wave both hands", "bow"],
        ["sit", "3", "66.7", "2", "1", "0"],
        ["bow", "4", "75.0", "0", "1", "3"],
    ]


def test_scores_are_read_as_they_were_written(tmp_path: Path):
    path = tmp_path / "scores_linear.npz"
    write_scores(path, synthetic())
    for wrote, read in zip(synthetic(), read_scores(path), strict=True):
        assert np.array_equal(wrote, read) and type(wrote) is type(read)
    with np.load(path) as file:
        assert file["benchmark"] == "xsub"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": SCORES.numpy()[:9]}, r"expected scores of shape \(200, 9\), found \(9, 9\)"),
        ({"label": LABEL.numpy()[:9]}, r"expected scores of shape \(200, 9\).* labels \(9,\)"),
        ({"class_names": tuple("ab")}, r"expected scores of shape \(200, 2\), found \(200, 9\)"),
        ({"scores": np.full((200, 9), np.inf)}, "expected scores that are finite numbers"),
        ({"scores": np.full((200, 9), "x")}, "expected scores that are finite numbers"),
        ({"label": LABEL.numpy() + 1}, r"expected labels in 0\.\.8"),
    ],
)
def test_scores_that_do_not_hold_together_are_an_error(tmp_path: Path, change: dict, message: str):
    write_scores(tmp_path / "scores.npz", synthetic()._replace(**change))
    with pytest.raises(ScdnetError, match=message):
        read_scores(tmp_path / "scores.npz")


def test_a_damaged_scores_file_is_an_error(tmp_path: Path):
    path = tmp_path / "scores.npz"
    write_scores(path, synthetic())
    whole = path.read_bytes()
    for content in (b"", b"not a zip", whole[:-50], whole[:100]):
        path.write_bytes(content)
        with pytest.raises(ScdnetError, match=r"scores\.npz: not a readable scores file"):
            read_scores(path)
    with pytest.raises(ScdnetError, match="no such scores file; evaluations write runs"):
        read_scores(tmp_path / "gone.npz")


def test_bytes_that_are_wrong_anywhere_are_an_error_unless_they_have_no_meaning(tmp_path: Path):
    path = tmp_path / "scores.npz"
    num_refused = 0
    write_scores(path, synthetic())
    whole = path.read_bytes()
    for start in range(5, len(whole), 50):
        path.write_bytes(whole[:start] + bytes(10) + whole[start + 10 :])
        try:
            found = read_scores(path)
        except ScdnetError:
            num_refused += 1
        else:
            assert np.array_equal(found.scores, SCORES) and np.array_equal(found.label, LABEL)
    assert num_refused > 100


def test_an_npz_of_something_else_is_an_error(tmp_path: Path):
    np.savez(tmp_path / "other.npz", scores=SCORES)
    with pytest.raises(ScdnetError, match="not a readable scores file"):
        read_scores(tmp_path / "other.npz")
