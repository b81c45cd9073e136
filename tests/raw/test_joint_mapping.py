import numpy as np
import pytest

from scdnet.raw.joint_mapping import FILLED, MAPPINGS, filled_joints, joint_matrix
from scdnet.raw.normalize import select_bodies
from scdnet.raw.ntu import parse_skeleton
from scdnet.raw.raw_files import find_raw_files
from scdnet.skeletons import (
    AZURE_32,
    H36M_17,
    KINECT_V1_20,
    MEDIAPIPE_33,
    NTU_25,
    OPENNI_15,
    SKELETONS,
    SMPL_24,
    mirrored_name,
)
from tests.raw.walker import known_joints, walked, walking

# The documented errors in meters.
ERROR = {
    "middle of spine": 0.004,
    "neck": 0.011,
    "tip of left hand": 0.034,
    "left thumb": 0.05,
    "left hand": 0.033,
    "left foot": 0.095,
    "left wrist": 0.027,
    "left ankle": 0.079,
}
# The rules of joints that a layout lacks, whose other joints are those of ntu25.
GUESSED_BY = {
    "left hand": "h36m17",
    "left foot": "h36m17",
    "left wrist": "openni15",
    "left ankle": "openni15",
}


def test_the_joints_are_in_their_published_order():
    kinect = KINECT_V1_20.joints
    mediapipe = MEDIAPIPE_33.joints
    assert [len(kinect), len(mediapipe)] == [20, 33]
    assert [kinect[i] for i in (2, 4, 7, 11, 12, 19)] == [
        "center of shoulders", "left shoulder", "left hand", "right hand", "left hip", "right foot",
    ]  # fmt: skip
    assert [mediapipe[i] for i in (0, 3, 7, 9, 16, 17, 20, 23, 30, 31)] == [
        "nose", "left eye (outer)", "left ear", "mouth (left)", "right wrist", "left pinky",
        "right index", "left hip", "right heel", "left foot index",
    ]  # fmt: skip
    # The joints of the left have odd numbers.
    assert all(("left" in joint) == bool(i % 2) for i, joint in enumerate(mediapipe) if i >= 7)


def test_the_layout_of_the_store_is_copied():
    np.testing.assert_array_equal(joint_matrix(NTU_25), np.eye(25))
    assert filled_joints(NTU_25) == ()


def test_joints_that_are_no_plain_copies_are_filled():
    assert filled_joints(KINECT_V1_20) == (
        "base of spine", "middle of spine", "neck", "tip of left hand", "left thumb",
        "tip of right hand", "right thumb",
    )  # fmt: skip
    assert filled_joints(MEDIAPIPE_33) == (
        "base of spine", "middle of spine", "neck", "head", "left hand", "right hand",
        "spine at shoulders", "tip of left hand", "tip of right hand",
    )  # fmt: skip


@pytest.mark.parametrize("name", MAPPINGS)
def test_every_joint_moves_with_the_body(name):
    np.testing.assert_allclose(joint_matrix(SKELETONS[name]).sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("name", MAPPINGS)
def test_the_rule_of_a_right_joint_mirrors_that_of_the_left(name):
    joints = SKELETONS[name].joints
    matrix = joint_matrix(SKELETONS[name])
    mirror = [joints.index(mirrored_name(joint)) for joint in joints]
    np.testing.assert_array_equal(matrix[list(NTU_25.mirror)][:, mirror], matrix)


def worked_by_hand(source: dict[str, np.ndarray], joint: str, name: str) -> np.ndarray:
    """Return a filled joint of the left or the trunk, by the rules of docs/data/own.md."""
    hand = source.get("left hand")
    wrist = source["left wrist"]
    if name == "mediapipe33":
        hand = (wrist + source["left index"] + source["left pinky"]) / 3
        head = (source["left ear"] + source["right ear"]) / 2
        shoulders = (source["left shoulder"] + source["right shoulder"]) / 2
    else:
        head = source["head"]
        shoulders = source["center of shoulders"]
    hips = (source["left hip"] + source["right hip"]) / 2
    return {
        "base of spine": hips,
        "spine at shoulders": shoulders,
        "middle of spine": hips + 0.58 * (shoulders - hips),
        "neck": shoulders + 0.35 * (head - shoulders),
        "head": head,
        "left hand": hand,
        "tip of left hand": hand + (hand - wrist),
        "left thumb": hand + 0.15 * (hand - wrist),
    }[joint]


@pytest.mark.parametrize("name", ["kinect_v1_20", "mediapipe33"])
def test_filled_joints_are_those_worked_by_hand(name):
    positions = np.random.default_rng(0).normal(size=(len(SKELETONS[name].joints), 3))
    source = dict(zip(SKELETONS[name].joints, positions, strict=True))
    found = dict(zip(NTU_25.joints, joint_matrix(SKELETONS[name]) @ positions, strict=True))
    for joint in filled_joints(SKELETONS[name]):
        if "right" not in joint:
            expected = worked_by_hand(source, joint, name)
            np.testing.assert_allclose(found[joint], expected, atol=1e-12)


@pytest.mark.parametrize(("name", "foot"), [("kinect_v1_20", 15), ("mediapipe33", 31)])
def test_the_other_joints_are_copied(name, foot):
    positions = np.random.default_rng(0).normal(size=(len(SKELETONS[name].joints), 3))
    found = dict(zip(NTU_25.joints, joint_matrix(SKELETONS[name]) @ positions, strict=True))
    np.testing.assert_array_equal(found["left foot"], positions[foot])
    for joint in set(NTU_25.joints) & set(SKELETONS[name].joints):
        np.testing.assert_array_equal(found[joint], positions[SKELETONS[name].joints.index(joint)])


def test_joints_of_the_new_layouts_that_are_no_plain_copies():
    middle = ("middle of spine", "neck")
    tips = ("tip of left hand", "left thumb", "tip of right hand", "right thumb")
    assert filled_joints(AZURE_32) == middle
    assert filled_joints(SMPL_24) == (*middle, *tips)
    assert filled_joints(H36M_17) == (
        *middle, "head", "left hand", "right hand", "left foot", "right foot", *tips,
    )  # fmt: skip
    assert filled_joints(OPENNI_15) == (
        "base of spine", *middle, "left wrist", "right wrist", "left ankle", "right ankle", *tips,
    )  # fmt: skip


@pytest.mark.parametrize("name", MAPPINGS)
def test_one_body_in_every_layout_gives_the_same_joints(name):
    known = known_joints(name)
    found = joint_matrix(SKELETONS[name]) @ walking(name)
    np.testing.assert_allclose(found[:, known], walked()[:, known], atol=1e-12)


def test_the_rules_that_fill_fit_real_recordings_as_well_as_documented(shared):
    files = find_raw_files(shared / "data" / "irds_skeletons.zip", (".skeleton",))[::12]
    bodies = [select_bodies(parse_skeleton(file.read(), file.where))[0] for file in files]
    joints = np.concatenate([body[body.any(axis=(1, 2))] for body in bodies])
    at = dict(zip(NTU_25.joints, joints.swapaxes(0, 1), strict=True))
    guessed = {joint: MAPPINGS[layout][joint] for joint, layout in GUESSED_BY.items()}
    for joint, weights in {**FILLED, **guessed}.items():
        filled = sum(weight * at[other] for other, weight in weights.items())
        error = np.median(np.linalg.norm(filled - at[joint], axis=1))
        assert error == pytest.approx(ERROR[joint], rel=0.3)
