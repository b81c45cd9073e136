import json
import re

import numpy as np
import pytest

from scdnet.raw.custom.json_file import read_json
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import AZURE_32, NTU_25

# The names of the SDK, in its order.
NAMES = [
    "PELVIS", "SPINE_NAVEL", "SPINE_CHEST", "NECK", "CLAVICLE_LEFT", "SHOULDER_LEFT", "ELBOW_LEFT",
    "WRIST_LEFT", "HAND_LEFT", "HANDTIP_LEFT", "THUMB_LEFT", "CLAVICLE_RIGHT", "SHOULDER_RIGHT",
    "ELBOW_RIGHT", "WRIST_RIGHT", "HAND_RIGHT", "HANDTIP_RIGHT", "THUMB_RIGHT", "HIP_LEFT",
    "KNEE_LEFT", "ANKLE_LEFT", "FOOT_LEFT", "HIP_RIGHT", "KNEE_RIGHT", "ANKLE_RIGHT", "FOOT_RIGHT",
    "HEAD", "NOSE", "EYE_LEFT", "EAR_LEFT", "EYE_RIGHT", "EAR_RIGHT",
]  # fmt: skip
POSITIONS = 1 + np.arange(96.0).reshape(32, 3)


def body(number: int, positions: np.ndarray = POSITIONS) -> dict:
    return {"body_id": number, "joint_positions": positions.tolist(), "joint_orientations": []}


def read(frames: object, names: object = NAMES, skeleton=AZURE_32) -> np.ndarray:
    content = {"joint_names": names, "frames": frames, "bone_list": []}
    return read_json(json.dumps(content).encode(), "a.json", skeleton).bodies


def test_bodies_are_told_apart_by_their_ids():
    frames = [{"bodies": [body(7), body(2, 2 * POSITIONS)]}, {"bodies": []},
              {"bodies": [body(2, 3 * POSITIONS)]}]  # fmt: skip
    bodies = read(frames)
    assert bodies.shape == (2, 3, 32, 3)
    np.testing.assert_array_equal(bodies[:, :, 0, 0], [[1, 0, 0], [2, 0, 3]])


def test_joints_are_ordered_by_name():
    order = np.random.default_rng(0).permutation(32)
    frames = [{"bodies": [body(1, POSITIONS[order])]}]
    np.testing.assert_array_equal(read(frames, [NAMES[i] for i in order])[0, 0], POSITIONS)


@pytest.mark.parametrize(
    ("frames", "names", "reason"),
    [
        ([], NAMES, "no body in any of 0 frames"),
        ([{"bodies": []}], NAMES, "no body in any of 1 frames"),
        ({}, NAMES, "expected a list 'frames'"),
        ([{"bodies": 3}], NAMES, "frame 1: expected a list 'bodies'"),
        ([4], NAMES, "frame 1: expected a list 'bodies'"),
        ([{"bodies": [{"body_id": 1}]}], NAMES, "a.json, frame 1: a body has no 'joint_positions'"),
        ([{"bodies": [body("x")]}], NAMES, "expected an integer 'body_id', found 'x'"),
        ([{"bodies": [body(1, POSITIONS[:31])]}], NAMES, "expected 32 x 3 numbers, found (31, 3)"),
        ([{"bodies": [body(1), body(1)]}], NAMES, "frame 1: body_id 1 occurs twice"),
        ([{"bodies": [body(1)]}], NAMES[:-1], "no joint is named right ear, of azure32"),
        ([{"bodies": [body(1)]}], [*NAMES[:-1], "NECK"], "expected one joint 'neck', found 'NECK'"),
        ([{"bodies": [body(1)]}], 3, "expected a list of names as 'joint_names'"),
    ],
)
def test_other_structures_are_refused(frames, names, reason):
    with pytest.raises(RawFileError, match=re.escape(reason)):
        read(frames, names)


def test_another_skeleton_is_refused_with_the_one_that_fits():
    with pytest.raises(
        RawFileError, match=r"no joint is named .*, of ntu25; .*use --layout azure32"
    ):
        read([{"bodies": [body(1)]}], skeleton=NTU_25)
