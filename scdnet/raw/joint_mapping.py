"""Mapping of the built-in 3-D skeletons to NTU_25 (docs/data/skeletons.md)."""

from collections.abc import Mapping

import numpy as np

from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25, SKELETONS, mirrored_name

# The joints to compute, each as a weighted sum of others. The weights sum to 1: 0.65 a + 0.35 b
# lies between a and b, 2 a - b beyond a. Rules of left joints are mirrored to give the right ones.
Rules = Mapping[str, Mapping[str, float]]

# Rules for joints of NTU_25 that a skeleton lacks, from other joints of NTU_25. Measured on
# IntelliRehabDS (Kinect v2, 188 recordings, 14,142 frames), the median errors are 4 mm, 11 mm,
# 34 mm and 50 mm. The joints do not tell which way the thumb points.
FILLED: Rules = {
    "middle of spine": {"base of spine": 0.42, "spine at shoulders": 0.58},
    "neck": {"spine at shoulders": 0.65, "head": 0.35},
    "tip of left hand": {"left hand": 2, "left wrist": -1},
    "left thumb": {"left hand": 1.15, "left wrist": -0.15},
}

# Rules for other joints of NTU_25, by the name of a skeleton. Joints of the same name are the same.
MAPPINGS: Mapping[str, Rules] = {
    "ntu25": {},
    # The center of hips and the spine are not used: in recordings of UTKinect-Action3D and
    # MSRC-12 they lie 7 and 13 to 14 cm above the hips, where base and middle of the spine of
    # Kinect v2 lie 0 and 29 cm above them. The center of shoulders is as high in both: 42 to 51 cm
    # there, 51 cm in Kinect v2.
    "kinect_v1_20": {
        "base of spine": {"left hip": 0.5, "right hip": 0.5},
        "spine at shoulders": {"center of shoulders": 1},
    },
    # Index and pinky are knuckles. The palm is two thirds of the way to them; that is where
    # Kinect v2 has its hand.
    "mediapipe33": {
        "base of spine": {"left hip": 0.5, "right hip": 0.5},
        "spine at shoulders": {"left shoulder": 0.5, "right shoulder": 0.5},
        "head": {"left ear": 0.5, "right ear": 0.5},
        "left hand": {"left wrist": 1 / 3, "left index": 1 / 3, "left pinky": 1 / 3},
        "left foot": {"left foot index": 1},
    },
    # The neck of Azure Kinect lies where that of SMPL and the thorax of Human3.6M lie: at the
    # shoulders. The middle of the spine is filled from there; no sensor has it at the same height.
    "azure32": {
        "base of spine": {"pelvis": 1},
        "spine at shoulders": {"neck": 1},
        "neck": {"neck": 0.65, "head": 0.35},
    },
    # Its neck lies between neck and nose, its head is the top of the head. It has neither hands nor
    # feet: on IntelliRehabDS the rules of the hand and the foot err by 33 mm and 95 mm.
    "h36m17": {
        "base of spine": {"pelvis": 1},
        "spine at shoulders": {"thorax": 1},
        "neck": {"thorax": 0.65, "neck": 0.175, "head": 0.175},
        "head": {"neck": 0.5, "head": 0.5},
        "left hand": {"left wrist": 1.25, "left elbow": -0.25},
        "left foot": {"left ankle": 1.15, "left knee": -0.15},
    },
    # It has neither wrists nor ankles: on IntelliRehabDS the rules err by 27 mm and 79 mm.
    "openni15": {
        "base of spine": {"left hip": 0.5, "right hip": 0.5},
        "spine at shoulders": {"neck": 1},
        "neck": {"neck": 0.65, "head": 0.35},
        "left wrist": {"left hand": 0.8, "left elbow": 0.2},
        "left ankle": {"left foot": 0.8, "left knee": 0.2},
    },
    "smpl24": {
        "base of spine": {"pelvis": 1},
        "spine at shoulders": {"neck": 1},
        "neck": {"neck": 0.65, "head": 0.35},
    },
}


def can_be_mapped(skeleton: Skeleton) -> bool:
    """Check whether a skeleton can be mapped to NTU_25.

    A skeleton of one's own cannot, even if it has the name of a built-in one.
    """
    return skeleton.name in MAPPINGS and skeleton == SKELETONS[skeleton.name]


def joint_matrix(skeleton: Skeleton) -> np.ndarray:
    """Return (25, V) float64: the joints of NTU_25 as weighted sums of those of `skeleton`.

    Its name is a key of MAPPINGS.
    """
    known = dict(zip(skeleton.joints, np.eye(skeleton.num_joints), strict=True))
    known |= _apply_rules(MAPPINGS[skeleton.name], known)
    filled = {name: rule for name, rule in FILLED.items() if name not in known}
    known |= _apply_rules(filled, known)
    return np.stack([known[joint] for joint in NTU_25.joints])


def filled_joints(skeleton: Skeleton) -> tuple[str, ...]:
    """List the joints of NTU_25 that are not plain copies of joints of `skeleton`."""
    is_copy = (joint_matrix(skeleton) == 1).any(axis=1)
    return tuple(joint for joint, copied in zip(NTU_25.joints, is_copy, strict=True) if not copied)


def _apply_rules(rules: Rules, known: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Compute the joints of `rules`, left and right, from `known` joints: (V,) each."""
    return {
        side(name): np.sum([w * known[side(joint)] for joint, w in weights.items()], axis=0)
        for side in (str, mirrored_name)
        for name, weights in rules.items()
    }
