"""Names of sequences, and benchmarks in paths."""

import pytest

from scdnet.raw.ready_made.sequence_names import find_benchmark, parse_sequence_name


@pytest.mark.parametrize(
    ("text", "name", "dataset", "label", "numbers"),
    [
        (
            "S003C002P005R001A058.skeleton",
            "S003C002P005R001A058",
            "ntu60",
            57,
            {"setup": 3, "camera": 2, "subject": 5, "replication": 1},
        ),
        (
            "S018C002P005R001A058",
            "S018C002P005R001A058",
            "ntu120",
            57,
            {"setup": 18, "camera": 2, "subject": 5, "replication": 1},
        ),
        ("A01N12-R.txt_10", "A01N12-R_10", "pku2", None, {"camera": 3, "subject": 12}),
        ("0002-M.txt_0", "0002-M_0", "pku1", None, {"camera": 2}),
        ("0002-M_03", "0002-M_3", "pku1", None, {"camera": 2}),
        ("F002V001C051L001.skeleton", "0002-L_0", "pku1", 50, {"camera": 1}),
        ("A001N012V003C004L011", "A01N12-R_10", "pku2", 3, {"camera": 3, "subject": 12}),
        ("wave.skeleton", "wave.skeleton", "", None, {}),
        ("S003C002P005R001A058.txt", "S003C002P005R001A058.txt", "", None, {}),
        ("", "", "", None, {}),
    ],
)
def test_a_name_tells_its_dataset_class_and_numbers(text, name, dataset, label, numbers):
    assert parse_sequence_name(text) == (name, dataset, label, numbers)


@pytest.mark.parametrize(
    ("path", "benchmark"),
    [
        ("data/ntu60/xsub/train_data.npy", "xsub"),
        ("data/cross-subject/train_data.npy", "xsub"),
        ("NTU60_CS.npz", "xsub"),
        ("NTU120_CSub.npz", "xsub"),
        ("PKUv2_XSub.npz", "xsub"),
        ("C:\\data\\xview\\val_data.npy", "xview"),
        ("NTU60_CV.npz", "xview"),
        ("PKUv1_XView.npz", "xview"),
        ("ntu120/xsetup/val_data.npy", "xset"),
        ("NTU120_CSet.npz", "xset"),
        ("xsub/old/xview/train_data.npy", "xview"),
        ("data/subject/train_data.npy", None),
        ("physics/train_data.npy", None),
        ("train_data.npy", None),
    ],
)
def test_the_last_part_of_a_path_that_names_a_benchmark_counts(path, benchmark):
    assert find_benchmark(path) == benchmark
