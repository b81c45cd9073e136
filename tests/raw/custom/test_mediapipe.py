import json
import re

import numpy as np
import pytest

from scdnet.raw.custom.json_file import read_json
from scdnet.raw.custom.readers import read_joints
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import MEDIAPIPE_33, NTU_25
from tests.raw.walker import walking

LANDMARKS = 0.01 * (1 + np.arange(99.0).reshape(33, 3))
AS_DICTS = [{"x": x, "y": y, "z": z, "visibility": 0.9} for x, y, z in LANDMARKS.tolist()]
AS_LISTS = LANDMARKS.tolist()
NAMES = [
    "NOSE", "LEFT_EYE_INNER", "LEFT_EYE", "LEFT_EYE_OUTER", "RIGHT_EYE_INNER", "RIGHT_EYE",
    "RIGHT_EYE_OUTER", "LEFT_EAR", "RIGHT_EAR", "MOUTH_LEFT", "MOUTH_RIGHT", "LEFT_SHOULDER",
    "RIGHT_SHOULDER", "LEFT_ELBOW", "RIGHT_ELBOW", "LEFT_WRIST", "RIGHT_WRIST", "LEFT_PINKY",
    "RIGHT_PINKY", "LEFT_INDEX", "RIGHT_INDEX", "LEFT_THUMB", "RIGHT_THUMB", "LEFT_HIP",
    "RIGHT_HIP", "LEFT_KNEE", "RIGHT_KNEE", "LEFT_ANKLE", "RIGHT_ANKLE", "LEFT_HEEL", "RIGHT_HEEL",
    "LEFT_FOOT_INDEX", "RIGHT_FOOT_INDEX",
]  # fmt: skip


def read(content: object, skeleton=MEDIAPIPE_33) -> np.ndarray:
    return read_json(json.dumps(content).encode(), "a.json", skeleton).bodies


@pytest.mark.parametrize(
    "frame",
    [
        AS_DICTS,
        AS_LISTS,
        [[*row, 0.9, 0.8] for row in AS_LISTS],
        [[index, *row] for index, row in enumerate(AS_LISTS)],
        [AS_DICTS],
        {"poseWorldLandmarks": AS_DICTS},
        {"pose_world_landmarks": [AS_LISTS], "pose_landmarks": [3]},
        {"pose_world_landmarks": {"landmark": AS_DICTS}},
        {"worldLandmarks": [AS_DICTS], "landmarks": [[3]]},
        {"landmarks": AS_DICTS, "timestamp": 3},
        {"keypoints3D": AS_DICTS, "keypoints": []},
        {"landmarks": dict(zip(NAMES[::-1], AS_DICTS[::-1], strict=True))},
    ],
)
@pytest.mark.parametrize("nobody", [None, [], {}])
def test_the_usual_shapes_of_a_frame_are_read(frame, nobody):
    for content in ([frame, nobody, frame], {"fps": 30, "frames": [frame, nobody, frame]}):
        bodies = read(content)
        assert bodies.shape == (1, 3, 33, 3)
        np.testing.assert_array_equal(bodies[0], [LANDMARKS, 0 * LANDMARKS, LANDMARKS])


def test_all_frames_may_stand_under_the_name_of_what_they_contain():
    np.testing.assert_array_equal(read({"pose_world_landmarks": [AS_LISTS]})[0, 0], LANDMARKS)


@pytest.mark.parametrize("wrap", [lambda frame: frame, lambda frame: {"landmarks": frame}])
def test_image_landmarks_are_refused_by_their_numbers(wrap):
    # A person of a third of the picture; depth is measured from the hips.
    body = walking("mediapipe33") * [1, -1, 1]
    body[..., 2] -= body[:, [23, 24], 2].mean(axis=1)[:, None]
    picture = body * 0.2 + [0.5, 0.5, 0]
    data = json.dumps([wrap(frame) for frame in picture.tolist()]).encode()
    with pytest.raises(RawFileError, match=r"image landmarks: .*pose_world_landmarks"):
        read_joints(data, "a.json", MEDIAPIPE_33)
    world = json.dumps([wrap(frame) for frame in body.tolist()]).encode()
    assert read_joints(world, "a.json", MEDIAPIPE_33).bodies.any()


def test_two_people_are_two_bodies():
    moved = (LANDMARKS + 3).tolist()
    bodies = read([{"worldLandmarks": [AS_LISTS, moved]}, {"worldLandmarks": [moved, AS_LISTS]}])
    np.testing.assert_array_equal(bodies[0, 1], LANDMARKS)
    np.testing.assert_array_equal(bodies[1, 1], LANDMARKS + 3)


@pytest.mark.parametrize(
    "name", ["poseLandmarks", "pose_landmarks", "image_landmarks", "keypoints"]
)
def test_image_landmarks_are_refused_by_their_name(name):
    for content in ([{name: AS_DICTS}], {name: [AS_DICTS]}):
        with pytest.raises(RawFileError, match=r"image landmarks .*; keep pose_world_landmarks"):
            read(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            [AS_DICTS[:32]],
            "frame 1: expected 33 landmarks of x, y, z and perhaps visibility, found 3",
        ),
        ([[row[:2] for row in AS_LISTS]], "found numbers of shape (33, 2)"),
        ([[{"x": 1}] * 33], "landmarks: expected lists of finite numbers"),
        ([AS_DICTS, 5], "frame 2: expected a list of landmarks, found 5"),
        ([{"landmarks": {"NOSE": [1, 2, 3]}}], "no joint is named left eye (inner)"),
        ([None, {}], "nobody in any of 2 frames"),
    ],
)
def test_other_structures_are_refused(content, reason):
    with pytest.raises(RawFileError, match=re.escape(reason)):
        read(content)


def test_another_skeleton_is_refused():
    with pytest.raises(RawFileError, match="use --layout mediapipe33, not ntu25"):
        read([AS_DICTS], NTU_25)
