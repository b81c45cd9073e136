"""Joint layouts of custom recordings (docs/data/own.md), and their conversion to NTU_25."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scdnet.skeleton import NTU_25

# The joints to compute, each as a weighted sum of others. The weights sum to 1: 0.65 a + 0.35 b
# lies between a and b, 2 a - b beyond a. Rules of left joints are mirrored to give the right ones.
Rules = Mapping[str, Mapping[str, float]]

OTHER_SIDE = {"left": "right", "right": "left"}

# Rules for joints of NTU_25 that a layout lacks, from other joints of NTU_25. Measured on
# IntelliRehabDS (Kinect v2, 188 recordings, 14,142 frames), the median errors are 4 mm, 11 mm,
# 34 mm and 50 mm. The joints do not tell which way the thumb points.
FILLED: Rules = {
    "middle of spine": {"base of spine": 0.42, "spine at shoulders": 0.58},
    "neck": {"spine at shoulders": 0.65, "head": 0.35},
    "tip of left hand": {"left hand": 2, "left wrist": -1},
    "left thumb": {"left hand": 1.15, "left wrist": -0.15},
}


@dataclass(frozen=True)
class Layout:
    """The joints of one capture system, in their published order.

    Those with a name of NTU_25 are that joint; `rules` compute other joints of NTU_25.
    """

    joints: tuple[str, ...]
    rules: Rules


LAYOUTS = {
    "ntu25": Layout(NTU_25.joints, rules={}),
    # Source of the order: NUI_SKELETON_POSITION_INDEX, Kinect for Windows SDK 1.8. The center of
    # hips and the spine are not used: in recordings of UTKinect-Action3D and MSRC-12 they lie 7 and
    # 13 to 14 cm above the hips, where base and middle of the spine of Kinect v2 lie 0 and 29 cm
    # above them. The center of shoulders is as high in both: 42 to 51 cm there, 51 cm in Kinect v2.
    "kinect_v1_20": Layout(
        joints=(
            "center of hips", "spine", "center of shoulders", "head",
            "left shoulder", "left elbow", "left wrist", "left hand",
            "right shoulder", "right elbow", "right wrist", "right hand",
            "left hip", "left knee", "left ankle", "left foot",
            "right hip", "right knee", "right ankle", "right foot",
        ),
        rules={
            "base of spine": {"left hip": 0.5, "right hip": 0.5},
            "spine at shoulders": {"center of shoulders": 1},
        },
    ),
    # Source of the order: MediaPipe Pose, pose landmarks. Index and pinky are knuckles. The palm
    # is two thirds of the way to them; that is where Kinect v2 has its hand.
    "mediapipe33": Layout(
        joints=(
            "nose", "left eye (inner)", "left eye", "left eye (outer)",
            "right eye (inner)", "right eye", "right eye (outer)",
            "left ear", "right ear", "mouth (left)", "mouth (right)",
            "left shoulder", "right shoulder", "left elbow", "right elbow",
            "left wrist", "right wrist",
            "left pinky", "right pinky", "left index", "right index", "left thumb", "right thumb",
            "left hip", "right hip", "left knee", "right knee", "left ankle", "right ankle",
            "left heel", "right heel", "left foot index", "right foot index",
        ),
        rules={
            "base of spine": {"left hip": 0.5, "right hip": 0.5},
            "spine at shoulders": {"left shoulder": 0.5, "right shoulder": 0.5},
            "head": {"left ear": 0.5, "right ear": 0.5},
            "left hand": {"left wrist": 1 / 3, "left index": 1 / 3, "left pinky": 1 / 3},
            "left foot": {"left foot index": 1},
        },
    ),
}  # fmt: skip


def joint_matrix(layout: Layout) -> np.ndarray:
    """Return (25, V) float64: the joints of NTU_25 as weighted sums of the joints of `layout`."""
    known = dict(zip(layout.joints, np.eye(len(layout.joints)), strict=True))
    known |= _apply_rules(layout.rules, known)
    known = _apply_rules(FILLED, known) | known
    return np.stack([known[joint] for joint in NTU_25.joints])


def filled_joints(layout: Layout) -> tuple[str, ...]:
    """List the joints of NTU_25 that are not plain copies of joints of `layout`."""
    is_copy = (joint_matrix(layout) == 1).any(axis=1)
    return tuple(joint for joint, copied in zip(NTU_25.joints, is_copy, strict=True) if not copied)


def _apply_rules(rules: Rules, known: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Compute the joints of `rules`, left and right, from `known` joints: (V,) each."""
    return {
        side(name): np.sum([w * known[side(joint)] for joint, w in weights.items()], axis=0)
        for side in (str, _mirrored)
        for name, weights in rules.items()
    }


def _mirrored(joint: str) -> str:
    return re.sub("left|right", lambda side: OTHER_SIDE[side[0]], joint)
