"""Arrays of 2s-AGCN, CMD and HiCo: of our own normalization, and of the shared folder."""

import pickle
import random
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from scdnet.raw.normalize import fill_absent, normalize, upright_rotation
from scdnet.raw.ready_made import agcn
from scdnet.skeletons import NTU_25
from tests.raw.broken import with_count
from tests.raw.ready_made.importing import (
    break_bytes,
    count_failures,
    import_files,
    make_walk,
    npy_bytes,
    odd_array,
    open_ready_made,
    read_raw_files,
    write_all,
)

NAMES = ["S001C002P001R001A003", "S001C001P003R002A060", "S017C003P002R001A001"]
LENGTHS = [7, 12, 5]
NUM_FRAMES = 20


def walks() -> list[np.ndarray]:
    """Recordings of two bodies, of which the second comes late and the first leaves early."""
    bodies = [make_walk(length, 2, seed) for seed, length in enumerate(LENGTHS)]
    bodies[0][1, :2] = 0
    bodies[1][0, 9:] = 0
    bodies[2][1] = 0
    return bodies


def padded(bodies: np.ndarray, num_frames: int = NUM_FRAMES) -> np.ndarray:
    """Return (C, T, V, M) as 2s-AGCN has it: padded by zeros, then normalized, which loops it."""
    raw = np.zeros((2, num_frames, 25, 3), np.float32)
    raw[:, : bodies.shape[1]] = bodies[:, :num_frames]
    return normalize(raw, NTU_25).transpose(3, 0, 2, 1)


@cache
def sound_files() -> Mapping[str, bytes]:
    array = np.stack([padded(bodies) for bodies in walks()])
    labels = [int(name[-3:]) - 1 for name in NAMES]
    return {
        "train_data_joint.npy": npy_bytes(array),
        "train_label.pkl": pickle.dumps(([f"{name}.skeleton" for name in NAMES], labels), 4),
        "train_num_frame.npy": npy_bytes(np.array(LENGTHS)),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "xview"
    return write_all(root, sound_files())


def expected_frames() -> dict[str, np.ndarray]:
    return {name: normalize(bodies, NTU_25) for name, bodies in zip(NAMES, walks(), strict=True)}


def import_folder(folder: Path, tmp_path: Path):
    return import_files(open_ready_made(agcn.open_files, folder, tmp_path))


def test_hico_equals_our_own_conversion_of_the_raw_files(shared, tmp_path):
    raw = read_raw_files(shared)
    ready_made = open_ready_made(agcn.open_files, shared / "data" / "ready_made" / "hico", tmp_path)
    sequences, rejected = import_files(ready_made)
    assert (ready_made.dataset, len(sequences), rejected) == ("ntu60", 5, [])
    for name, sequence in sequences.items():
        np.testing.assert_allclose(sequence.frames, raw[name], atol=1e-5)
        assert sequence.label == int(name[-3:]) - 1
    sides = {entry.name: entry.is_train for entry in ready_made.entries}
    assert sum(side["xsub"] for side in sides.values()) == 3


def test_hico_without_numbers_of_frames_equals_our_own_conversion_too(shared, tmp_path):
    raw = read_raw_files(shared)
    source = shared / "data" / "ready_made" / "hico" / "xsub"
    for name in ("data_joint.npy", "label.pkl"):
        for side in ("train", "val"):
            (tmp_path / f"{side}_{name}").symlink_to(source / f"{side}_{name}")
    ready_made = open_ready_made(agcn.open_files, tmp_path, tmp_path)
    sequences, rejected = import_files(ready_made)
    assert (len(sequences), rejected) == (5, [])
    assert "length is that of the loop" in ready_made.source_processing
    for name, sequence in sequences.items():
        np.testing.assert_allclose(sequence.frames, raw[name], atol=1e-5)


def test_arrays_give_our_own_normalization_of_the_recordings(folder, tmp_path):
    sequences, rejected = import_folder(folder, tmp_path)
    assert rejected == []
    for name, frames in expected_frames().items():
        np.testing.assert_allclose(sequences[name].frames, frames, atol=1e-5)
    first = sequences[NAMES[0]]
    assert (first.label, first.setup, first.camera, first.subject, first.replication) == (
        2, 1, 2, 1, 1,
    )  # fmt: skip


def test_the_loop_tells_the_length_though_a_body_comes_late_or_leaves_early(folder, tmp_path):
    (folder / "train_num_frame.npy").unlink()
    sequences, rejected = import_folder(folder, tmp_path)
    assert rejected == []
    for name, frames in expected_frames().items():
        np.testing.assert_allclose(sequences[name].frames, frames, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 10, 11, 19, 20])
def test_the_loop_is_found_at_any_length(length):
    bodies = make_walk(length, 2, seed=length)
    assert agcn.find_length(padded(bodies).transpose(3, 1, 2, 0)) == length


def test_zeros_behind_the_end_tell_the_length_as_well():
    bodies = padded(make_walk(20, 1)).transpose(3, 1, 2, 0).copy()
    bodies[:, 13:] = 0
    assert agcn.find_length(bodies) == 13


def test_a_number_of_frames_beyond_the_array_is_cut_as_the_frames_are(folder, tmp_path):
    # CMD's script for PKU-MMD writes such numbers.
    (folder / "train_num_frame.npy").write_bytes(npy_bytes(np.array([7, 12, 321])))
    sequences, _ = import_folder(folder, tmp_path)
    assert len(sequences[NAMES[2]].frames) == NUM_FRAMES


def test_cmd_names_of_pku_mmd_and_labels_as_floats_are_read(folder, tmp_path):
    names = ["A01N02-L.txt_0", "A01N02-L.txt_11", "A26N13-R.txt_2"]
    labels = list(np.array([0.0, 50.0, 7.0]))
    (folder / "train_label.pkl").write_bytes(pickle.dumps((names, labels)))
    ready_made = open_ready_made(agcn.open_files, folder, tmp_path)
    sequences, rejected = import_files(ready_made)
    assert (ready_made.dataset, rejected) == ("pku2", [])
    assert list(sequences) == ["A01N02-L_0", "A01N02-L_11", "A26N13-R_2"]
    last = sequences["A26N13-R_2"]
    assert (last.label, last.camera, last.subject) == (7, 3, 13)


@pytest.mark.parametrize(
    ("folder_name", "side", "benchmark", "is_train"),
    [
        ("xsub", "train", "xsub", True),
        ("xsub", "val", "xsub", False),
        ("X-View", "test", "xview", False),
        ("xsetup", "val", "xset", False),
        ("ntu120_xset", "train", "xset", True),
        ("NTU60_CV", "val", "xview", False),
    ],
)
def test_folder_and_name_tell_the_benchmark_and_its_side(
    tmp_path, folder_name, side, benchmark, is_train
):
    files = {key.replace("train", side): data for key, data in sound_files().items()}
    root = write_all(tmp_path / folder_name, files)
    ready_made = open_ready_made(agcn.open_files, root, tmp_path)
    assert [entry.is_train for entry in ready_made.entries] == 3 * [{benchmark: is_train}]


def test_the_rule_that_all_names_obey_tells_the_benchmark_if_no_folder_does(tmp_path):
    # Cameras 2, 1, 3: on both sides of x-view; subjects 1, 3, 2: on both sides of x-sub.
    files = dict(sound_files())
    root = write_all(tmp_path / "data", files)
    assert benchmarks_of(root, tmp_path) == {"custom"}
    names = ["S001C001P003R001A003", "S001C002P003R001A003", "S001C003P006R001A003"]
    files = {key.replace("train", "val"): data for key, data in files.items()}
    files["val_label.pkl"] = pickle.dumps((names, [2, 2, 2]))
    write_all(root, files)
    assert benchmarks_of(root, tmp_path) == {"xsub"}


def benchmarks_of(root: Path, tmp_path: Path) -> set[str]:
    entries = open_ready_made(agcn.open_files, root, tmp_path).entries
    return {benchmark for entry in entries for benchmark in entry.is_train}


def test_a_single_array_finds_the_files_beside_it(folder, tmp_path):
    sequences, rejected = import_folder(folder / "train_data_joint.npy", tmp_path)
    assert (sorted(sequences), rejected) == (sorted(NAMES), [])


def test_frames_that_were_never_normalized_are_rejected_and_lead_to_their_format(folder, tmp_path):
    raw = np.stack([np.resize(bodies, (2, NUM_FRAMES, 25, 3)) for bodies in walks()])
    raw = raw.transpose(0, 4, 2, 3, 1).astype(np.float32)
    (folder / "train_data_joint.npy").write_bytes(npy_bytes(raw))
    sequences, rejected = import_folder(folder, tmp_path)
    assert not sequences
    assert all("--format crosclr" in row.reason for row in rejected)


def test_arrays_that_were_left_upright_are_normalized_and_said_to_be(folder, tmp_path):
    array = np.stack([left_upright(bodies) for bodies in walks()])
    (folder / "train_data_joint.npy").write_bytes(npy_bytes(array))
    ready_made = open_ready_made(agcn.open_files, folder, tmp_path)
    assert "spine not turned" in ready_made.source_processing
    sequences, rejected = import_files(ready_made)
    assert rejected == []
    for name, frames in expected_frames().items():
        body = sequences[name].frames[0, 0]
        # The last step tilts the spine by what the shoulders are tilted.
        assert (body[1] - body[0]) @ [0, 0, 1] > 0.8 * np.linalg.norm(body[1] - body[0])
        # Turns keep all distances.
        assert np.linalg.norm(sequences[name].frames, axis=-1) == pytest.approx(
            np.linalg.norm(frames, axis=-1), abs=1e-5
        )


def left_upright(bodies: np.ndarray) -> np.ndarray:
    """Normalize as HiCo's script did at first: without the turn of the spine to z."""
    raw = np.zeros((2, NUM_FRAMES, 25, 3))
    raw[:, : bodies.shape[1]] = bodies
    for body in raw:
        fill_absent(body)
    is_present = raw.any(axis=(2, 3), keepdims=True)
    raw = np.where(is_present, raw - raw[0, :, 1:2], 0)
    # Of a spine along z, only the shoulders are turned.
    first = raw[0, 0].copy()
    first[0] = first[1] - [0, 0, 1]
    return (raw @ upright_rotation(first, NTU_25).T).astype(np.float32).transpose(3, 1, 2, 0)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("train_label.pkl", None, "expected a file of labels beside it"),
        ("train_label.pkl", pickle.dumps([1, 2, 3]), "expected two lists, names and labels"),
        ("train_label.pkl", pickle.dumps((NAMES, [0, 1])), "as many names as labels"),
        ("train_label.pkl", pickle.dumps((NAMES[:2], [0, 1])), "as it has rows, 3, found 2"),
        ("train_label.pkl", pickle.dumps((NAMES, [0, 1.5, 2])), "integers .* found '1.5'"),
        ("train_label.pkl", pickle.dumps((NAMES, [2, 58, 0])), "expected label 59, .* found 58"),
        ("train_label.pkl", pickle.dumps((NAMES, Path("x"))), "refused as a pickle"),
        ("train_num_frame.npy", npy_bytes(np.array([0, 12, 5])), "one frame or more, found 0"),
        ("train_num_frame.npy", npy_bytes(np.array(["7", "1", "5"])), "one integer a row"),
        ("train_data_joint.npy", npy_bytes(np.zeros((3, 3, 20, 18, 2), "f4")), "18, 2"),
        ("train_data_joint.npy", npy_bytes(np.zeros((0, 3, 20, 25, 2), "f4")), "sequences"),
        ("train_data_joint.npy", npy_bytes(np.zeros((3, 3, 20, 25, 2), "i4")), "int32"),
        ("train_data_joint.npy", npy_bytes(np.zeros((3, 3, 20, 25, 2), "f4")), "normalized"),
    ],
)
def test_what_is_wrong_is_named(folder, tmp_path, name, data, reason):
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    _, rejected = import_folder(folder, tmp_path)
    assert any(re.search(reason, row.reason) for row in rejected), rejected


def test_an_array_of_no_side_is_rejected_and_others_are_kept(folder, tmp_path):
    for name, data in sound_files().items():
        (folder / name.replace("train", "all")).write_bytes(data)
    sequences, rejected = import_folder(folder, tmp_path)
    assert len(sequences) == 3
    (row,) = rejected
    assert "begins with train or val" in row.reason


BROKEN_VALUES = (None, "x", -1, 1e40, [], {}, b"y", 2**70, np.zeros(3), np.float32(2), (1, 2))


def break_files(seed: int) -> dict[str, bytes]:
    """Break one of the files: its bytes, or a value in it."""
    rng = random.Random(seed)
    files = dict(sound_files())
    name = rng.choice(sorted(files))
    match rng.randrange(4):
        case 0:
            labels = [NAMES.copy(), [2, 59, 0]]
            part = rng.choice([labels, *labels])
            part[rng.randrange(len(part))] = rng.choice(BROKEN_VALUES)
            files["train_label.pkl"] = pickle.dumps(tuple(labels), rng.randrange(2, 6))
        case 1:
            array = odd_array(rng)
            files[rng.choice(["train_data_joint.npy", "train_num_frame.npy"])] = npy_bytes(array)
        case _:
            files[name] = break_bytes(files[name], seed)
    return files


@with_count
def test_broken_files_end_in_a_reason(tmp_path, num_broken):
    num_failed = count_failures(agcn.open_files, tmp_path / "xsub", break_files, num_broken)
    assert num_failed > num_broken / 2
