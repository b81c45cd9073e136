"""Fusion by hand, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from scdnet.errors import ScdnetError
from scdnet.results.fusion import fuse, read_parts
from scdnet.results.scores import write_scores
from tests.results.records import RANDOM_INIT, make_record, make_scores

BONE = np.array([[0.0, 1.0], [0.5, 0.0], [4.0, 0.0]], dtype=np.float32)


JOINT = np.array([[0.5, 0.25], [0.0, 1.0], [2.0, 3.0]])
LABEL = np.array([0, 1, 0])


def written(path: Path, values: np.ndarray = JOINT, classes: str = "ab", **changes: object) -> Path:
    """Write scores; `name` and `label` replace those columns, other changes are of the record."""
    columns = {key: changes.pop(key) for key in ("name", "label") if key in changes}
    scores = make_scores(values, LABEL[: len(values)], classes, **changes)
    path.parent.mkdir(exist_ok=True)
    write_scores(path, scores._replace(**columns))
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Scores of joint and bone."""
    joint = written(tmp_path / "joint" / "scores_linear.npz")
    return [joint, written(tmp_path / "bone" / "scores_linear.npz", BONE, stream="bone")]


def test_the_sum_is_that_by_hand(files: list[Path]):
    fused = fuse(read_parts(files))
    assert fused.scores.tolist() == [[0.5, 1.25], [0.5, 1.0], [6.0, 3.0]]
    assert fused.scores.dtype == np.float32
    assert fused.record.stream == "joint+bone"
    names = ["sequence 000", "sequence 001", "sequence 002"]
    assert fused.name.tolist() == names and fused.label.tolist() == [0, 1, 0]


def test_weights_are_factors(files: list[Path]):
    fused = fuse(read_parts(files, [2, 0.5]))
    assert fused.scores.tolist() == [[1.0, 1.0], [0.25, 2.0], [6.0, 6.0]]


def test_the_order_of_the_streams_is_as_given_and_changes_no_sum(files: list[Path]):
    fused = fuse(read_parts(files[::-1]))
    assert fused.record.stream == "bone+joint"
    assert np.array_equal(fused.scores, fuse(read_parts(files)).scores)


def test_the_record_of_a_fusion_has_what_its_parts_have_in_common(files: list[Path]):
    record = fuse(read_parts(files, [1, 0.5])).record
    changed = {
        "protocol": "fusion",
        "fused": "linear",
        "fusion_weights": (1.0, 0.5),
        "stream": "joint+bone",
        "checkpoint": f"{files[0]}, {files[1]}",
        "checkpoint_sha256": "+".join(["a0" * 32] * 2),
        "config": None,
    }
    assert record == make_record(num_test=3).model_copy(update=changed)


def test_values_in_which_the_parts_differ_are_not_recorded(tmp_path: Path):
    joint = written(tmp_path / "a.npz", checkpoint_sha256="aa")
    bone = written(tmp_path / "b.npz", stream="bone", checkpoint_sha256="bb", seed=4)
    record = fuse(read_parts([joint, bone])).record
    assert record.seed is None and record.epoch == 451
    assert record.checkpoint_sha256 == "aa+bb"


def test_a_sum_can_be_a_part(tmp_path: Path, files: list[Path]):
    write_scores(tmp_path / "two.npz", fuse(read_parts(files)))
    motion = written(tmp_path / "motion.npz", stream="motion")
    record = fuse(read_parts([tmp_path / "two.npz", motion])).record
    assert record.stream == "joint+bone+motion" and record.fused == "linear"


def test_baselines_are_fused_as_such(tmp_path: Path):
    joint = written(tmp_path / "a.npz", **RANDOM_INIT)
    bone = written(tmp_path / "b.npz", stream="bone", **RANDOM_INIT)
    record = fuse(read_parts([joint, bone])).record
    assert record.baseline == "random-init" and record.checkpoint_sha256 is None
    assert record.repetition[0] == f"{joint}, {bone}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "ntu120"}, "dataset is ntu120, but ntu60 in FIRST"),
        ({"benchmark": "xview"}, "benchmark is xview, but xsub in FIRST"),
        ({"classes": "ac"}, "class 1 is c, but b in FIRST"),
        ({"classes": "abc", "values": np.zeros((3, 3))}, "number of classes is 3, but 2"),
        (
            {"name": np.array(["sequence 000", "c", "b"])},
            "sequence 1 is c, but sequence 001 in FIRST",
        ),
        ({"label": np.array([0, 1, 1])}, "label 2 is 1, but 0 in FIRST"),
        ({"values": BONE[:2]}, "number of sequences is 2, but 3 in FIRST"),
        ({"stream": "joint"}, "its stream joint is also that of FIRST; expected another"),
        ({"stream": "motion+joint"}, "its stream joint is also that of FIRST; expected another"),
    ],
)
def test_scores_that_do_not_go_together_are_refused(
    tmp_path: Path, files: list[Path], change: dict, message: str
):
    other = written(
        tmp_path / "other" / "scores_linear.npz",
        **{"values": BONE, "stream": "motion", **change},
    )
    with pytest.raises(ScdnetError) as error:
        read_parts([*files, other])
    assert str(error.value).startswith(f"{other}: {message.replace('FIRST', str(files[0]))}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": "finetune"}, "protocol is finetune, but semi in "),
        ({"probe": "logistic"}, "probe is logistic, but sgd in "),
        (RANDOM_INIT, "baseline is random-init, but None in "),
        ({"store_sha256": "b"}, "store_sha256 is b, but 5{64} in "),
        ({"gallery_sha256": "b"}, "gallery_sha256 is b, but a in "),
        ({"label_fraction": 0.1}, "label_fraction is 0.1, but 0.01 in "),
        ({"subset": 1}, "subset is 1, but 0 in "),
        ({"feature_level": 1}, "feature_level is 1, but 4 in "),
        ({"eval_seed": 1}, "eval_seed is 1, but 0 in "),
    ],
)
def test_scores_of_another_protocol_are_refused(tmp_path: Path, change: dict, message: str):
    labels = {"label_fraction": 0.01, "subset": 0, "eval_seed": 0}
    known = {"protocol": "semi", "gallery_sha256": "a", **labels}
    first = written(tmp_path / "joint.npz", **known)
    other = written(tmp_path / "motion.npz", **{**known, "stream": "motion", **change})
    with pytest.raises(ScdnetError, match=rf"motion\.npz: {message}"):
        read_parts([first, other])


def test_the_same_file_twice_is_refused(files: list[Path]):
    with pytest.raises(ScdnetError, match="its stream joint is also that of"):
        read_parts([files[0], files[0]])


def test_one_file_alone_is_refused(files: list[Path]):
    with pytest.raises(
        ScdnetError, match="expected two or more scores files, one for each stream; found 1"
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
