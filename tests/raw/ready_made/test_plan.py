from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scdnet.data.store import SequenceTable
from scdnet.errors import ScdnetError
from scdnet.raw.convert import Rejection
from scdnet.raw.joint_mapping import joint_matrix
from scdnet.raw.normalize import normalize
from scdnet.raw.raw_files import RawFileError
from scdnet.raw.ready_made.entries import Entry, ReadyMade, finish_in_order
from scdnet.raw.ready_made.plan import plan_job, select_benchmarks, unite
from scdnet.skeletons import COCO_17, KINECT_V1_20, NTU_25
from tests.raw.ready_made.importing import make_walk


def read(bodies: np.ndarray) -> np.ndarray:
    return bodies


def entry(name, where="a.npz", label=0, bodies=None, **fields) -> Entry:
    bodies = make_walk(3, 1) if bodies is None else bodies
    return Entry(name, label, where, partial(read, bodies), **fields)


def ready_made(*entries, skeleton=NTU_25, **fields) -> ReadyMade:
    return ReadyMade(
        dataset="synthetic",
        skeleton=skeleton,
        class_names=("walk", "run"),
        entries=list(entries),
        rejected=[],
        source_processing="nothing",
        **fields,
    )


def test_entries_become_sequences_sorted_by_name():
    entries = [entry("b", label=1, numbers={"subject": 7, "camera": 2}), entry("a")]
    job = plan_job(ready_made(*entries))
    first, second = (job.convert_item(item).sequences[0] for item in job.items)
    assert (first.name, second.name) == ("a", "b")
    assert (second.label, second.subject, second.camera, second.setup) == (1, 7, 2, -1)
    np.testing.assert_array_equal(first.frames, normalize(make_walk(3, 1), NTU_25))
    assert job.attributes == {"source_processing": "nothing"}


def test_entries_of_the_same_name_in_two_files_are_one_sequence():
    other = make_walk(5, 1)
    one = entry("a", is_train={"xsub": True}, numbers={"subject": 1})
    two = entry(
        "a", "b.npz", bodies=other, is_train={"xview": False}, numbers={"subject": 9, "camera": 3}
    )
    job = plan_job(ready_made(one, two))
    (item,) = job.items
    assert item.is_train == {"xsub": True, "xview": False} and job.rejected == []
    assert item.numbers == {"subject": 1, "camera": 3}
    assert item.read_bodies().shape[1] == 3, "expected the frames of the first file"


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (entry("a", "b.npz", label=1), "a: has label 1, but 0 in a.npz"),
        (
            entry("a", "b.npz", is_train={"xsub": False}),
            "a: is in the test split of xsub, but not in a.npz",
        ),
        (entry("a", "a.npz"), "a: the file contains it twice"),
    ],
)
def test_an_entry_that_contradicts_the_first_is_rejected(second, reason):
    united, rejected = unite([entry("a", is_train={"xsub": True}), second])
    assert [item.where for item in united] == ["a.npz"]
    assert rejected == [Rejection(second.where, 0, reason)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (entry("x", label=2), "x: expected a label in 0..1, found 2"),
        (entry("x", label=-1), "x: expected a label in 0..1, found -1"),
        (entry(""), "'': cannot be a name"),
        (entry("a\0b"), r"'a\x00b': cannot be a name"),
        (entry("\udc80"), r"'\udc80': cannot be a name"),
    ],
)
def test_an_entry_that_a_store_cannot_contain_is_rejected(bad, reason):
    job = plan_job(ready_made(bad, entry("good")))
    assert [item.name for item in job.items] == ["good"]
    assert job.rejected == [Rejection("a.npz", 0, reason)]


def with_sides(number: int, *benchmarks: str, train: bool = True) -> Entry:
    return entry(f"s{number:03}", is_train=dict.fromkeys(benchmarks, train))


def test_a_sequence_that_a_benchmark_lacks_is_rejected_if_nearly_all_have_it(capsys):
    entries = [with_sides(number, "xsub", "xview") for number in range(19)]
    entries.append(with_sides(19, "xsub"))
    usable, splits, rejected = select_benchmarks(entries)
    assert len(usable) == 19 and set(splits) == {"xsub", "xview"}
    assert rejected == [Rejection("a.npz", 0, "s019: is on no side of xview")]
    assert capsys.readouterr().err == ""


def test_a_benchmark_that_many_sequences_lack_is_left_out_with_a_warning(capsys):
    entries = [with_sides(number, "xsub", "xview") for number in range(4)]
    entries += [with_sides(4, "xsub"), with_sides(5)]
    usable, splits, rejected = select_benchmarks(entries)
    assert [item.name for item in usable] == ["s000", "s001", "s002", "s003", "s004"]
    assert splits == {"xsub": frozenset(item.name for item in usable)}
    assert rejected == [Rejection("a.npz", 0, "s005: is on no side of xsub")]
    warning = "benchmark xview is left out: 1 of 5 sequences are on no side of it, such as s004"
    assert warning in capsys.readouterr().err


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.booleans()), max_size=30))
def test_each_selected_benchmark_has_a_side_for_each_sequence(sides):
    entries = [entry(f"{number:02}", is_train=side) for number, side in enumerate(sides)]
    usable, splits, rejected = select_benchmarks(entries)
    assert len(usable) + len(rejected) == len(entries)
    for benchmark, train in splits.items():
        assert train == {item.name for item in usable if item.is_train[benchmark]}
    assert bool(splits) == any(sides)


def test_without_any_split_a_warning_says_so(capsys):
    usable, splits, rejected = select_benchmarks([entry("a")])
    assert (len(usable), splits, rejected) == (1, {}, [])
    assert "the files have no training and test split" in capsys.readouterr().err


def test_the_split_rules_select_the_training_sequences():
    entries = [entry(name, is_train={"xsub": name != "b"}) for name in "abc"]
    job = plan_job(ready_made(*entries))
    unknown = np.full(3, -1)
    table = SequenceTable(np.array(["a", "b", "c"]), *[unknown] * 5)
    assert job.split_rules["xsub"](table).tolist() == [True, False, True]


def broken_read() -> np.ndarray:
    raise RawFileError("a.npz", 0, "is damaged")


UNUSABLE = [
    (np.zeros((3, 25, 3)), r"expected numbers of shape \(bodies, frames, 25, 3\), found float64"),
    (np.zeros((1, 3, 24, 3)), r"found float64 of shape \(1, 3, 24, 3\)"),
    (np.zeros((1, 3, 25, 3), "U1"), "found <U1 of shape"),
    (np.zeros((1, 3, 25, 3), complex), "found complex128 of shape"),
    (np.zeros((1, 3, 25, 3)), "no body in any of 3 frames"),
    (np.zeros((0, 3, 25, 3)), "no body in any of 3 frames"),
    (np.zeros((1, 0, 25, 3)), "no body in any of 0 frames"),
    (np.full((1, 3, 25, 3), np.nan), "frame 1: expected finite numbers"),
    (np.full((1, 3, 25, 3), 1e31), "frame 1: expected finite numbers"),
    (np.ones((1, 300_000, 1, 1)) * np.ones((25, 3), "i1"), "at most 216000 frames, found 300000"),
]


@pytest.mark.parametrize(("bodies", "reason"), UNUSABLE)
def test_bodies_that_cannot_be_used_are_rejected_by_name(bodies, reason):
    job = plan_job(ready_made(entry("walk1", bodies=bodies)))
    with pytest.raises(RawFileError, match=f"^a.npz: walk1: .*{reason}"):
        job.convert_item(job.items[0])


def test_numbers_that_overflow_are_rejected():
    bodies = np.full((1, 2, 17, 3), 1e-10)
    bodies[:, :, 5:7, 1] += 1e-10
    bodies[:, :, 0] = 1e29
    job = plan_job(ready_made(entry("walk1", bodies=bodies), skeleton=COCO_17))
    with pytest.raises(RawFileError, match="walk1: the numbers are too large"):
        job.convert_item(job.items[0])


def test_an_error_of_reading_names_the_sequence():
    job = plan_job(ready_made(Entry("walk1", 0, "a.npz", broken_read)))
    with pytest.raises(RawFileError, match=r"^a\.npz: walk1: is damaged$"):
        job.convert_item(job.items[0])


def test_joints_can_be_mapped_to_ntu25():
    bodies = make_walk(4, 1)[:, :, :20]
    made = ready_made(entry("a", bodies=bodies), skeleton=KINECT_V1_20, finish=finish_in_order)
    native = plan_job(made)
    mapped = plan_job(made, to="ntu25")
    assert (native.skeleton, mapped.skeleton) == (KINECT_V1_20, NTU_25)
    expected = normalize(joint_matrix(KINECT_V1_20) @ bodies, NTU_25)
    (sequence,) = mapped.convert_item(mapped.items[0]).sequences
    np.testing.assert_array_equal(sequence.frames, expected)
    assert mapped.attributes["layout"] == "kinect_v1_20"
    assert "left thumb" in mapped.attributes["filled_joints"].tolist()


def test_joints_of_ntu25_need_no_mapping():
    job = plan_job(ready_made(entry("a")), to="ntu25")
    assert "filled_joints" not in job.attributes


def test_joints_that_cannot_be_mapped_are_refused():
    with pytest.raises(ScdnetError, match=r"--to ntu25: expected files of .* found coco17; omit"):
        plan_job(ready_made(skeleton=COCO_17), to="ntu25")
