"""Which dataset, benchmark and names the parts of padded arrays have."""

from pathlib import Path

import numpy as np
import pytest

from scdnet.raw.raw_files import RawFileError
from scdnet.raw.ready_made.arrays import ArrayFile
from scdnet.raw.ready_made.padded import Part
from scdnet.raw.ready_made.padded_entries import (
    benchmark_of,
    check_names,
    find_classes,
    find_dataset,
    make_entries,
)
from scdnet.raw.ready_made.sequence_names import parse_sequence_name


def part(path: str, *names: str, labels: tuple[int, ...] = (), is_train: bool = True) -> Part:
    labels = labels or (0,) * len(names)
    array = ArrayFile(Path(path), path, 0, (len(labels), 3, 4, 25, 2), np.dtype("f4"))
    parsed = [parse_sequence_name(name) for name in names] or None
    return Part(array, is_train, parsed, list(labels), [-1] * len(labels))


@pytest.mark.parametrize(
    ("path", "dataset"),
    [
        ("NTU-RGB-D/xsub/train_data.npy", "ntu60"),
        ("ntu120/NTU60_frame50/xsub/train_position.npy", "ntu60"),
        ("NTU-RGB-D-120-AGCN/xsub/train_data_joint.npy", "ntu120"),
        ("pku_part1_frame50/xsub/train_position.npy", "pku1"),
        ("PKU-MMD-v2-AGCN/xview/val_data_joint.npy", "pku2"),
        ("data/xview/val_position.npy", "unknown"),
    ],
)
def test_the_path_tells_the_dataset_where_no_names_do(path, dataset):
    assert find_dataset([part(path, labels=(3, 0))]) == dataset


def test_names_tell_the_dataset_whatever_the_path_does():
    names = ["S001C001P001R001A001", "S020C001P001R001A001"]
    parts = [part("ntu60/a.npy", names[0]), part("ntu60/b.npy", names[1])]
    assert find_dataset(parts[:1]) == "ntu60"
    assert find_dataset(parts) == "ntu120"
    with pytest.raises(RawFileError, match="found ntu120, pku2; import them one by one"):
        find_dataset([*parts, part("c.npy", "A01N01-L_0")])


def test_classes_of_an_unknown_dataset_are_numbers():
    assert find_classes("unknown", [part("a.npy", labels=(2, 0))]) == ("0", "1", "2")
    assert len(find_classes("ntu120", [part("a.npy", labels=(2, 0))])) == 120


@pytest.mark.parametrize(
    ("names", "is_train", "benchmark"),
    [
        (("S001C001P001R001A001",), True, "xsub"),
        (("S001C002P003R001A001",), True, "xview"),
        # Both rules agree, or none does.
        (("S001C002P001R001A001",), True, "custom"),
        (("S001C001P003R001A001",), True, "custom"),
        (("S001C001P003R001A001", "S001C002P003R001A001"), False, "xsub"),
    ],
)
def test_the_rule_that_all_names_obey_tells_the_benchmark(names, is_train, benchmark):
    assert benchmark_of(part("a.npy", *names, is_train=is_train), "ntu60") == benchmark
    assert benchmark_of(part("xset/a.npy", *names, is_train=is_train), "ntu60") == "xset"


def test_sequences_without_names_are_numbered_in_order_of_the_rows():
    side = part("xview/val_position.npy", labels=(0,) * 12, is_train=False)
    entries, rejected = make_entries(side, lambda *row: np.zeros(0), dataset="ntu60")
    names = [entry.name for entry in entries]
    assert names == sorted(names)
    assert (names[0], names[-1], rejected) == ("xview_test_00", "xview_test_11", [])


def test_unnamed_sequences_of_two_benchmarks_are_refused():
    parts = [part(f"{folder}/a.npy", labels=(1, 2)) for folder in ("xsub", "xview")]
    check_names(parts[:1], "ntu60")
    with pytest.raises(RawFileError, match="of xsub, xview cannot be united"):
        check_names(parts, "ntu60")
