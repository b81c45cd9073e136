"""NW-UCLA's json files: of random poses, those of the shared folder, and the real ones."""

import json
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scdnet.raw.custom.frames import normalize_facing
from scdnet.raw.joint_mapping import joint_matrix
from scdnet.raw.ready_made import nwucla
from scdnet.raw.ready_made.plan import plan_job
from scdnet.skeletons import KINECT_V1_20, NTU_25
from tests.raw.broken import with_count
from tests.raw.ready_made.importing import (
    break_bytes,
    count_failures,
    import_files,
    open_ready_made,
    write_all,
)

NAME = "a08_s03_e01_v02"


def walk(num_frames: int = 5, seed: int = 0) -> np.ndarray:
    """Draw random poses (T, 20, 3), in meters as the files have them, facing the camera."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(loc=(0, 0, 3), size=(20, 3))
    pose[4, 0] = -0.2
    pose[8, 0] = 0.2
    return (pose + rng.normal(scale=0.05, size=(num_frames, 20, 3))).round(6)


def recording(joints: np.ndarray, name: str = NAME, label: int = 7) -> dict[str, Any]:
    return {"file_name": name, "skeletons": joints.tolist(), "label": label}


def import_json(tmp_path: Path, content: object, name: str = NAME):
    root = write_all(tmp_path / "all_sqe", {f"{name}.json": json.dumps(content).encode()})
    return import_files(open_ready_made(nwucla.open_files, root, tmp_path))


def test_joints_of_the_shared_folder_are_those_that_they_were_made_from(shared, tmp_path):
    folder = shared / "data" / "ready_made"
    truth = np.load(folder / "expected" / "truth.npz")
    ready_made = open_ready_made(nwucla.open_files, folder / "nw_ucla", tmp_path)
    common = [joint for joint in KINECT_V1_20.joints if joint in NTU_25.joints]
    assert len(common) == 17
    for entry in ready_made.entries:
        found = entry.read_bodies()[0][:, [KINECT_V1_20.joints.index(joint) for joint in common]]
        expected = truth[f"nw_ucla.{entry.name}"]
        expected = expected[:, [NTU_25.joints.index(joint) for joint in common]]
        np.testing.assert_allclose(found, expected, atol=1e-3)
    sequences, rejected = import_files(ready_made)
    assert (len(sequences), rejected) == (6, [])
    assert [sequence.label for sequence in sequences.values()] == [0, 1, 4, 5, 8, 9]


@pytest.fixture(scope="module")
def real_zip(shared) -> Path:
    path = shared / "data" / "nwucla_all_sqe.zip"
    if not path.exists():
        pytest.skip(f"{path}: no recordings of NW-UCLA")
    return path


def copy_members(path: Path, target: Path, names: list[str]) -> Path:
    """Copy some files of a zip to another one."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(f"all_sqe/{name}.json", source.read(f"all_sqe/{name}.json"))
    return target


def test_the_odd_real_recordings_are_kept(real_zip, tmp_path, capsys):
    # Two with joints that were not tracked, and one with a short trunk.
    names = ["a04_s01_e01_v01", "a04_s04_e02_v01", "a09_s04_e04_v01"]
    path = copy_members(real_zip, tmp_path / "some.zip", names)
    ready_made = open_ready_made(nwucla.open_files, path, tmp_path)
    sequences, rejected = import_files(ready_made)
    assert (list(sequences), rejected) == (names, [])
    assert ready_made.attributes["num_interpolated_joints"] == 12
    assert list(ready_made.attributes["interpolated_recordings"]) == names[:2]
    assert "Interpolated 12 joints" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("to", [None, "ntu25"])
def test_all_real_recordings_are_kept_on_their_sides(real_zip, tmp_path, to):
    ready_made = open_ready_made(nwucla.open_files, real_zip, tmp_path)
    sequences, rejected = import_files(ready_made, to=to)
    assert (len(sequences), rejected) == (1484, [])
    assert sum(entry.is_train["xview"] for entry in ready_made.entries) == 1020
    assert sum(entry.is_train["xsub"] for entry in ready_made.entries) == 724
    assert min(len(sequence.frames) for sequence in sequences.values()) == 1


def test_a_recording_is_normalized_as_ones_own_and_its_name_tells_the_rest(tmp_path):
    sequences, rejected = import_json(tmp_path, recording(walk()))
    assert rejected == []
    sequence = sequences[NAME]
    np.testing.assert_array_equal(sequence.frames, normalize_facing(walk()[None], KINECT_V1_20))
    assert (sequence.label, sequence.subject, sequence.camera) == (6, 3, 2)
    assert (sequence.replication, sequence.setup) == (1, -1)


def test_it_can_be_mapped_to_ntu25(tmp_path):
    root = write_all(tmp_path / "raw", {f"{NAME}.json": json.dumps(recording(walk())).encode()})
    ready_made = open_ready_made(nwucla.open_files, root, tmp_path)
    sequences, _ = import_files(ready_made, to="ntu25")
    expected = normalize_facing(joint_matrix(KINECT_V1_20) @ walk()[None], NTU_25)
    np.testing.assert_array_equal(sequences[NAME].frames, expected)


@pytest.mark.parametrize(
    ("name", "label", "xview", "xsub"),
    [
        ("a01_s01_e00_v01", 0, True, True),
        ("a06_s02_e00_v02", 5, True, False),
        ("a11_s10_e07_v03", 8, False, False),
        ("A12_S09_E00_V03", 9, False, True),
    ],
)
def test_actions_become_classes_and_views_and_subjects_sides(tmp_path, name, label, xview, xsub):
    content = {"skeletons": walk().tolist()}
    root = write_all(tmp_path / "raw", {f"{name}.json": json.dumps(content).encode()})
    ready_made = open_ready_made(nwucla.open_files, root, tmp_path)
    (entry,) = ready_made.entries
    assert (entry.name, entry.label) == (name, label)
    assert entry.is_train == {"xview": xview, "xsub": xsub}
    assert len(ready_made.class_names) == 10


def test_folder_and_zip_give_the_same(tmp_path):
    data = json.dumps(recording(walk())).encode()
    path = tmp_path / "all_sqe.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"all_sqe/{NAME}.json", data)
    folder = write_all(tmp_path / "raw", {f"{NAME}.json": data})
    found = [
        import_files(open_ready_made(nwucla.open_files, root, tmp_path))[0][NAME].frames
        for root in (path, folder)
    ]
    np.testing.assert_array_equal(*found)


def test_joints_that_were_not_tracked_are_interpolated_and_held_at_the_ends():
    joints = np.arange(1, 1 + 5 * 20 * 3, dtype=float).reshape(5, 20, 3)
    broken = joints.copy()
    broken[2, 7] = 0
    broken[:2, 3] = 0
    broken[4, 3] = 0
    missing = nwucla.is_untracked(broken)
    assert missing.sum() == 4
    joints[:2, 3] = joints[2, 3]
    joints[4, 3] = joints[3, 3]
    # These poses move evenly, so interpolation restores the joint in the middle.
    np.testing.assert_allclose(nwucla.interpolate(broken, missing), joints)


def test_interpolated_joints_are_counted_by_recording(tmp_path, capsys):
    joints = walk()
    joints[1, [4, 5]] = 0
    joints[4, 4] = 0
    contents = [recording(joints), {"skeletons": walk(seed=1).tolist()}]
    names = [NAME, "a01_s01_e00_v01"]
    files = {
        f"{name}.json": json.dumps(content).encode()
        for name, content in zip(names, contents, strict=True)
    }
    root = write_all(tmp_path / "raw", files)
    job = plan_job(open_ready_made(nwucla.open_files, root, tmp_path))
    assert job.attributes["num_interpolated_joints"] == 3
    assert list(job.attributes["interpolated_recordings"]) == [NAME]
    assert "Interpolated 3 joints that were not tracked (0, 0, 0), in 1 of 2 recordings." in (
        capsys.readouterr().out
    )


def test_the_origin_of_positions_relative_to_a_joint_is_kept(tmp_path):
    joints = walk()
    joints -= joints[:, :1]
    sequences, rejected = import_json(tmp_path, recording(joints))
    assert rejected == []
    length = np.linalg.norm(joints[:, 0] - joints[:, 1], axis=-1)
    frames = sequences[NAME].frames[:, 0]
    assert np.linalg.norm(frames[:, 0] - frames[:, 1], axis=-1) == pytest.approx(length, abs=1e-5)


@pytest.mark.parametrize("scale", [0.01, 1])
def test_a_short_trunk_and_a_single_frame_are_kept(tmp_path, scale):
    sequences, rejected = import_json(tmp_path, recording(walk(1) * scale))
    assert (len(sequences), rejected) == (1, [])
    assert len(sequences[NAME].frames) == 1


def test_a_name_in_two_folders_is_rejected_once(tmp_path):
    data = json.dumps(recording(walk())).encode()
    roots = [write_all(tmp_path / part, {f"{NAME}.json": data}) for part in ("a", "b")]
    sequences, (row,) = import_files(open_ready_made(nwucla.open_files, roots, tmp_path))
    assert list(sequences) == [NAME]
    assert "has the same name as" in row.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([1, 2], "expected an object with 'skeletons'"),
        ({"joints": walk().tolist()}, "expected an object with 'skeletons'"),
        (recording(walk()[:, :19]), "expected 'skeletons' of shape (frames, 20, 3)"),
        (recording(walk()[:0]), "expected 'skeletons'"),
        (recording(walk() * np.nan), "expected lists of finite numbers"),
        (recording(walk()) | {"skeletons": [[[1, 2, 3]], [[1, 2]]]}, "of equal length"),
        (recording(walk()) | {"skeletons": "x"}, "expected lists of finite numbers"),
        (recording(walk()) | {"skeletons": None}, "expected lists of finite numbers"),
        (recording(walk() * 0), "not tracked in any frame (0, 0, 0): "),
        (recording(walk() * (np.arange(20) > 1)[:, None]), "(0, 0, 0): center of hips, "),
        (recording(walk(), label=3), "expected label 7"),
        (recording(walk(), "a01_s01_e00_v01"), f"expected file_name {NAME}"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, reason):
    sequences, (row,) = import_json(tmp_path, content)
    assert not sequences
    assert reason in row.reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("wave", "expected a name of the form aXX_sXX_eXX_vXX"),
        ("a07_s01_e00_v01", "found 7"),
        ("a10_s01_e00_v01", "found 10"),
        ("a1_s01_e00_v01", "expected a name of the form"),
    ],
)
def test_names_that_cannot_be_used_are_rejected(tmp_path, name, reason):
    sequences, (row,) = import_json(tmp_path, {"skeletons": walk().tolist()}, name=name)
    assert not sequences
    assert reason in row.reason


BROKEN_VALUES = (None, "x", -1, 1e40, [], {}, 2**70, True, [[[0.0] * 3] * 20], [[[1] * 3] * 20, 5])
BROKEN_TEXTS = ("[" * 10**5, "", "{}", "NaN", "null", '{"skeletons": [[[1e999]]]}', "1" * 5000)


def break_file(seed: int) -> Mapping[str, bytes]:
    """Break a file: its bytes, or a value in it."""
    rng = random.Random(seed)
    content = recording(walk(2, seed))
    match rng.randrange(5):
        case 0:
            content[rng.choice(list(content))] = rng.choice(BROKEN_VALUES)
        case 1:
            frame = rng.choice(content["skeletons"])
            where = rng.choice([content["skeletons"], frame, *frame])
            where[rng.randrange(len(where))] = rng.choice(BROKEN_VALUES)
        case 2:
            del content[rng.choice(list(content))]
        case _:
            return {f"{NAME}.json": break_bytes(json.dumps(content).encode(), seed)}
    text = json.dumps(content) if rng.randrange(5) else rng.choice(BROKEN_TEXTS)
    return {f"{NAME}.json": text.encode()}


@with_count
def test_broken_files_end_in_a_reason(tmp_path, num_broken):
    num_failed = count_failures(nwucla.open_files, tmp_path / "raw", break_file, num_broken)
    assert num_failed > num_broken / 3
