from collections.abc import Callable

import h5py
import numpy as np
import pytest

from scdnet.commands.store_report import WIDTH, compare_with_published, describe, has_two_bodies
from scdnet.data import store as store_module
from scdnet.data.store import SequenceStore, SkeletonSequence
from scdnet.raw.datasets import NTU_DATASETS, DatasetFacts, SplitSizes

MakeStore = Callable[..., SequenceStore]


def synthetic(
    number: int, label: int = 0, *numbers: int, frames: int = 1, two: bool = False
) -> SkeletonSequence:
    """Make sequence `number` of a store; `numbers` are subject, camera and setup, if known."""
    values = np.ones((frames, 2, 25, 3), dtype=np.float32)
    values[:, 1] *= two
    return SkeletonSequence(values, f"{number:06}", label, *numbers)


# The numbers are label, subject, camera and setup.
LITTLE = [
    synthetic(0, 0, 1, 1, 1, frames=10),
    synthetic(1, 0, 1, 2, 1, frames=20, two=True),
    synthetic(2, 0, 3, 1, 1, frames=30),
    synthetic(3, 2, 3, 2, 1, frames=1000),
]
LITTLE_TEXT = """: {dataset}, 25 joints of ntu25 (3-D)
4 sequences, 1 of them (25.0 %) with two bodies; 1,060 frames

                       min    5 %    25 %    median    75 %    95 %    max    mean
-------------------  -----  -----  ------  --------  ------  ------  -----  ------
frames per sequence     10     10      10        20      30   1,000  1,000     265

benchmark    split       sequences    share    classes    subjects    cameras    setups
-----------  --------  -----------  -------  ---------  ----------  ---------  --------
xsub         training            2   50.0 %          1           1          2         1
xsub         test                2   50.0 %          2           1          2         1
xview        training            1   25.0 %          1           1          1         1
xview        test                3   75.0 %          2           2          2         1

subjects: 2 with 2 sequences each
1:2   3:2

cameras: 2 with 2 sequences each
1:2   2:2

setups: 1 with 4 sequences each
1:4

classes, counted from 1 (class 1 is label 0): 2 with 1 to 3 sequences (median 2), 1 with none
  class  name      sequences
-------  ------  -----------
      1  wave              3
      3  bow               1"""


def test_all_of_a_little_store_is_counted(make_store: MakeStore):
    splits = {"xsub": [True, True, False, False], "xview": [False, True, False, False]}
    store = make_store(LITTLE, ["wave", "kick", "bow"], splits=splits)
    expected = str(store.path) + LITTLE_TEXT.format(dataset=store.dataset)
    assert describe(store) == expected


@pytest.mark.parametrize("block_frames", [1, 4, 5, 1000])
def test_a_second_body_counts_anywhere_in_its_own_sequence(
    make_store: MakeStore, monkeypatch, block_frames
):
    monkeypatch.setattr(store_module, "BLOCK_FRAMES", block_frames)
    sequences = [synthetic(number, frames=5) for number in range(6)]
    # A single coordinate in the first frame, one in the last, and a missing first body.
    sequences[1].frames[0, 1, 24, 2] = -1e-30
    sequences[3].frames[4, 1, 0, 0] = 1.0
    sequences[4].frames[:, 0] = 0.0
    found = has_two_bodies(make_store(sequences, ["wave"]))
    assert found.tolist() == [False, True, False, True, False, False]


def test_frames_are_read_in_blocks_of_bounded_size(make_store: MakeStore, monkeypatch):
    store = make_store([synthetic(0, frames=7000), synthetic(1, frames=7000)], ["wave"])
    sizes = []

    def spy(dataset: h5py.Dataset, key: slice) -> np.ndarray:
        frames = read(dataset, key)
        sizes.append(len(frames))
        return frames

    read = h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    describe(store)
    # A frame takes 600 bytes.
    assert len(sizes) == 2 and max(sizes) * 600 < 8e6


@pytest.mark.parametrize(("classes", "subjects"), [(1, 1), (2, 1), (60, 40), (120, 106)])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_left_out(
    make_store: MakeStore, classes: int, subjects: int
):
    # Class 1 has a count of four digits.
    labels = [*range(classes), *[0] * 1000]
    sequences = [
        synthetic(number, label, 1 + number % subjects, 1, 1) for number, label in enumerate(labels)
    ]
    names = [f"standing up (from sitting\nposition), {n}" for n in range(classes)]
    sections = describe(make_store(sequences, names)).split("\n\n")
    *_, by_subject, _, _, by_class = sections
    assert all(len(line) <= WIDTH for text in sections[1:] for line in text.splitlines())
    counted = [word.split(":")[0] for word in by_subject.split()[1:] if ":" in word]
    assert counted == [str(subject) for subject in range(1, subjects + 1)]
    # Below the title and the head of the table is a line for each class.
    lines = by_class.splitlines()[3:]
    assert len(lines) == classes
    for n, line in enumerate(lines):
        assert line.split()[:-1] == [str(n + 1), *names[n].split()]


def test_unknown_subjects_are_reported_as_unknown_and_not_counted(make_store: MakeStore):
    sequences = [synthetic(0, 0, -1, 1), synthetic(1, 0, -1, 2), synthetic(2, 0, -1, -1)]
    text = describe(make_store(sequences, ["wave"], splits={"xview": [True, True, False]}))
    assert "subjects: unknown\n" in text and "setups: unknown\n" in text
    assert "cameras: 2 with 1 sequence each, unknown for 1 sequence\n1:1   2:1\n" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("xview")]
    assert rows == [
        ["xview", "training", "2", "66.7", "%", "1", "unknown", "2", "unknown"],
        ["xview", "test", "1", "33.3", "%", "1", "unknown", "unknown", "unknown"],
    ]


def test_an_empty_split_contains_nothing_and_a_store_may_have_no_benchmark(make_store: MakeStore):
    empty = make_store([synthetic(0, 0, 1, 1, 1)], ["wave"], splits={"xsub": [False]})
    rows = [line.split() for line in describe(empty).splitlines() if line.startswith("xsub")]
    assert rows[0] == ["xsub", "training", "0", "0.0", "%", "0", "0", "0", "0"]
    empty.close()
    assert "\nno benchmark\n" in describe(make_store([synthetic(0)], ["wave"]))


def test_sizes_other_than_the_published_are_reported(make_store: MakeStore):
    splits = {"xsub": [True, True, False, False], "xview": [True] * 4}
    lines = compare_with_published(make_store(LITTLE, "abc", dataset="ntu60", splits=splits))
    assert lines == [
        "xsub has 2 training and 2 test sequences, "
        "not the 40,091 and 16,487 of the published ntu60",
        "xview has 4 training and 0 test sequences, "
        "not the 37,646 and 18,932 of the published ntu60",
    ]


@pytest.mark.parametrize(("test", "num_lines"), [(3, 0), (4, 1)])
def test_published_sizes_and_unpublished_benchmarks_are_accepted(
    make_store: MakeStore, monkeypatch, test, num_lines
):
    facts = DatasetFacts(last_setup=1, rules={}, sizes={"xsub": SplitSizes(1, test)})
    monkeypatch.setitem(NTU_DATASETS, "ntu60", facts)
    splits = {"xsub": [True, False, False, False], "another": [True] * 4}
    store = make_store(LITTLE, "abc", dataset="ntu60", splits=splits)
    assert len(compare_with_published(store)) == num_lines


def test_unpublished_datasets_are_not_compared(make_store: MakeStore):
    store = make_store(LITTLE, "abc", dataset="mine", splits={"xsub": [True] * 4})
    assert compare_with_published(store) == []
