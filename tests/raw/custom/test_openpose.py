import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scdnet.raw.custom.json_file import read_json
from scdnet.raw.custom.openpose import FrameFiles, group_recordings
from scdnet.raw.raw_files import MAX_FRAMES, RawFileError, find_raw_files
from scdnet.skeletons import COCO_17, HALPE_26, NTU_25, OPENPOSE_25

# Pixels: 25 joints in a grid, and their scores.
POSE = np.stack([np.arange(25) % 5 * 10, np.arange(25) // 5 * 30, np.full(25, 0.5)], axis=1) + 1


def moved(x: float) -> np.ndarray:
    """Return the pose at another place."""
    return POSE + np.array([x, 0, 0])


def document(*people: np.ndarray) -> bytes:
    """Return a frame as OpenPose writes it."""
    listed = [
        {
            "person_id": [-1],
            "pose_keypoints_2d": points.ravel().tolist(),
            "face_keypoints_2d": [],
        }
        for points in people
    ]
    return json.dumps({"version": 1.3, "people": listed}).encode()


def write(folder: Path, frames: dict[str, bytes]) -> list[FrameFiles]:
    """Write files; return the recordings that they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in frames.items():
        (folder / name).write_bytes(data)
    return group_recordings(find_raw_files(folder, (".json",)))


def read(recording: FrameFiles, skeleton=OPENPOSE_25) -> np.ndarray:
    return read_json(recording.read(), recording.where, skeleton).bodies


@pytest.mark.parametrize(
    "name",
    [
        "clip_{:012}_keypoints.json", "clip-{}_KEYPOINTS.JSON", "clip.{:04}.json", "clip {}.json",
        "clip{:03}.json",
    ],
)  # fmt: skip
def test_a_file_a_frame_is_one_recording_named_by_what_precedes_the_number(tmp_path, name):
    files = {name.format(number): document(POSE + number) for number in (0, 1, 2, 10, 9, 8)}
    recording, *others = write(tmp_path, files)
    assert (recording.stem, others) == ("clip", [])
    bodies = read(recording)
    # By number, not by name; nobody where a number is missing.
    assert bodies[0, :, 0, 0].tolist() == [1, 2, 3, 0, 0, 0, 0, 0, 9, 10, 11]


def test_a_long_name_in_a_zip_takes_no_time(tmp_path):
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.writestr("_" * 60_000 + ".json", document(POSE))
    assert len(group_recordings(find_raw_files(tmp_path / "r.zip", (".json",)))) == 1


def test_every_fifth_frame_is_a_frame(tmp_path):
    files = {f"a_{number}_keypoints.json": document(POSE + number) for number in (0, 5, 15)}
    (recording,) = write(tmp_path, files)
    assert read(recording)[0, :, 0, 0].tolist() == [1, 6, 0, 16]


def test_without_a_name_the_folder_gives_one(tmp_path):
    files = {f"{number:04}_keypoints.json": document(POSE) for number in range(2)}
    (recording,) = write(tmp_path / "jump", files)
    assert (recording.stem, recording.relative) == ("jump", "jump")


def test_names_and_folders_tell_recordings_apart_in_zips_as_well(tmp_path):
    names = [
        f"{folder}/{clip}_{number}_keypoints.json"
        for folder in ("x", "y") for clip in ("a", "b") for number in range(3)
    ]  # fmt: skip
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        for name in (*names, "y/notes.json"):
            archive.writestr(name, document(POSE))
    recordings = group_recordings(find_raw_files(tmp_path / "r.zip", (".json",)))
    assert [recording.stem for recording in recordings] == ["a", "b", "a", "b", "notes"]
    relative = [recording.relative for recording in recordings]
    assert relative == ["x/a", "x/b", "y/a", "y/b", "y/notes"]
    assert [len(recording.files) for recording in recordings[:4]] == [3] * 4


def test_numbered_files_of_others_are_recordings_of_their_own(tmp_path):
    files = {f"subject_{number}.json": b'{"joint_names": []}' for number in range(3)}
    assert len(write(tmp_path, files)) == 3


def test_a_number_that_occurs_twice_is_refused(tmp_path):
    files = {"a_1_keypoints.json": document(POSE), "a_01_keypoints.json": document(POSE)}
    (recording,) = write(tmp_path, files)
    with pytest.raises(RawFileError, match=r"a_1_.*: a second file of frame 1; remove one"):
        recording.read()


def test_frames_far_apart_are_refused(tmp_path):
    files = {f"a_{n}_keypoints.json": document(POSE) for n in (0, 1, MAX_FRAMES)}
    (recording,) = write(tmp_path, files)
    with pytest.raises(RawFileError, match=f"expected at most {MAX_FRAMES} frames, found 216001"):
        recording.read()


def test_a_broken_frame_is_named(tmp_path):
    files = {"a_0_keypoints.json": document(POSE), "a_1_keypoints.json": b'{"people": ['}
    (recording,) = write(tmp_path, files)
    with pytest.raises(RawFileError, match=r"a_1_keypoints\.json:1: not JSON"):
        recording.read()


def test_nobody_is_an_absent_frame_and_people_without_a_body_are_nobody(tmp_path):
    frames = [
        document(POSE, moved(300)),
        document(),
        document(np.zeros((25, 3))),
        document(moved(301), moved(1)),
    ]
    (recording,) = write(tmp_path, {f"a_{n}_keypoints.json": d for n, d in enumerate(frames)})
    bodies = read(recording)
    assert bodies[:, :, 0, 0].tolist() == [[1, 0, 0, 2], [301, 0, 0, 302]]


@pytest.mark.parametrize(
    ("num_joints", "skeleton", "reason"),
    [
        (18, OPENPOSE_25, "expected 25 joints of openpose25 in pose_keypoints_2d, found 18; no bu"),
        (17, OPENPOSE_25, "found 17; layouts of 17 joints: h36m17 (3-D), coco17 (2-D)"),
        (26, COCO_17, "expected 17 joints of coco17 in pose_keypoints_2d, found 26; layouts of"),
        (25, HALPE_26, "found 25; layouts of 25 joints: ntu25 (3-D), openpose25 (2-D)"),
        (25, NTU_25, "2-D, ntu25 is 3-D; use --layout openpose25 --unit px --up -y"),
    ],
)  # fmt: skip
def test_other_numbers_of_joints_name_the_layout_that_fits(num_joints, skeleton, reason):
    with pytest.raises(RawFileError, match=re.escape(reason)):
        read_json(document(np.ones((num_joints, 3))), "a.json", skeleton)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"people": 1}, "expected a list 'people'"),
        ({"people": [{}]}, "person 1: no 'pose_keypoints_2d'"),
        ({"people": [{"pose_keypoints_2d": [1, 2]}]}, "person 1: expected x, y and score of each"),
        ({"people": [{"pose_keypoints_2d": "abc"}]}, "person 1, pose_keypoints_2d: expected lists"),
        ({"people": [{"pose_keypoints_2d": [1, None, 2]}]}, "expected lists of finite numbers"),
        ({"people": [{"pose_keypoints_2d": [1, float("nan"), 2]}]}, "expected lists of finite num"),
        ({"people": []}, "nobody in any of 1 frames"),
        ([{"people": []}, {"people": [3]}], "a.json, frame 2: person 1: no 'pose_keypoints_2d'"),
    ],
)
def test_other_structures_are_refused(content, reason):
    with pytest.raises(RawFileError, match=re.escape(reason)):
        read_json(json.dumps(content).encode(), "a.json", OPENPOSE_25)
