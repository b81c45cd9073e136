"""Landmarks of MediaPipe Pose in the shapes in which people keep them (docs/data/own.md)."""

import re
from collections.abc import Sequence

import numpy as np

from scdnet.raw.custom.joint_names import match_joints
from scdnet.raw.custom.json_text import to_numbers
from scdnet.raw.custom.people import link_people, stack_people
from scdnet.raw.raw_files import MAX_FRAMES, RawFileError, check_at_most
from scdnet.skeleton import Skeleton
from scdnet.skeletons import MEDIAPIPE_33

# Keys of a frame, letters only; what the landmarks of the last one are, only their numbers tell.
WORLD = ("poseworldlandmarks", "worldlandmarks", "keypoints3d")
IMAGE = ("poselandmarks", "imagelandmarks", "normalizedlandmarks", "keypoints")
EITHER = ("landmarks",)
AXES = ("x", "y", "z")


def find_frames(content: object) -> Sequence[object] | None:
    """Return the frames of a dump of MediaPipe, or None if it does not look like one."""
    if isinstance(content, dict):
        for key, value in content.items():
            name = _letters(key)
            if isinstance(value, list) and (name == "frames" or name in (*WORLD, *IMAGE, *EITHER)):
                # A list of all frames under the name of what each contains.
                return value if name == "frames" else [{key: frame} for frame in value]
        return None
    return content if isinstance(content, list) else None


def read_mediapipe(frames: Sequence[object], where: str, skeleton: Skeleton) -> np.ndarray:
    """Read the world landmarks of all frames: (M, T, V, C) meters, 0 where there is nobody.

    Raises RawFileError for another structure, and for image landmarks, which are no positions.
    """
    check_at_most(MAX_FRAMES, len(frames), "frames", where)
    if skeleton.name != MEDIAPIPE_33.name:
        raise RawFileError(
            where,
            0,
            f"landmarks of MediaPipe; use --layout {MEDIAPIPE_33.name}, not {skeleton.name}",
        )
    people = [
        _read_frame(frame, f"{where}, frame {number}") for number, frame in enumerate(frames, 1)
    ]
    tracks = link_people(people, 3)
    if not tracks:
        raise RawFileError(where, 0, f"nobody in any of {len(frames)} frames")
    return stack_people(tracks, len(frames))


def _letters(key: object) -> str:
    return re.sub("[^a-z0-9]", "", str(key).lower())


def _read_frame(frame: object, where: str) -> np.ndarray:
    """Return the people of a frame: (P, V, C)."""
    landmarks = _find_landmarks(frame, where)
    if not landmarks:
        return np.zeros((0, MEDIAPIPE_33.num_joints, 3))
    # One person is a list of landmarks, several a list of such lists.
    if isinstance(landmarks, list) and _is_landmark(landmarks[0]):
        landmarks = [landmarks]
    assert isinstance(landmarks, list)
    people = [_read_person(person, where) for person in landmarks if person]
    return np.reshape(people, (len(people), MEDIAPIPE_33.num_joints, 3))


def _find_landmarks(frame: object, where: str) -> list[object] | None:
    """Return the landmarks of a frame, or nothing if there is nobody in it. Raises RawFileError."""
    if isinstance(frame, dict):
        named = {_letters(key): value for key, value in frame.items()}
        name = next((name for name in (*WORLD, *EITHER) if name in named), None)
        if name is None and any(named.get(name) for name in IMAGE):
            raise RawFileError(
                where,
                0,
                "image landmarks are shares of a picture, not positions; keep pose_world_landmarks",
            )
        frame = named[name] if name else None
        # MessageToDict wraps the landmarks of a person like this.
        if isinstance(frame, dict) and "landmark" in frame:
            frame = frame["landmark"]
        if isinstance(frame, dict):
            frame = _order_by_name(frame, where)
    if frame is None or isinstance(frame, list):
        return frame
    raise RawFileError(where, 0, f"expected a list of landmarks, found {frame!r:.40}")


def _order_by_name(landmarks: dict[str, object], where: str) -> list[object]:
    """Return landmarks that are given by their names in their order. Raises RawFileError."""
    values = list(landmarks.values())
    return [values[index] for index in match_joints(list(landmarks), MEDIAPIPE_33, where)]


def _is_landmark(value: object) -> bool:
    """Check whether something is a landmark, rather than a list of the landmarks of a person."""
    if isinstance(value, list):
        return not any(isinstance(item, list | dict) for item in value)
    return True


def _read_person(landmarks: object, where: str) -> np.ndarray:
    """Return the landmarks of a person: (V, C). Raises RawFileError."""
    expected = f"expected {MEDIAPIPE_33.num_joints} landmarks of x, y, z and perhaps visibility"
    if not isinstance(landmarks, list) or len(landmarks) != MEDIAPIPE_33.num_joints:
        found = len(landmarks) if isinstance(landmarks, list) else f"{landmarks!r:.40}"
        raise RawFileError(where, 0, f"{expected}, found {found}")
    rows = [
        [landmark.get(axis) for axis in AXES] if isinstance(landmark, dict) else landmark
        for landmark in landmarks
    ]
    numbers = to_numbers(rows, where, "landmarks")
    if numbers.ndim != 2 or not 3 <= numbers.shape[1] <= 6:
        raise RawFileError(where, 0, f"{expected}, found numbers of shape {numbers.shape}")
    # Many examples write the number of a landmark before its position.
    is_numbered = np.array_equal(numbers[:, 0], np.arange(len(numbers)))
    return numbers[:, 1:4] if is_numbered else numbers[:, :3]
