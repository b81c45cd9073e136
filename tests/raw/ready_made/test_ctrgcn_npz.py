from pathlib import Path

import numpy as np
import pytest

from scdnet.errors import ScdnetError
from scdnet.raw.normalize import normalize
from scdnet.raw.ready_made.arrays import ArrayFile
from scdnet.raw.ready_made.ctrgcn_npz import (
    RowsFile,
    Side,
    drop_copies,
    find_dataset,
    order_names,
    parse_labels,
)
from scdnet.raw.ready_made.sources import Source
from scdnet.skeletons import NTU_25
from tests.raw.ready_made.ctrgcn_files import (
    NAMES,
    imported,
    make_arrays,
    write_npz,
)
from tests.raw.ready_made.importing import (
    make_walk,
)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_compressed_or_not_the_sequences_are_the_same(tmp_path, names_file, save, capsys):
    path = write_npz(tmp_path, save, **make_arrays())
    _, sequences, rejected = imported(path, tmp_path, names_file)
    assert sorted(sequences) == sorted(NAMES) and not rejected
    for name in NAMES:
        expected = normalize(make_walk(6, 1, seed=int(name[-3:])), NTU_25)
        np.testing.assert_allclose(sequences[name].frames, expected, atol=1e-5)
    said = "Unpacking" if save is np.savez_compressed else "Checking"
    assert f"{said} {path}/x_train.npy: 0.0 MB" in capsys.readouterr().out
    # Temporary files are gone.
    assert not list(tmp_path.glob("out/*")) and not list(tmp_path.glob("out/.*"))


def test_an_empty_frame_of_one_person_is_absent_though_it_is_minus_the_origin(tmp_path):
    body = make_walk(6, 1, seed=1)
    body[:, 3] = 0
    row = np.zeros((1, 9, 150), np.float32)
    row[0, :6, :75] = (body[0] - body[0, 0, 1]).reshape(6, 75)
    arrays = {"x_train": row, "y_train": np.eye(60)[:1]}
    ready_made, _, _ = imported(write_npz(tmp_path, **arrays), tmp_path)
    bodies = ready_made.entries[0].read_bodies()
    assert bodies.shape[1] == 6
    assert not bodies[:, 3].any() and bodies[0, [0, 1, 2, 4, 5]].any(axis=(1, 2)).all()


FAULTS = {
    "no body in any of 3 frames": {"x_train": np.ones((3, 3, 150), np.float32)},
    "expected one 1 among 0 in its row of y_train": {"y_train": np.full((3, 60), 0.5)},
    "expected finite numbers": {"x_train": np.full((3, 8, 150), np.nan, np.float32)},
    "no body in any of 0 frames": {"x_train": np.zeros((3, 8, 150), np.float32)},
}


@pytest.mark.parametrize("reason", FAULTS)
def test_rows_that_cannot_be_used_are_rejected_one_by_one(tmp_path, reason):
    path = write_npz(tmp_path, **make_arrays() | FAULTS[reason])
    _, sequences, rejected = imported(path, tmp_path)
    assert list(sequences) == ["NTU60_CS_test_0"]
    assert len(rejected) == 3
    for number, row in enumerate(sorted(rejected)):
        assert row.reason.startswith(f"NTU60_CS_train_{number}: ") and reason in row.reason


def without(*keys):
    return {key: array for key, array in make_arrays().items() if key not in keys}


FORMS = {
    "expected the arrays x_train, y_train, x_test, y_test, found y_train, y_test": without(
        "x_train", "x_test"
    ),
    "expected the arrays .* found x_train, x_test, y_test": without("y_train"),
    "expected one-hot labels of shape .* found float64 of shape": make_arrays()
    | {"y_train": np.zeros(3)},
    r"expected one-hot labels of shape .* found <U1": make_arrays()
    | {"y_train": np.array([["a"]])},
    "expected 60, 120 or 51 columns as labels, found 7": make_arrays()
    | {"y_train": np.eye(7)[:3], "y_test": np.eye(7)[:1]},
    "51 classes are those of PKU-MMD: expected a file name": make_arrays()
    | {"y_train": np.eye(51)[:3], "y_test": np.eye(51)[:1]},
    "have different numbers of columns": make_arrays() | {"y_test": np.eye(7)[:1]},
    "expected 3 rows as y_train has, found 2": make_arrays()
    | {"x_train": make_arrays()["x_train"][:2]},
    r"found float32 of shape \(3, 8, 149\)": make_arrays()
    | {"x_train": make_arrays()["x_train"][:, :, :149]},
    "found int64 of shape": make_arrays() | {"x_train": np.zeros((3, 8, 150), int)},
    r"found float32 of shape \(3, 150\)": make_arrays()
    | {"x_train": make_arrays()["x_train"][:, 0]},
    r"found float32 of shape \(3, 0, 150\)": make_arrays()
    | {"x_train": make_arrays()["x_train"][:, :0]},
    "found one of Python objects": make_arrays() | {"y_train": np.array([[None]])},
}


@pytest.mark.parametrize("reason", FORMS)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_of_another_form_is_refused(tmp_path, reason, save):
    with pytest.raises(ScdnetError, match=reason):
        imported(write_npz(tmp_path, save, **FORMS[reason]), tmp_path)


def test_a_row_whose_label_contradicts_its_name_is_rejected_alone(tmp_path, names_file):
    arrays = make_arrays()
    arrays["y_train"][0] = np.eye(60)[7]
    path = write_npz(tmp_path, **arrays)
    _, sequences, rejected = imported(path, tmp_path, names_file)
    assert len(sequences) == 3
    assert [row.reason for row in rejected] == [f"{NAMES[2]}: expected label 59, found 7"]


def test_names_for_rows_in_no_known_order_are_refused(tmp_path, names_file):
    path = write_npz(tmp_path, name="NTU60_mine.npz", **make_arrays())
    with pytest.raises(ScdnetError, match="not in an order that names can be given to"):
        imported(path, tmp_path, names_file)


@pytest.mark.parametrize(
    ("file", "dataset"),
    [
        ("PKUv1_XSub.npz", "pku1"),
        ("PKUv2_XView.npz", "pku2"),
        ("pku_mmd_part2_xsub.npz", "pku2"),
        ("PKU-MMD-I_xview.npz", "pku1"),
        ("v2/pku_ii_xsub.npz", "pku2"),
    ],
)
def test_a_file_of_pku_names_its_part(file, dataset):
    assert find_dataset(Source(Path(file), file), 51) == dataset


def test_a_label_is_the_only_one_in_its_row():
    rows = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 2, 1], [np.nan, 1, 0]])
    labels, num_classes = parse_labels(rows, "x")
    assert (labels.tolist(), num_classes) == ([1, -1, -1, -1, -1], 3)


def test_labels_without_rows_or_columns_are_none():
    assert parse_labels(np.zeros((0, 60)), "x")[0].tolist() == []
    assert parse_labels(np.zeros((2, 0)), "x")[0].tolist() == [-1, -1]


def test_of_two_equal_bodies_one_is_kept():
    first, second = make_walk(4, 2)
    bodies = np.stack([first, first, second])
    np.testing.assert_array_equal(drop_copies(bodies), np.stack([first, second]))


@pytest.mark.parametrize("benchmark", ["xsub", "xview"])
def test_names_are_ordered_by_subject_or_camera_and_then_as_listed(tmp_path, benchmark):
    names = [
        f"S00{setup}C00{camera}P{subject:03}R001A001"
        for setup in (2, 1)
        for camera in (3, 1, 2)
        for subject in (10, 2, 1)
    ]
    number = {"xsub": slice(9, 12), "xview": slice(5, 8)}[benchmark]
    is_train = {"xsub": lambda name: "P010" not in name, "xview": lambda name: "C001" not in name}
    for side in ("train", "test"):
        expected = [
            name
            for value in sorted({name[number] for name in names})
            for name in names
            if name[number] == value and is_train[benchmark](name) == (side == "train")
        ]
        rows = ArrayFile(tmp_path, "x", 0, (len(expected), 1, 150), np.dtype("f4"))
        part = Side(side, rows, np.zeros(len(expected), int))
        file = RowsFile(Source(tmp_path, "x.npz"), "ntu60", benchmark, (), [part])
        assert order_names(file, part, names) == expected
