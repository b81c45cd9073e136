"""Recordings of NTU RGB+D as `.skeleton.npy`: of random poses, and those of the shared folder."""

import io
import pickle
import random
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.ready_made import txt2npy
from scdnet.skeletons import NTU_25
from tests.raw.broken import with_count
from tests.raw.ready_made.importing import (
    break_bytes,
    count_failures,
    import_files,
    make_walk,
    npy_bytes,
    open_ready_made,
    read_raw_files,
    write_all,
)

NAME = "S001C002P003R002A007"
OTHER = "S017C001P001R001A060"


@cache
def walk() -> np.ndarray:
    bodies = make_walk(6, 3)
    bodies[1, :2] = 0
    bodies[2] *= 2
    return bodies


def content(bodies: np.ndarray, name: str = NAME) -> dict[str, Any]:
    """Return the dict that txt2npy.py saves."""
    fields = {"file_name": name, "nbodys": [len(bodies)] * bodies.shape[1], "njoints": 25}
    for number, body in enumerate(bodies):
        fields[f"skel_body{number}"] = body
        fields[f"rgb_body{number}"] = body[..., :2]
    return fields


def saved(value: object, protocol: int = 3) -> bytes:
    """Return an object as numpy saves it: pickled, behind the header of an array of objects."""
    file = io.BytesIO()
    array = np.empty((), object)
    array[()] = value
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    return file.getvalue() + pickle.dumps(array, protocol)


def import_dict(tmp_path: Path, value: object, name: str = NAME):
    root = write_all(tmp_path / "raw", {f"{name}.skeleton.npy": saved(value)})
    return import_files(open_ready_made(txt2npy.open_files, root, tmp_path))


def test_files_of_the_shared_folder_equal_our_own_conversion(shared, tmp_path):
    raw = read_raw_files(shared)
    root = shared / "data" / "ready_made" / "txt2npy"
    ready_made = open_ready_made(txt2npy.open_files, root, tmp_path)
    sequences, rejected = import_files(ready_made)
    assert (ready_made.dataset, len(sequences), rejected) == ("ntu60", 2, [])
    for name, sequence in sequences.items():
        np.testing.assert_array_equal(sequence.frames, raw[name])
        assert sequence.label == int(name[-3:]) - 1


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_recording_gives_our_own_normalization_and_what_its_name_tells(tmp_path, protocol):
    data = saved(content(walk()), protocol)
    assert np.load(io.BytesIO(data), allow_pickle=True).item()["file_name"] == NAME
    root = write_all(tmp_path / "raw", {f"{NAME}.skeleton.npy": data})
    ready_made = open_ready_made(txt2npy.open_files, root, tmp_path)
    sequences, rejected = import_files(ready_made)
    assert rejected == []
    sequence = sequences[NAME]
    np.testing.assert_array_equal(sequence.frames, normalize(select_bodies(walk()), NTU_25))
    assert (sequence.label, sequence.setup, sequence.camera) == (6, 1, 2)
    assert (sequence.subject, sequence.replication) == (3, 2)
    assert ready_made.entries[0].is_train == {"xsub": False, "xview": True}


def test_numpy_itself_writes_what_is_read(tmp_path):
    path = tmp_path / f"{NAME}.skeleton.npy"
    np.save(path, content(walk()), allow_pickle=True)
    sequences, rejected = import_files(open_ready_made(txt2npy.open_files, path, tmp_path))
    assert (list(sequences), rejected) == ([NAME], [])


def test_the_first_four_bodies_are_used_as_of_a_skeleton_file(tmp_path):
    bodies = make_walk(6, 6)
    bodies[4:] *= 10
    sequences, _ = import_dict(tmp_path, content(bodies))
    expected = normalize(select_bodies(bodies[:4]), NTU_25)
    np.testing.assert_array_equal(sequences[NAME].frames, expected)


def test_recordings_in_a_zip_are_read_without_unpacking_it(tmp_path):
    path = tmp_path / "raw.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (NAME, OTHER):
            archive.writestr(f"npy/{name}.skeleton.npy", saved(content(walk(), name)))
    sequences, rejected = import_files(open_ready_made(txt2npy.open_files, path, tmp_path))
    assert (list(sequences), rejected) == ([NAME, OTHER], [])
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_of_ntu_120_gives_its_classes_and_benchmarks(tmp_path):
    files = {
        f"{name}.skeleton.npy": saved(content(walk(), name))
        for name in (NAME, "S018C001P008R001A061")
    }
    root = write_all(tmp_path / "raw", files)
    ready_made = open_ready_made(txt2npy.open_files, root, tmp_path)
    assert (ready_made.dataset, len(ready_made.class_names)) == ("ntu120", 120)
    assert [entry.is_train for entry in ready_made.entries] == [
        {"xsub": False, "xset": False},
        {"xsub": True, "xset": True},
    ]


def test_the_same_name_in_two_folders_is_rejected_once(tmp_path):
    roots = [
        write_all(tmp_path / part, {f"{NAME}.skeleton.npy": saved(content(walk()))})
        for part in ("a", "b")
    ]
    sequences, (row,) = import_files(open_ready_made(txt2npy.open_files, roots, tmp_path))
    assert list(sequences) == [NAME]
    assert "has the same name as" in row.reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("wave", "expected a name of the form"),
        ("S001C001P001R001A121", "found S001C001P001R001A121"),
        ("S001C002P005R002A008", "on the list of recordings with missing skeletons"),
    ],
)
def test_names_that_cannot_be_used_are_rejected(tmp_path, name, reason):
    sequences, (row,) = import_dict(tmp_path, content(walk(), name), name)
    assert not sequences
    assert reason in row.reason


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in content(walk()).items() if name != key}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (content(walk(), OTHER), f"expected file_name {NAME}"),
        (without("skel_body0"), "expected skel_body0 and so on"),
        (without("skel_body1"), "expected skel_body0 and so on"),
        (content(walk()) | {"skel_body1": walk()[1, :4]}, "of one length, found 6, 4, 6"),
        (content(walk()) | {"skel_body1": walk()[1, :, :20]}, "found one of shape (6, 20, 3)"),
        (content(walk()) | {"skel_body0": "x"}, "expected skel_body0 as an array"),
        (content(walk()) | {"skel_body0": walk()[0] * np.nan}, "expected finite numbers"),
        (content(walk() * 0), "no body in any of 6 frames"),
        (content(walk()[:, :0]), "found one of shape (0, 25, 3)"),
        ([1, 2], "expected a dict as txt2npy.py saves it"),
        (content(walk()) | {"path": Path("x")}, "refused as a pickle"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, value, reason):
    sequences, (row,) = import_dict(tmp_path, value)
    assert not sequences
    assert reason in row.reason


def test_arrays_of_numbers_are_no_recordings(tmp_path):
    root = write_all(tmp_path / "raw", {f"{NAME}.skeleton.npy": npy_bytes(walk())})
    _, (row,) = import_files(open_ready_made(txt2npy.open_files, root, tmp_path))
    assert "found float64 of shape (3, 6, 25, 3)" in row.reason


BROKEN_VALUES = (None, "x", -1, 1e40, [], {}, b"y", 2**70, np.zeros(3), np.float32(2), (1, 2))
BROKEN_VALUES = (*BROKEN_VALUES, np.zeros((6, 25, 3), "c8"), np.full((6, 25, 3), "x"), object)


def break_file(seed: int) -> Mapping[str, bytes]:
    """Break a file: its bytes, or a value in it."""
    rng = random.Random(seed)
    value = content(walk()[: rng.randrange(1, 4)])
    if rng.randrange(3) == 0:
        value[rng.choice(list(value))] = rng.choice(BROKEN_VALUES)
    data = saved(value, rng.randrange(2, 6))
    if rng.randrange(4):
        data = break_bytes(data, seed)
    return {f"{NAME}.skeleton.npy": data}


@with_count
def test_broken_files_end_in_a_reason(tmp_path, num_broken):
    num_failed = count_failures(txt2npy.open_files, tmp_path / "raw", break_file, num_broken)
    assert num_failed > num_broken / 3
