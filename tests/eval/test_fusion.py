"""Fusion by hand, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from scdnet.errors import ScdnetError
from scdnet.eval.classification import Scores, write_scores
from scdnet.eval.fusion import describe_fusion, fuse, fused_protocol, read_parts

BASE = Scores(
    scores=np.array([[0.5, 0.25], [0.0, 1.0], [2.0, 3.0]], dtype=np.float32),
    name=np.array(["a", "b", "c"]),
    label=np.array([0, 1, 0]),
    benchmark="xsub",
    class_names=("sit", "stand"),
    dataset="ntu60",
    stream="joint",
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
    parts = read_parts(files, [1, 0.5])
    assert describe_fusion(parts, fuse(parts)) == {
        "protocol": "fusion",
        "fused": "linear",
        "dataset": "ntu60",
        "benchmark": "xsub",
        "stream": "joint+bone",
        "seed": None,
        "epoch": None,
        "checkpoint": f"{files[0]}, {files[1]}",
        "checkpoint_sha256": None,
        "pretrained_on": None,
        "config": None,
        "num_test": 3,
        "weights": [1, 0.5],
    }


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("scores_knn.npz", {"fused": "knn"}),
        ("scores_semi_0.01_draw3.npz", {"fused": "semi", "label_fraction": 0.01, "draw": 3}),
        ("joint.npz", {"fused": None}),
    ],
)
def test_the_name_of_the_file_says_what_is_fused(name: str, protocol: dict):
    assert fused_protocol(Path("runs/x") / name) == protocol


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "ntu120"}, "the data set is ntu120, but ntu60 in FIRST"),
        ({"benchmark": "xview"}, "the benchmark is xview, but xsub in FIRST"),
        ({"class_names": ("sit", "bow")}, "class 1 is bow, but stand in FIRST"),
        ({"class_names": ("sit", "stand", "bow"), "scores": np.zeros((3, 3))}, "the number of classes is 3, but 2"),
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
def test_scores_that_do_not_go_together_are_refused(tmp_path: Path, files: list[Path], change: dict, message: str):
    other = written(tmp_path / "other" / "scores_linear.npz", **{"scores": BONE, "stream": "motion", **change})
    with pytest.raises(ScdnetError) as error:
        read_parts([*files, other])
    assert str(error.value).startswith(f"{other}: {message.replace('FIRST', str(files[0]))}")


def test_scores_of_another_protocol_are_refused(tmp_path: Path, files: list[Path]):
    other = written(tmp_path / "motion" / "scores_knn.npz", stream="motion")
    with pytest.raises(ScdnetError, match=r"scores_knn\.npz: the protocol is knn, but linear in "):
        read_parts([files[0], other])
    fuse(read_parts([files[0], other.rename(tmp_path / "motion.npz")]))  # a name that says nothing is taken at its word


def test_the_same_file_twice_is_refused(files: list[Path]):
    with pytest.raises(ScdnetError, match="stream joint is that of"):
        read_parts([files[0], files[0]])


def test_one_file_alone_is_refused(files: list[Path]):
    with pytest.raises(ScdnetError, match="expected two scores files or more, one for each stream; found 1"):
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
def test_weights_that_make_no_sense_are_refused(files: list[Path], weights: list[float], message: str):
    with pytest.raises(ScdnetError, match=f"--weights: {message}"):
        read_parts(files, weights)
