"""Fusion by hand, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from scdnet.errors import ScdnetError
from scdnet.results.fusion import fuse, read_parts
from scdnet.results.scores import Scores, write_scores

BASE = Scores(
    scores=np.array([[0.5, 0.25], [0.0, 1.0], [2.0, 3.0]], dtype=np.float32),
    name=np.array(["a", "b", "c"]),
    label=np.array([0, 1, 0]),
    benchmark="xsub",
    class_names=("sit", "stand"),
    dataset="ntu60",
    stream="joint",
    evaluation={
        "protocol": "linear",
        "probe": "sgd",
        "seed": 3,
        "epoch": 451,
        "pretrained_on": "ntu60",
    },
)
BONE = np.array([[0.0, 1.0], [0.5, 0.0], [4.0, 0.0]], dtype=np.float32)


def written(path: Path, **change: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    write_scores(path, BASE._replace(**change))
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Scores of joint and bone."""
    joint = written(tmp_path / "joint" / "scores_linear.npz")
    return [joint, written(tmp_path / "bone" / "scores_linear.npz", scores=BONE, stream="bone")]


def test_the_sum_is_that_by_hand(files: list[Path]):
    fused = fuse(read_parts(files))
    assert fused.scores.tolist() == [[0.5, 1.25], [0.5, 1.0], [6.0, 3.0]]
    assert fused.scores.dtype == np.float32
    assert fused.stream == "joint+bone"
    assert fused.name.tolist() == ["a", "b", "c"] and fused.label.tolist() == [0, 1, 0]


def test_weights_are_factors(files: list[Path]):
    fused = fuse(read_parts(files, [2, 0.5]))
    assert fused.scores.tolist() == [[1.0, 1.0], [0.25, 2.0], [6.0, 6.0]]


def test_the_order_of_the_streams_is_as_given_and_changes_no_sum(files: list[Path]):
    fused = fuse(read_parts(files[::-1]))
    assert fused.stream == "bone+joint"
    assert np.array_equal(fused.scores, fuse(read_parts(files)).scores)


def test_what_is_recorded(files: list[Path]):
    assert fuse(read_parts(files, [1, 0.5])).evaluation == {
        "protocol": "fusion",
        "fused": "linear",
        "probe": "sgd",
        "dataset": "ntu60",
        "benchmark": "xsub",
        "stream": "joint+bone",
        "seed": 3,
        "epoch": 451,
        "checkpoint": f"{files[0]}, {files[1]}",
        "checkpoint_sha256": None,
        "pretrained_on": "ntu60",
        "display_name": None,
        "config": None,
        "num_test": 3,
        "weights": [1, 0.5],
    }


def of(**change: object) -> dict:
    return {"evaluation": {**BASE.evaluation, **change}}


def test_what_the_parts_do_not_share_is_not_recorded_but_whose_they_are(tmp_path: Path):
    joint = written(tmp_path / "a.npz", **of(checkpoint_sha256="aa"))
    bone = written(tmp_path / "b.npz", stream="bone", **of(checkpoint_sha256="bb", seed=4))
    evaluation = fuse(read_parts([joint, bone])).evaluation
    assert evaluation["seed"] is None and evaluation["epoch"] == 451
    assert evaluation["checkpoint_sha256"] == "aa+bb"


def test_a_sum_can_be_a_part(tmp_path: Path, files: list[Path]):
    write_scores(tmp_path / "two.npz", fuse(read_parts(files)))
    motion = written(tmp_path / "motion.npz", stream="motion")
    fused = fuse(read_parts([tmp_path / "two.npz", motion]))
    assert fused.stream == "joint+bone+motion" and fused.evaluation["fused"] == "linear"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "ntu120"}, "the data set is ntu120, but ntu60 in FIRST"),
        ({"benchmark": "xview"}, "the benchmark is xview, but xsub in FIRST"),
        ({"class_names": ("sit", "bow")}, "class 1 is bow, but stand in FIRST"),
        (
            {"class_names": ("sit", "stand", "bow"), "scores": np.zeros((3, 3))},
            "the number of classes is 3, but 2",
        ),
        ({"name": np.array(["a", "c", "b"])}, "sequence 1 is c, but b in FIRST"),
        ({"name": np.array(["a", "b", "d"])}, "sequence 2 is d, but c in FIRST"),
        ({"label": np.array([0, 1, 1])}, "label 2 is 1, but 0 in FIRST"),
        (
            {"name": np.array(["a", "b"]), "label": np.array([0, 1]), "scores": BONE[:2]},
            "the number of sequences is 2, but 3 in FIRST",
        ),
        ({"stream": "joint"}, "stream joint is that of FIRST too; expected another"),
        ({"stream": "motion+joint"}, "stream joint is that of FIRST too; expected another"),
    ],
)
def test_scores_that_do_not_go_together_are_refused(
    tmp_path: Path, files: list[Path], change: dict, message: str
):
    other = written(
        tmp_path / "other" / "scores_linear.npz", **{"scores": BONE, "stream": "motion", **change}
    )
    with pytest.raises(ScdnetError) as error:
        read_parts([*files, other])
    assert str(error.value).startswith(f"{other}: {message.replace('FIRST', str(files[0]))}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": "knn"}, "the protocol is knn, but linear in "),
        ({"probe": "logistic"}, "probe is logistic, but sgd in "),
        ({"checkpoint": "none"}, "the encoder is untrained, but trained in "),
        ({"store_sha256": "b"}, "store_sha256 is b, but a in "),
        ({"gallery_sha256": "b"}, "gallery_sha256 is b, but a in "),
        ({"label_fraction": 0.1}, "label_fraction is 0.1, but 0.01 in "),
        ({"draw": 1}, "draw is 1, but 0 in "),
        ({"feature_level": 1}, "the level of the features is 1, but 4 in "),
        ({"eval_seed": 1}, "the seed of the labels is 1, but 0 in "),
    ],
)
def test_scores_of_another_protocol_are_refused(tmp_path: Path, change: dict, message: str):
    labels = {"label_fraction": 0.01, "draw": 0, "eval_seed": 0}
    known = {**labels, "store_sha256": "a", "gallery_sha256": "a", "checkpoint": "last.pt"}
    first = written(tmp_path / "joint.npz", **of(**known))
    other = written(tmp_path / "motion.npz", stream="motion", **of(**{**known, **change}))
    with pytest.raises(ScdnetError, match=rf"motion\.npz: {message}"):
        read_parts([first, other])


def test_scores_that_do_not_say_what_they_are_of_are_taken_as_they_come(
    tmp_path: Path, files: list[Path]
):
    other = tmp_path / "motion.npz"
    written(other, stream="motion", evaluation={})
    fuse(read_parts([files[0], other]))


def test_the_same_file_twice_is_refused(files: list[Path]):
    with pytest.raises(ScdnetError, match="stream joint is that of"):
        read_parts([files[0], files[0]])


def test_one_file_alone_is_refused(files: list[Path]):
    with pytest.raises(
        ScdnetError, match="expected two scores files or more, one for each stream; found 1"
    ):
        read_parts(files[:1])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "expected one for each of the 2 scores files, found 1"),
        ([1, 1, 1], "expected one for each of the 2 scores files, found 3"),
        ([1, 0], "expected positive numbers, found 0"),
        ([1, -2], "expected positive numbers, found -2"),
        ([float("nan"), 1], "expected positive numbers, found nan"),
        ([float("inf"), 1], "expected positive numbers, found inf"),
    ],
)
def test_weights_that_make_no_sense_are_refused(
    files: list[Path], weights: list[float], message: str
):
    with pytest.raises(ScdnetError, match=f"--weights: {message}"):
        read_parts(files, weights)
