"""Arrays of CrosSCLR and AimCLR: of random poses, and those of the shared folder."""

import pickle
import random
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from scdnet.errors import ScdnetError
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.ready_made import crosclr
from scdnet.raw.ready_made.plan import plan_job
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

NAMES = ["S001C001P001R001A003", "S001C001P002R002A060", "S017C003P004R001A001"]
LABELS = [2, 59, 0]
LENGTHS = [7, 12, 20]
NUM_FRAMES = 20


def walks() -> list[np.ndarray]:
    """Recordings of one or two bodies, the second of which may move more or be late."""
    bodies = [make_walk(length, 2, seed) for seed, length in enumerate(LENGTHS)]
    bodies[0][1] *= 1.5
    bodies[1][1, :4] = 0
    bodies[2][1] = 0
    return [body.astype(np.float32) for body in bodies]


def padded(bodies: np.ndarray) -> np.ndarray:
    """Return (C, T, V, M), zeros behind the end."""
    array = np.zeros((2, NUM_FRAMES, 25, 3), np.float32)
    array[:, : bodies.shape[1]] = bodies
    return array.transpose(3, 1, 2, 0)


@cache
def sound_files() -> Mapping[str, bytes]:
    return {
        "train_data.npy": npy_bytes(np.stack([padded(bodies) for bodies in walks()])),
        "train_label.pkl": pickle.dumps(([f"{name}.skeleton" for name in NAMES], LABELS), 4),
    }


@cache
def resized_files() -> Mapping[str, bytes]:
    """Frames of which each body has joint 20 at the origin."""
    bodies = [np.resize(body, (2, 50, 25, 3)) for body in walks()]
    array = np.stack([(body - body[:, :, 20:21]).transpose(3, 1, 2, 0) for body in bodies])
    return {
        "train_position.npy": npy_bytes(array),
        "train_label.npy": npy_bytes(np.array(LABELS)[:, None]),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_all(tmp_path / "xsub", sound_files())


@pytest.fixture
def resized_folder(tmp_path: Path) -> Path:
    return write_all(tmp_path / "xsub", resized_files())


def import_folder(folder: Path, tmp_path: Path, names: Path | None = None):
    return import_files(open_ready_made(crosclr.open_files, folder, tmp_path, names))


def test_raw_arrays_of_the_shared_folder_equal_our_own_conversion(shared, tmp_path):
    raw = read_raw_files(shared)
    root = shared / "data" / "ready_made" / "crosclr" / "NTU-RGB-D"
    ready_made = open_ready_made(crosclr.open_files, root, tmp_path)
    sequences, rejected = import_files(ready_made)
    assert (ready_made.dataset, len(sequences), rejected) == ("ntu60", 5, [])
    for name, sequence in sequences.items():
        np.testing.assert_array_equal(sequence.frames, raw[name])
        assert sequence.label == int(name[-3:]) - 1
    assert sum(entry.is_train["xsub"] for entry in ready_made.entries) == 3


def test_resampled_arrays_of_the_shared_folder_keep_distances_and_heights(shared, tmp_path):
    folder = shared / "data" / "ready_made" / "crosclr"
    raw = open_ready_made(crosclr.open_files, folder / "NTU-RGB-D", tmp_path)
    resized = open_ready_made(crosclr.open_files, folder / "NTU60_frame50", tmp_path)
    sequences, rejected = import_files(resized)
    assert (resized.dataset, len(sequences), rejected) == ("ntu60", 5, [])
    assert "resampled to 50 frames" in resized.source_processing
    # The rows of both arrays are in the same order.
    for entry, raw_entry in zip(resized.entries, raw.entries, strict=True):
        assert entry.label == raw_entry.label
        assert entry.is_train == raw_entry.is_train
        source = raw_entry.read_bodies()[0].astype(np.float64)
        # The length of the script is the number of frames in which body 0 is there.
        source = source[: int(source.any(axis=(1, 2)).sum())]
        source = resize(source - source[:, 20:21], 50)
        found = entry.read_bodies()[0]
        np.testing.assert_allclose(found[..., 1], source[..., 1], atol=4e-7)
        np.testing.assert_allclose(distances(found), distances(source), atol=4e-7)
        frames = sequences[entry.name].frames
        np.testing.assert_allclose(distances(frames[:, 0]), distances(source), atol=1e-6)
        assert np.abs(frames[:, 0, 1]).max() == 0


def resize(joints: np.ndarray, num_frames: int) -> np.ndarray:
    """Resize (T, V, C) in time, linearly with half-pixel centers, as OpenCV does."""
    place = (np.arange(num_frames) + 0.5) * len(joints) / num_frames - 0.5
    place = place.clip(0, len(joints) - 1)
    before = np.floor(place).astype(int)
    after = np.minimum(before + 1, len(joints) - 1)
    share = (place - before)[:, None, None]
    return joints[before] * (1 - share) + joints[after] * share


def distances(joints: np.ndarray) -> np.ndarray:
    """Return all distances between joints of (T, V, C): (T, V, V) float64."""
    joints = joints.astype(np.float64)
    return np.linalg.norm(joints[:, :, None] - joints[:, None], axis=-1)


def test_arrays_give_our_own_normalization_up_to_the_last_frame_with_a_body(folder, tmp_path):
    sequences, rejected = import_folder(folder, tmp_path)
    assert rejected == []
    for name, bodies in zip(NAMES, walks(), strict=True):
        expected = normalize(select_bodies(bodies), NTU_25)
        np.testing.assert_array_equal(sequences[name].frames, expected)


def test_a_gap_in_the_middle_is_kept(folder, tmp_path):
    bodies = walks()[2]
    bodies[:, 5:9] = 0
    (folder / "train_data.npy").write_bytes(npy_bytes(np.stack([padded(bodies)] * 3)))
    sequences, _ = import_folder(folder, tmp_path)
    assert len(sequences[NAMES[2]].frames) == 20
    assert not sequences[NAMES[2]].frames[5:9].any()


@pytest.mark.parametrize(
    ("names", "dataset", "stored", "camera", "subject"),
    [
        (
            ["F002V001C003L001.skeleton", "F364V002C060L012.skeleton", "F010V003C001L003.skeleton"],
            "pku1",
            ["0002-L_0", "0010-R_2", "0364-M_11"],
            {"0002-L_0": 1, "0010-R_2": 3, "0364-M_11": 2},
            -1,
        ),
        (
            ["A001N013V001C003L001.skeleton", "A026N013V002C051L012.skeleton"],
            "pku2",
            ["A01N13-L_0", "A26N13-M_11"],
            {"A01N13-L_0": 1, "A26N13-M_11": 2},
            13,
        ),
    ],
)
def test_aimclr_names_of_pku_mmd_become_video_and_index(
    tmp_path, names, dataset, stored, camera, subject
):
    labels = [int(re.search(r"C(\d{3})", name)[1]) - 1 for name in names]
    array = np.stack([padded(bodies) for bodies in walks()][: len(names)])
    files = {"val_data.npy": npy_bytes(array), "val_label.pkl": pickle.dumps((names, labels))}
    root = write_all(tmp_path / "xview", files)
    ready_made = open_ready_made(crosclr.open_files, root, tmp_path)
    sequences, _ = import_files(ready_made)
    assert ready_made.dataset == dataset
    assert sorted(entry.name for entry in ready_made.entries) == stored
    # PKU-MMD has 51 classes.
    assert len(sequences) == len([label for label in labels if label < 51])
    for name, sequence in sequences.items():
        assert (sequence.camera, sequence.subject) == (camera[name], subject)


def test_resampled_frames_keep_the_joint_that_was_the_origin(resized_folder, tmp_path):
    sequences, rejected = import_folder(resized_folder, tmp_path)
    assert rejected == []
    for sequence, bodies in zip(sequences.values(), walks(), strict=True):
        length = np.linalg.norm(bodies[0, 0, 20] - bodies[0, 0, 1])
        assert np.linalg.norm(sequence.frames[0, 0, 20]) == pytest.approx(length, abs=1e-6)


def test_resampled_frames_without_names_are_numbered(resized_folder, tmp_path):
    sequences, _ = import_folder(resized_folder, tmp_path)
    assert {name: sequence.label for name, sequence in sequences.items()} == {
        "xsub_train_0": 2,
        "xsub_train_1": 59,
        "xsub_train_2": 0,
    }


def test_a_list_of_names_or_the_pickle_beside_them_names_resampled_frames(resized_folder, tmp_path):
    # Subjects 3 and 6 are on the other side of x-sub.
    others = ["S001C001P003R001A003", "S001C001P006R001A003"]
    path = tmp_path / "skes_available_name.txt"
    path.write_text("\n".join(sorted(NAMES + others)))
    sequences, rejected = import_folder(resized_folder, tmp_path, names=path)
    assert (list(sequences), rejected) == (NAMES, [])
    assert [sequence.subject for sequence in sequences.values()] == [1, 2, 4]
    (resized_folder / "train_label.pkl").write_bytes(sound_files()["train_label.pkl"])
    assert list(import_folder(resized_folder, tmp_path)[0]) == NAMES


def test_names_restore_labels_that_were_counted_from_the_smallest(resized_folder, tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(name.replace("A001", "A002") for name in NAMES))
    (resized_folder / "train_label.npy").write_bytes(npy_bytes(np.array(LABELS) - [1, 1, 0]))
    sequences, _ = import_folder(resized_folder, tmp_path, names=path)
    assert [sequence.label for sequence in sequences.values()] == [2, 59, 1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n".join(NAMES[:2]), "expected the 3 recordings .* found 2"),
        ("\n".join(name.replace("A003", "A004") for name in NAMES), "or others"),
        ("one\ntwo\nthree", "SxxxCxxxPxxxRxxxAxxx"),
        ("", "expected names of recordings"),
        ("S001C001P001R001A121", "classes of NTU RGB"),
    ],
)
def test_names_that_do_not_fit_are_refused(resized_folder, tmp_path, text, reason):
    path = tmp_path / "names.txt"
    path.write_text(text)
    with pytest.raises(ScdnetError, match=reason):
        import_folder(resized_folder, tmp_path, names=path)


def test_names_are_refused_where_the_files_have_them(folder, tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(NAMES))
    with pytest.raises(ScdnetError, match="omit it"):
        import_folder(folder, tmp_path, names=path)


def test_raw_and_resampled_arrays_are_not_mixed(folder, tmp_path):
    for name, data in resized_files().items():
        (folder / name).write_bytes(data)
    with pytest.raises(ScdnetError, match="expected arrays of one kind"):
        import_folder(folder, tmp_path)


def test_numbered_sequences_of_two_benchmarks_are_not_united(resized_folder, tmp_path):
    other = write_all(tmp_path / "xview", resized_files())
    with pytest.raises(ScdnetError, match="of xsub, xview cannot be united"):
        open_ready_made(crosclr.open_files, [resized_folder, other], tmp_path)


def test_named_sequences_of_two_benchmarks_are_united(folder, tmp_path):
    other = write_all(
        tmp_path / "xview",
        {name.replace("train", "val"): data for name, data in sound_files().items()},
    )
    job = plan_job(open_ready_made(crosclr.open_files, [folder, other], tmp_path))
    assert [item.name for item in job.items] == NAMES
    assert job.rejected == []
    assert sorted(job.split_rules) == ["xsub", "xview"]
    assert all(item.is_train == {"xsub": True, "xview": False} for item in job.items)


def test_arrays_of_several_datasets_are_refused(folder, tmp_path):
    names = ["A01N02-L.txt_0", "A01N02-L.txt_1", "A01N02-L.txt_2"]
    (folder / "val_label.pkl").write_bytes(pickle.dumps((names, LABELS)))
    (folder / "val_data.npy").write_bytes(sound_files()["train_data.npy"])
    with pytest.raises(ScdnetError, match="one dataset, found ntu60, pku2"):
        import_folder(folder, tmp_path)


def test_frames_that_are_centered_already_are_rejected(folder, tmp_path):
    array = np.stack([padded(body - body[:1, :, 1:2]) for body in walks()])
    (folder / "train_data.npy").write_bytes(npy_bytes(array))
    sequences, rejected = import_folder(folder, tmp_path)
    assert (len(sequences), len(rejected)) == (0, 3)
    assert "--format agcn" in rejected[0].reason


def test_one_bad_row_takes_no_other_along(folder, tmp_path):
    array = np.stack([padded(body) for body in walks()])
    array[1, 0, 3, 2, 0] = np.nan
    (folder / "train_data.npy").write_bytes(npy_bytes(array))
    sequences, (row,) = import_folder(folder, tmp_path)
    assert list(sequences) == [NAMES[0], NAMES[2]]
    assert row.reason == f"{NAMES[1]}: frame 4: expected finite numbers"


def test_a_row_without_anybody_is_rejected(folder, tmp_path):
    array = np.stack([padded(body) for body in walks()])
    array[1] = 0
    (folder / "train_data.npy").write_bytes(npy_bytes(array))
    _, (row,) = import_folder(folder, tmp_path)
    assert "no body in any of 20 frames" in row.reason


BROKEN_VALUES = (None, "x", -1, 1e40, [], {}, b"y", 2**70, np.zeros(3), np.float32(2), (1, 2))


def break_files(seed: int) -> dict[str, bytes]:
    """Break one of the files: its bytes, or a value in it."""
    rng = random.Random(seed)
    files = dict(rng.choice([sound_files(), resized_files()]))
    name = rng.choice(sorted(files))
    match rng.randrange(4):
        case 0:
            labels = [NAMES.copy(), LABELS.copy()]
            part = rng.choice([labels, *labels])
            part[rng.randrange(len(part))] = rng.choice(BROKEN_VALUES)
            files["train_label.pkl"] = pickle.dumps(tuple(labels), rng.randrange(2, 6))
        case 1:
            array = odd_array(rng)
            files[rng.choice([key for key in files if key.endswith("npy")])] = npy_bytes(array)
        case _:
            files[name] = break_bytes(files[name], seed)
    return files


@with_count
def test_broken_files_end_in_a_reason(tmp_path, num_broken):
    num_failed = count_failures(crosclr.open_files, tmp_path / "xsub", break_files, num_broken)
    assert num_failed > num_broken / 3
