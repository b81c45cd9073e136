"""The demo's body: from a pose to the 25 joints of a Kinect skeleton whose bones keep their lengths.

A body stands in its own frame: x to its left, y up, z ahead, metres, the floor at y = 0, the origin between its feet.
The trunk is posed by forward kinematics. Arms and legs are two bones that reach for a target with a hinge between
them, so that elbows and knees bend one way only and a foot that is told to stay does not slide.
"""

from typing import NamedTuple

import numpy as np

from scdnet.skeleton import NTU_25
from scdnet.synthetic.geometry import across, bend_limb, rotation, turned, turning, unit

CHANNELS = {  # what a pose says: name -> size. Sides are the person's own
    "pelvis": 3,  # shift from standing: left, up, ahead; leg lengths
    "trunk": 3,  # bend ahead, lean to the left, twist to the left; radians, spread over the spine
    "head": 3,  # the same against the chest
    "left_hand": 3,  # wrist seen from its shoulder, in the chest's frame: outwards, up, ahead; arm lengths
    "right_hand": 3,
    "left_elbow": 1,  # how far the elbow is lifted outwards from where it would hang, radians
    "right_elbow": 1,
    "heading": 1,  # of the whole body, turned to the left; radians
    "left_heading": 1,  # of the place where the foot stands
    "right_heading": 1,
    "left_foot": 3,  # shift of the ankle from its standing place: outwards, up, ahead; leg lengths
    "right_foot": 3,
    "left_toes": 1,  # how far the toes point below the horizontal, radians; the floor stops them
    "right_toes": 1,
}
_ENDS = np.cumsum(list(CHANNELS.values())).tolist()
SLICES = {
    name: slice(end - size, end) for (name, size), end in zip(CHANNELS.items(), _ENDS, strict=True)
}
NUM_CHANNELS = _ENDS[-1]
JOINT = {name: v for v, name in enumerate(NTU_25.joints)}

SPINE_SHARES = (
    0.55,
    0.30,
    0.15,
)  # of a trunk angle: at the pelvis, the middle of the spine, the chest
TRUNK_LIMITS_RAD = np.array([[-0.5, 1.4], [-0.5, 0.5], [-0.9, 0.9]])  # bend, lean, twist
HEAD_LIMITS_RAD = np.array([[-0.6, 0.9], [-0.6, 0.6], [-1.2, 1.2]])
SOLE = 0.01  # metres between the floor and a toe or an ankle that cannot go lower


class Shape(NamedTuple):
    """Lengths of one body, metres."""

    spine: float  # base to middle
    chest: float  # middle to shoulder height
    neck: float
    head: float
    shoulder: float  # from the spine outwards
    upper_arm: float
    forearm: float
    hand: float
    thumb: float
    fingers: float  # from the thumb to the tip of the hand, as the skeleton's tree has it
    hip: float  # from the spine outwards
    thigh: float
    shin: float
    foot: float
    ankle: float  # height above the floor

    @property
    def arm(self) -> float:
        """Shoulder to wrist."""
        return self.upper_arm + self.forearm

    @property
    def leg(self) -> float:
        """Hip to ankle."""
        return self.thigh + self.shin


def pose_body(
    pose: np.ndarray, shape: Shape, *, stance: float = 0.0, stagger: float = 0.0
) -> np.ndarray:
    """Joints (T, V, 3), metres in the body's frame, of the poses (T, P) held by a body of this shape.

    Standing, the left foot is `stance` outwards of its hip and `stagger` ahead, the right one as far outwards and
    behind; both in metres.
    """
    part = {name: pose[:, at] for name, at in SLICES.items()}
    joints = np.zeros((len(pose), NTU_25.num_joints, 3))
    pelvis_axes, chest_axes = _place_trunk(joints, part, shape)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        _place_arm(joints, part, shape, chest_axes, side=side, sign=sign)
        _place_leg(
            joints, part, shape, pelvis_axes, side=side, sign=sign, place=(stance, sign * stagger)
        )
    return joints


def standing_height(shape: Shape) -> float:
    """Height of the hips above the floor when a body stands, knees a little bent, metres."""
    return 0.985 * shape.leg + shape.ankle


def _place_trunk(
    joints: np.ndarray, part: dict[str, np.ndarray], shape: Shape
) -> tuple[np.ndarray, np.ndarray]:
    """Fill in spine, neck, head, shoulders and hips; returns the axes (T, 3, 3) of pelvis and chest."""
    trunk = part["trunk"].clip(*TRUNK_LIMITS_RAD.T)
    pelvis, middle, chest = np.cumsum(SPINE_SHARES)
    heading = turning(part["heading"])
    shares = (("pelvis", pelvis), ("middle", middle), ("chest", chest))
    axes = {name: heading @ rotation(share * trunk) for name, share in shares}
    head_axes = axes["chest"] @ rotation(part["head"].clip(*HEAD_LIMITS_RAD.T))
    base = turned(heading, part["pelvis"] * shape.leg + [0, standing_height(shape), 0])
    bones = (  # joint, what it hangs on, whose axes, offset
        ("middle of spine", "base of spine", axes["pelvis"], (0, shape.spine, 0)),
        ("spine at shoulders", "middle of spine", axes["middle"], (0, shape.chest, 0)),
        ("neck", "spine at shoulders", axes["chest"], (0, shape.neck, 0.01)),
        ("head", "neck", head_axes, (0, shape.head, 0.02)),
        ("left shoulder", "spine at shoulders", axes["chest"], (shape.shoulder, -0.04, 0)),
        ("right shoulder", "spine at shoulders", axes["chest"], (-shape.shoulder, -0.04, 0)),
        ("left hip", "base of spine", axes["pelvis"], (shape.hip, -0.02, 0)),
        ("right hip", "base of spine", axes["pelvis"], (-shape.hip, -0.02, 0)),
    )
    joints[:, JOINT["base of spine"]] = base
    for joint, parent, frame, offset in bones:
        joints[:, JOINT[joint]] = joints[:, JOINT[parent]] + frame @ np.array(offset)
    return axes["pelvis"], axes["chest"]


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
    reach = turned(axes, part[f"{side}_hand"] * outwards * shape.arm)
    lift = part[f"{side}_elbow"]
    hanging, lifted = (
        np.array([0.3, -0.75, -0.6]),
        np.array([0.9, 0.45, -0.1]),
    )  # where an elbow points: outwards, up, ahead
    pole = (np.cos(lift) * hanging + np.sin(lift) * lifted) * outwards
    elbow, wrist, bulge = bend_limb(
        shoulder, shoulder + reach, turned(axes, pole), (shape.upper_arm, shape.forearm)
    )
    along = unit(wrist - elbow)
    thumb_side = across(-bulge, along)  # the way the elbow flexes: of a hanging arm, ahead
    hand = wrist + shape.hand * along
    thumb = hand + shape.thumb * (0.6 * along + 0.8 * thumb_side)
    tip = thumb + shape.fingers * (0.8 * along - 0.6 * thumb_side)
    names = ("elbow", "wrist", "hand")
    for name, place in zip(names, (elbow, wrist, hand), strict=True):
        joints[:, JOINT[f"{side} {name}"]] = place
    joints[:, JOINT[f"{side} thumb"]], joints[:, JOINT[f"tip of {side} hand"]] = thumb, tip


def _place_leg(
    joints: np.ndarray,
    part: dict[str, np.ndarray],
    shape: Shape,
    axes: np.ndarray,
    *,
    side: str,
    sign: float,
    place: tuple,
) -> None:
    outwards = np.array([sign, 1, 1])
    standing = np.array([sign * (shape.hip + place[0]), shape.ankle, place[1]])
    heading = turning(part[f"{side}_heading"])
    target = turned(heading, standing + part[f"{side}_foot"] * outwards * shape.leg)
    target[:, 1] = target[:, 1].clip(SOLE)
    pole = axes @ np.array([0.15 * sign, 0.3, 1.0])  # knees point ahead
    knee, ankle, _ = bend_limb(
        joints[:, JOINT[f"{side} hip"]], target, pole, (shape.thigh, shape.shin)
    )
    lowest = np.arcsin(((ankle[:, 1] - SOLE) / shape.foot).clip(-1, 1))
    pitch = np.minimum(part[f"{side}_toes"][:, 0], lowest)
    toes = np.stack(
        [0.2 * sign * np.cos(pitch), -np.sin(pitch), np.sqrt(1 - 0.2**2) * np.cos(pitch)], axis=-1
    )
    for name, position in (
        ("knee", knee),
        ("ankle", ankle),
        ("foot", ankle + shape.foot * turned(heading, toes)),
    ):
        joints[:, JOINT[f"{side} {name}"]] = position
