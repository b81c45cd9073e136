"""The demo's body: turns a pose into the 25 joints of a Kinect skeleton with fixed bone lengths.

A body stands in its own frame: x to its left, y up, z ahead, metres, the floor at y = 0, the origin
between its feet. The trunk is posed by forward kinematics. Arms and legs are two bones that reach
for a target with a hinge between them, so that elbows and knees bend one way only and a standing
foot does not slide.
"""

from typing import NamedTuple

import numpy as np

from scdnet.skeleton import NTU_25
from scdnet.synthetic.geometry import (
    bend_limb,
    euler_rotation,
    heading_rotation,
    normalize,
    perpendicular,
    rotate,
)

# The channels of a pose and their sizes; left and right are the person's own.
CHANNELS = {
    # Shift from standing: left, up, ahead; leg lengths.
    "pelvis": 3,
    # Bend ahead, lean to the left, twist to the left; radians, spread over the spine.
    "trunk": 3,
    # The same angles against the chest.
    "head": 3,
    # The wrist seen from its shoulder, in the chest's frame: outwards, up, ahead; arm lengths.
    "left_hand": 3,
    "right_hand": 3,
    # Lift of the elbow outwards from where it would hang, radians.
    "left_elbow": 1,
    "right_elbow": 1,
    # Turn of the whole body to the left, radians; below, the turns of the places of the feet.
    "heading": 1,
    "left_heading": 1,
    "right_heading": 1,
    # Shift of the ankle from its standing place: outwards, up, ahead; leg lengths.
    "left_foot": 3,
    "right_foot": 3,
    # Angle of the toes below the horizontal, radians; the floor stops them.
    "left_toes": 1,
    "right_toes": 1,
}
_ENDS = np.cumsum(list(CHANNELS.values())).tolist()
SLICES = {
    name: slice(end - size, end) for (name, size), end in zip(CHANNELS.items(), _ENDS, strict=True)
}
NUM_CHANNELS = _ENDS[-1]
JOINT = {name: v for v, name in enumerate(NTU_25.joints)}

# Shares of a trunk angle at the pelvis, the middle of the spine and the chest.
SPINE_SHARES = (0.55, 0.30, 0.15)
# Ranges of bend, lean and twist.
TRUNK_LIMITS_RAD = np.array([[-0.5, 1.4], [-0.5, 0.5], [-0.9, 0.9]])
HEAD_LIMITS_RAD = np.array([[-0.6, 0.9], [-0.6, 0.6], [-1.2, 1.2]])
# The least height of a toe or an ankle above the floor.
SOLE_M = 0.01
# Directions in which an elbow points when it hangs and when it is lifted: outwards, up, ahead.
HANGING_ELBOW = np.array([0.3, -0.75, -0.6])
LIFTED_ELBOW = np.array([0.9, 0.45, -0.1])


class Shape(NamedTuple):
    """Lengths of one body, metres."""

    # Base of the spine to its middle, and on to the height of the shoulders.
    spine: float
    chest: float
    neck: float
    head: float
    # Distance of a shoulder from the spine.
    shoulder: float
    upper_arm: float
    forearm: float
    hand: float
    thumb: float
    # Thumb to the tip of the hand, a bone in the skeleton's tree.
    fingers: float
    # Distance of a hip from the spine.
    hip: float
    thigh: float
    shin: float
    foot: float
    # Height of the ankle above the floor.
    ankle: float

    @property
    def arm(self) -> float:
        """Return the length from shoulder to wrist."""
        return self.upper_arm + self.forearm

    @property
    def leg(self) -> float:
        """Return the length from hip to ankle."""
        return self.thigh + self.shin


def pose_body(
    pose: np.ndarray, shape: Shape, *, stance: float = 0.0, stagger: float = 0.0
) -> np.ndarray:
    """Place the joints (T, V, 3), in metres, of a body of this shape in the poses (T, P).

    Standing, the left foot is `stance` outwards of its hip and `stagger` ahead, the right one as
    far outwards and behind; both in metres.
    """
    part = {name: pose[:, channels] for name, channels in SLICES.items()}
    joints = np.zeros((len(pose), NTU_25.num_joints, 3))
    pelvis_axes, chest_axes = _place_trunk(joints, part, shape)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        foot = (stance, sign * stagger)
        _place_arm(joints, part, shape, chest_axes, side=side, sign=sign)
        _place_leg(joints, part, shape, pelvis_axes, side=side, sign=sign, foot=foot)
    return joints


def _place_trunk(
    joints: np.ndarray, part: dict[str, np.ndarray], shape: Shape
) -> tuple[np.ndarray, np.ndarray]:
    """Place spine, neck, head, shoulders and hips; returns (T, 3, 3) axes of pelvis and chest."""
    trunk = part["trunk"].clip(*TRUNK_LIMITS_RAD.T)
    heading = heading_rotation(part["heading"])
    pelvis, middle, chest = (
        heading @ euler_rotation(share * trunk) for share in np.cumsum(SPINE_SHARES)
    )
    head = chest @ euler_rotation(part["head"].clip(*HEAD_LIMITS_RAD.T))
    # Standing, the knees are a little bent.
    hip_height = 0.985 * shape.leg + shape.ankle
    joints[:, JOINT["base of spine"]] = rotate(
        heading, part["pelvis"] * shape.leg + [0, hip_height, 0]
    )
    # Joint, parent joint, axes and offset from the parent in these axes.
    bones = (
        ("middle of spine", "base of spine", pelvis, (0, shape.spine, 0)),
        ("spine at shoulders", "middle of spine", middle, (0, shape.chest, 0)),
        ("neck", "spine at shoulders", chest, (0, shape.neck, 0.01)),
        ("head", "neck", head, (0, shape.head, 0.02)),
        ("left shoulder", "spine at shoulders", chest, (shape.shoulder, -0.04, 0)),
        ("right shoulder", "spine at shoulders", chest, (-shape.shoulder, -0.04, 0)),
        ("left hip", "base of spine", pelvis, (shape.hip, -0.02, 0)),
        ("right hip", "base of spine", pelvis, (-shape.hip, -0.02, 0)),
    )
    for joint, parent, axes, offset in bones:
        joints[:, JOINT[joint]] = joints[:, JOINT[parent]] + axes @ np.array(offset)
    return pelvis, chest


def _place_arm(
    joints: np.ndarray,
    part: dict[str, np.ndarray],
    shape: Shape,
    axes: np.ndarray,
    *,
    side: str,
    sign: float,
) -> None:
    outwards = np.array([sign, 1, 1])
    shoulder = joints[:, JOINT[f"{side} shoulder"]]
    reach = rotate(axes, part[f"{side}_hand"] * outwards * shape.arm)
    lift = part[f"{side}_elbow"]
    pole = (np.cos(lift) * HANGING_ELBOW + np.sin(lift) * LIFTED_ELBOW) * outwards
    elbow, wrist, bulge = bend_limb(
        shoulder, shoulder + reach, rotate(axes, pole), (shape.upper_arm, shape.forearm)
    )
    along = normalize(wrist - elbow)
    # The thumb points where the elbow flexes to: ahead, if the arm hangs.
    thumb_side = perpendicular(-bulge, along)
    hand = wrist + shape.hand * along
    thumb = hand + shape.thumb * (0.6 * along + 0.8 * thumb_side)
    tip = thumb + shape.fingers * (0.8 * along - 0.6 * thumb_side)
    for name, position in (
        (f"{side} elbow", elbow),
        (f"{side} wrist", wrist),
        (f"{side} hand", hand),
        (f"{side} thumb", thumb),
        (f"tip of {side} hand", tip),
    ):
        joints[:, JOINT[name]] = position


def _place_leg(
    joints: np.ndarray,
    part: dict[str, np.ndarray],
    shape: Shape,
    axes: np.ndarray,
    *,
    side: str,
    sign: float,
    foot: tuple[float, float],
) -> None:
    outwards = np.array([sign, 1, 1])
    standing = np.array([sign * (shape.hip + foot[0]), shape.ankle, foot[1]])
    heading = heading_rotation(part[f"{side}_heading"])
    target = rotate(heading, standing + part[f"{side}_foot"] * outwards * shape.leg)
    target[:, 1] = target[:, 1].clip(SOLE_M)
    # Knees point ahead.
    pole = axes @ np.array([0.15 * sign, 0.3, 1.0])
    hip = joints[:, JOINT[f"{side} hip"]]
    knee, ankle, _ = bend_limb(hip, target, pole, (shape.thigh, shape.shin))
    lowest = np.arcsin(((ankle[:, 1] - SOLE_M) / shape.foot).clip(-1, 1))
    pitch = np.minimum(part[f"{side}_toes"][:, 0], lowest)
    toes = np.stack(
        [0.2 * sign * np.cos(pitch), -np.sin(pitch), np.sqrt(1 - 0.2**2) * np.cos(pitch)], axis=-1
    )
    joints[:, JOINT[f"{side} knee"]] = knee
    joints[:, JOINT[f"{side} ankle"]] = ankle
    joints[:, JOINT[f"{side} foot"]] = ankle + shape.foot * rotate(heading, toes)
