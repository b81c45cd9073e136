"""The built-in skeletons, and skeletons of one's own (docs/data/skeletons.md)."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from scdnet.errors import ScdnetError
from scdnet.skeleton import JointSet, Skeleton, check_skeleton

OTHER_SIDE = {"left": "right", "right": "left"}
# The keys of a skeleton file.
KEYS = ("joints", "parents", "mirror", "dims", "centre", "spine", "shoulders")


def mirrored_name(joint: str) -> str:
    """Return the name of a joint on the other side: left and right are exchanged."""
    return re.sub("left|right", lambda side: OTHER_SIDE[side[0]], joint)


def _skeleton(
    name: str,
    joints: tuple[str, ...],
    parents: tuple[int, ...],
    *,
    center: JointSet,
    spine: tuple[JointSet, JointSet],
    shoulders: tuple[int, int],
    dims: int = 3,
) -> Skeleton:
    """Return a skeleton whose joints are named by side."""
    left, right = shoulders
    return Skeleton(
        name=name,
        joints=joints,
        parents=parents,
        mirror=tuple(joints.index(mirrored_name(joint)) for joint in joints),
        center=center,
        spine=spine,
        shoulders=((left,), (right,)),
        dims=dims,
    )


# Kinect v2. Source: Shahroudy et al. 2016, fig. 1; the bones are the pairs of the SCD-Net release.
NTU_25 = _skeleton(
    "ntu25",
    joints=(
        "base of spine", "middle of spine", "neck", "head",
        "left shoulder", "left elbow", "left wrist", "left hand",
        "right shoulder", "right elbow", "right wrist", "right hand",
        "left hip", "left knee", "left ankle", "left foot",
        "right hip", "right knee", "right ankle", "right foot",
        "spine at shoulders", "tip of left hand", "left thumb", "tip of right hand", "right thumb",
    ),
    parents=(
        1, 20, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 20, 22, 7, 24, 11,
    ),
    center=(1,),
    spine=((0,), (1,)),
    shoulders=(4, 8),
)  # fmt: skip

# Kinect v1. Source: NUI_SKELETON_POSITION_INDEX, Kinect for Windows SDK 1.8. The spine runs to the
# shoulders: from the hips to the joint "spine" it measures 1 to 7 cm.
KINECT_V1_20 = _skeleton(
    "kinect_v1_20",
    joints=(
        "center of hips", "spine", "center of shoulders", "head",
        "left shoulder", "left elbow", "left wrist", "left hand",
        "right shoulder", "right elbow", "right wrist", "right hand",
        "left hip", "left knee", "left ankle", "left foot",
        "right hip", "right knee", "right ankle", "right foot",
    ),
    parents=(0, 0, 1, 2, 2, 4, 5, 6, 2, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18),
    center=(1,),
    spine=((0,), (2,)),
    shoulders=(4, 8),
)  # fmt: skip

# Azure Kinect. Source: k4abt_joint_id_t and its hierarchy, Azure Kinect Body Tracking SDK.
AZURE_32 = _skeleton(
    "azure32",
    joints=(
        "pelvis", "navel", "chest", "neck",
        "left clavicle", "left shoulder", "left elbow", "left wrist",
        "left hand", "tip of left hand", "left thumb",
        "right clavicle", "right shoulder", "right elbow", "right wrist",
        "right hand", "tip of right hand", "right thumb",
        "left hip", "left knee", "left ankle", "left foot",
        "right hip", "right knee", "right ankle", "right foot",
        "head", "nose", "left eye", "left ear", "right eye", "right ear",
    ),
    parents=(
        0, 0, 1, 2, 2, 4, 5, 6, 7, 8, 7, 2, 11, 12, 13, 14, 15, 14,
        0, 18, 19, 20, 0, 22, 23, 24, 3, 26, 26, 26, 26, 26,
    ),
    center=(1,),
    spine=((0,), (1,)),
    shoulders=(5, 12),
)  # fmt: skip

# Source of the order: MediaPipe Pose, pose landmarks. Their own connections form three pieces; the
# nose joins them, as the only joint on the midline.
MEDIAPIPE_33 = _skeleton(
    "mediapipe33",
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
    parents=(
        0, 0, 1, 2, 0, 4, 5, 3, 6, 0, 0, 0, 0, 11, 12, 13, 14, 15, 16, 15, 16, 15, 16,
        11, 12, 23, 24, 25, 26, 27, 28, 29, 30,
    ),
    center=(11, 12, 23, 24),
    spine=((23, 24), (11, 12)),
    shoulders=(11, 12),
)  # fmt: skip

# Human3.6M with 17 joints. Source of the order: VideoPose3D and MotionBERT.
H36M_17 = _skeleton(
    "h36m17",
    joints=(
        "pelvis", "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
        "spine", "thorax", "neck", "head",
        "left shoulder", "left elbow", "left wrist",
        "right shoulder", "right elbow", "right wrist",
    ),
    parents=(0, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
    center=(7,),
    spine=((0,), (8,)),
    shoulders=(11, 14),
)  # fmt: skip

# OpenNI. Source of the order: nite::JointType, NiTE 2.
OPENNI_15 = _skeleton(
    "openni15",
    joints=(
        "head", "neck", "left shoulder", "right shoulder", "left elbow", "right elbow",
        "left hand", "right hand", "torso", "left hip", "right hip", "left knee", "right knee",
        "left foot", "right foot",
    ),
    parents=(1, 8, 1, 1, 2, 3, 4, 5, 8, 8, 8, 9, 10, 11, 12),
    center=(8,),
    spine=((9, 10), (1,)),
    shoulders=(2, 3),
)  # fmt: skip

# SMPL. Source: Loper et al. 2015, the kinematic tree of the released model.
SMPL_24 = _skeleton(
    "smpl24",
    joints=(
        "pelvis", "left hip", "right hip", "spine 1", "left knee", "right knee", "spine 2",
        "left ankle", "right ankle", "spine 3", "left foot", "right foot", "neck",
        "left collar", "right collar", "head", "left shoulder", "right shoulder",
        "left elbow", "right elbow", "left wrist", "right wrist", "left hand", "right hand",
    ),
    parents=(
        0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21,
    ),
    center=(6,),
    spine=((0,), (12,)),
    shoulders=(16, 17),
)  # fmt: skip

# COCO key points. Source: Lin et al. 2014. There is neither pelvis nor neck: arms and legs hang on
# the nose by the shoulders.
COCO_17 = _skeleton(
    "coco17",
    joints=(
        "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder",
        "right shoulder", "left elbow", "right elbow", "left wrist", "right wrist", "left hip",
        "right hip", "left knee", "right knee", "left ankle", "right ankle",
    ),
    parents=(0, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
    center=(11, 12),
    spine=((11, 12), (5, 6)),
    shoulders=(5, 6),
    dims=2,
)  # fmt: skip

# OpenPose BODY_25. Source: Cao et al. 2019 and its documentation of the output format.
OPENPOSE_25 = _skeleton(
    "openpose25",
    joints=(
        "nose", "neck", "right shoulder", "right elbow", "right wrist",
        "left shoulder", "left elbow", "left wrist", "middle of hips",
        "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
        "right eye", "left eye", "right ear", "left ear",
        "left big toe", "left small toe", "left heel",
        "right big toe", "right small toe", "right heel",
    ),
    parents=(
        1, 8, 1, 2, 3, 1, 5, 6, 8, 8, 9, 10, 8, 12, 13, 0, 0, 15, 16, 14, 19, 14, 11, 22, 11,
    ),
    center=(8,),
    spine=((8,), (1,)),
    shoulders=(5, 2),
    dims=2,
)  # fmt: skip

# Halpe with 26 key points. Source: Fang et al. 2022 (AlphaPose), the Halpe-FullBody annotation.
HALPE_26 = _skeleton(
    "halpe26",
    joints=(
        "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder",
        "right shoulder", "left elbow", "right elbow", "left wrist", "right wrist", "left hip",
        "right hip", "left knee", "right knee", "left ankle", "right ankle",
        "top of head", "neck", "middle of hips",
        "left big toe", "right big toe", "left small toe", "right small toe",
        "left heel", "right heel",
    ),
    parents=(
        18, 0, 0, 1, 2, 18, 18, 5, 6, 7, 8, 19, 19, 11, 12, 13, 14, 0, 19, 19,
        15, 16, 20, 21, 15, 16,
    ),
    center=(19,),
    spine=((19,), (18,)),
    shoulders=(5, 6),
    dims=2,
)  # fmt: skip

SKELETONS: Mapping[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        NTU_25, KINECT_V1_20, AZURE_32, MEDIAPIPE_33, H36M_17, OPENNI_15, SMPL_24,
        COCO_17, OPENPOSE_25, HALPE_26,
    )
}  # fmt: skip

# The skeleton of the paper and of the authors' checkpoints.
DEFAULT_SKELETON = NTU_25


def read_skeleton(path: Path) -> Skeleton:
    """Read a skeleton of one's own from a YAML file. Raises ScdnetError, naming the key.

    Source of the format: docs/data/skeletons.md.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScdnetError(f"{path}: no such skeleton file") from None
    # A date that is none raises ValueError, as text that is not UTF-8 does.
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ScdnetError(f"{path}: not a readable YAML file ({error})") from None
    if not isinstance(content, dict) or set(content) != set(KEYS):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else repr(content)
        raise ScdnetError(f"{path}: expected the keys {', '.join(KEYS)}, found {found}")
    try:
        skeleton = _from_names(path.stem, content)
        check_skeleton(skeleton)
    except ValueError as error:
        raise ScdnetError(f"{path}: {error}") from None
    return skeleton


def _from_names(name: str, content: Mapping[str, Any]) -> Skeleton:
    """Build a skeleton from the names of its joints. Raises ValueError."""
    joints = content["joints"]
    if not isinstance(joints, list) or not all(isinstance(joint, str) for joint in joints):
        raise ValueError(f"joints: expected a list of names, found {joints!r}")

    def index(key: str, joint: object) -> int:
        if joint not in joints:
            raise ValueError(f"{key}: {joint!r} is not one of the joints")
        return joints.index(joint)

    def indices(key: str, names: object) -> JointSet:
        return tuple(index(key, joint) for joint in (names if isinstance(names, list) else [names]))

    def two_sets(key: str) -> tuple[JointSet, JointSet]:
        pair = content[key]
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(f"{key}: expected two names or lists of names, found {pair!r}")
        return indices(key, pair[0]), indices(key, pair[1])

    parents = content["parents"]
    _check_named(joints, parents)
    mirror = dict(enumerate(range(len(joints))))
    pairs = content["mirror"]
    _check_pairs(pairs)
    for left, right in pairs:
        mirror |= {index("mirror", left): index("mirror", right)}
        mirror |= {index("mirror", right): index("mirror", left)}
    return Skeleton(
        name=name,
        joints=tuple(joints),
        parents=tuple(index("parents", parents[joint]) for joint in joints),
        mirror=tuple(mirror.values()),
        center=indices("centre", content["centre"]),
        spine=two_sets("spine"),
        shoulders=two_sets("shoulders"),
        dims=content["dims"],
    )


def _check_named(joints: Sequence[str], parents: object) -> None:
    """Raise ValueError unless the names of joints are distinct and each has a parent."""
    repeated = [joint for joint in joints if joints.count(joint) > 1]
    if repeated:
        raise ValueError(f"joints: expected distinct names, found {repeated[0]!r} more than once")
    expected = "parents: expected the name of the parent of each joint"
    if not isinstance(parents, dict):
        raise ValueError(expected)
    missing = [joint for joint in joints if joint not in parents]
    if missing:
        raise ValueError(f"{expected}, found none for {', '.join(missing)}")
    for joint in parents:
        if joint not in joints:
            raise ValueError(f"parents: {joint!r} is not one of the joints")


def _check_pairs(pairs: object) -> None:
    """Raise ValueError unless these are pairs of different joints."""
    if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise ValueError(f"mirror: expected a list of pairs of names, found {pairs!r}")
    for left, right in pairs:
        if left == right:
            raise ValueError(f"mirror: expected pairs of different joints, found {left!r} twice")
