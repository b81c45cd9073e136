"""The demo's body: turns a pose into the 25 joints of a Kinect skeleton with fixed bone lengths.

A body stands in its own frame: x to its left, y up, z ahead, meters, the floor at y = 0, the origin
between its feet. The trunk is posed by forward kinematics. Arms and legs are two bones that reach
for a target with a hinge between them, so that elbows and knees bend one way only and a standing
foot does not slide.
"""

from collections.abc import Mapping

import numpy as np

from scdnet.skeletons import NTU_25

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

# Ranges of bend, lean and twist.
TRUNK_LIMITS_RAD = np.array([[-0.5, 1.4], [-0.5, 0.5], [-0.9, 0.9]])
HEAD_LIMITS_RAD = np.array([[-0.6, 0.9], [-0.6, 0.6], [-1.2, 1.2]])
# Limits of elbows and knees; a stretched limb is not quite straight.
MIN_FLEXION_RAD = np.deg2rad(4)
MAX_FLEXION_RAD = np.deg2rad(150)
# The least height of a toe or an ankle above the floor.
SOLE_M = 0.01
# Directions in which an elbow points when it hangs and when it is lifted: outwards, up, ahead.
HANGING_ELBOW = np.array([0.3, -0.75, -0.6])
LIFTED_ELBOW = np.array([0.9, 0.45, -0.1])
# Lengths of a body in meters. The names are those of people.PROPORTIONS, `arm` and `leg`.
Lengths = Mapping[str, float]


def pose_body(
    pose: np.ndarray, lengths: Lengths, *, stance: float = 0.0, stagger: float = 0.0
) -> np.ndarray:
    """Place the joints (T, V, 3), in meters, of a body of these lengths in the poses (T, P).

    Standing, the left foot is `stance` outwards of its hip and `stagger` ahead, the right one as
    far outwards and behind; both in meters.
    """
    part = {name: pose[:, channels] for name, channels in SLICES.items()}
    joints = np.zeros((len(pose), NTU_25.num_joints, 3))
    pelvis_axes, chest_axes = _place_trunk(joints, part, lengths)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        outwards = np.array([sign, 1, 1])
        shift = (stance, 0, sign * stagger)
        _place_arm(joints, part, lengths, chest_axes, side=side, outwards=outwards)
        _place_leg(joints, part, lengths, pelvis_axes, side=side, outwards=outwards, shift=shift)
    return joints


def _place_trunk(
    joints: np.ndarray, part: dict[str, np.ndarray], lengths: Lengths
) -> tuple[np.ndarray, np.ndarray]:
    """Place spine, neck, head, shoulders and hips; returns (T, 3, 3) axes of pelvis and chest."""
    trunk = part["trunk"].clip(*TRUNK_LIMITS_RAD.T)
    heading = heading_rotation(part["heading"])
    # Shares of the angles at the pelvis, the middle of the spine and the chest.
    shares = np.cumsum([0.55, 0.30, 0.15])
    pelvis, middle, chest = (heading @ euler_rotation(share * trunk) for share in shares)
    head = chest @ euler_rotation(part["head"].clip(*HEAD_LIMITS_RAD.T))
    # Standing, the knees are a little bent.
    hip_height = 0.985 * lengths["leg"] + lengths["ankle"]
    joints[:, JOINT["base of spine"]] = rotate(
        heading, part["pelvis"] * lengths["leg"] + [0, hip_height, 0]
    )
    # Joint, parent joint, axes and offset from the parent in these axes.
    bones = (
        ("middle of spine", "base of spine", pelvis, (0, lengths["spine"], 0)),
        ("spine at shoulders", "middle of spine", middle, (0, lengths["chest"], 0)),
        ("neck", "spine at shoulders", chest, (0, lengths["neck"], 0.01)),
        ("head", "neck", head, (0, lengths["head"], 0.02)),
        ("left shoulder", "spine at shoulders", chest, (lengths["shoulder"], -0.04, 0)),
        ("right shoulder", "spine at shoulders", chest, (-lengths["shoulder"], -0.04, 0)),
        ("left hip", "base of spine", pelvis, (lengths["hip"], -0.02, 0)),
        ("right hip", "base of spine", pelvis, (-lengths["hip"], -0.02, 0)),
    )
    for joint, parent, axes, offset in bones:
        joints[:, JOINT[joint]] = joints[:, JOINT[parent]] + axes @ np.array(offset)
    return pelvis, chest


def _place_arm(
    joints: np.ndarray,
    part: dict[str, np.ndarray],
    lengths: Lengths,
    axes: np.ndarray,
    *,
    side: str,
    outwards: np.ndarray,
) -> None:
    shoulder = joints[:, JOINT[f"{side} shoulder"]]
    reach = rotate(axes, part[f"{side}_hand"] * outwards * lengths["arm"])
    lift = part[f"{side}_elbow"]
    pole = (np.cos(lift) * HANGING_ELBOW + np.sin(lift) * LIFTED_ELBOW) * outwards
    elbow, wrist, bulge = bend_limb(
        shoulder, shoulder + reach, rotate(axes, pole), (lengths["upper_arm"], lengths["forearm"])
    )
    along = normalize(wrist - elbow)
    # The thumb points where the elbow flexes to: ahead, if the arm hangs.
    thumb_side = perpendicular(-bulge, along)
    hand = wrist + lengths["hand"] * along
    thumb = hand + lengths["thumb"] * (0.6 * along + 0.8 * thumb_side)
    tip = thumb + lengths["fingers"] * (0.8 * along - 0.6 * thumb_side)
    names = (
        f"{side} elbow",
        f"{side} wrist",
        f"{side} hand",
        f"{side} thumb",
        f"tip of {side} hand",
    )
    joints[:, [JOINT[name] for name in names]] = np.stack([elbow, wrist, hand, thumb, tip], axis=1)


def _place_leg(
    joints: np.ndarray,
    part: dict[str, np.ndarray],
    lengths: Lengths,
    axes: np.ndarray,
    *,
    side: str,
    outwards: np.ndarray,
    shift: tuple[float, float, float],
) -> None:
    standing = (np.array([lengths["hip"], lengths["ankle"], 0]) + shift) * outwards
    heading = heading_rotation(part[f"{side}_heading"])
    target = rotate(heading, standing + part[f"{side}_foot"] * outwards * lengths["leg"])
    target[:, 1] = target[:, 1].clip(SOLE_M)
    # Knees point ahead.
    pole = axes @ ([0.15, 0.3, 1.0] * outwards)
    hip = joints[:, JOINT[f"{side} hip"]]
    knee, ankle, _ = bend_limb(hip, target, pole, (lengths["thigh"], lengths["shin"]))
    lowest = np.arcsin(((ankle[:, 1] - SOLE_M) / lengths["foot"]).clip(-1, 1))
    pitch = np.minimum(part[f"{side}_toes"][:, 0], lowest)
    toes = np.stack(
        [0.2 * np.cos(pitch), -np.sin(pitch), np.sqrt(1 - 0.2**2) * np.cos(pitch)], axis=-1
    )
    tip = ankle + lengths["foot"] * rotate(heading, toes * outwards)
    names = (f"{side} knee", f"{side} ankle", f"{side} foot")
    joints[:, [JOINT[name] for name in names]] = np.stack([knee, ankle, tip], axis=1)


def euler_rotation(angles_rad: np.ndarray) -> np.ndarray:
    """Turn (T, 3) bend, lean, twist into (T, 3, 3) matrices R_y(twist) R_x(bend) R_z(-lean)."""
    cos = np.cos(angles_rad)
    sin = np.sin(angles_rad)
    one = np.ones(len(cos))
    zero = np.zeros(len(cos))
    bend = np.stack(
        [one, zero, zero, zero, cos[:, 0], -sin[:, 0], zero, sin[:, 0], cos[:, 0]], axis=-1
    )
    lean = np.stack(
        [cos[:, 1], sin[:, 1], zero, -sin[:, 1], cos[:, 1], zero, zero, zero, one], axis=-1
    )
    twist = np.stack(
        [cos[:, 2], zero, sin[:, 2], zero, one, zero, -sin[:, 2], zero, cos[:, 2]], axis=-1
    )
    return twist.reshape(-1, 3, 3) @ bend.reshape(-1, 3, 3) @ lean.reshape(-1, 3, 3)


def heading_rotation(angle_rad: np.ndarray) -> np.ndarray:
    """Turn (T, 1) angles to the left into (T, 3, 3) matrices."""
    return euler_rotation(np.pad(angle_rad, ((0, 0), (2, 0))))


def rotate(axes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Multiply axes (T, 3, 3) and vectors (T, 3) frame by frame; returns (T, 3)."""
    return np.einsum("tij,tj->ti", axes, vectors)


def normalize(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors (..., 3) to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def perpendicular(vectors: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return the unit vectors (T, 3) along the part of `vectors` at right angles to unit `axis`."""
    return normalize(vectors - (vectors * axis).sum(axis=-1, keepdims=True) * axis)


def bend_limb(
    start: np.ndarray, target: np.ndarray, pole: np.ndarray, lengths: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reach from `start` for `target` with two bones.

    Returns the middle joint, the end and the direction in which the middle joint bulges, each
    (T, 3); it bulges towards `pole` (T, 3). A target out of reach, or too near for the hinge, is
    approached as far as the limits of flexion allow. Source: law of cosines.
    """
    a, b = lengths
    nearest, farthest = (
        np.sqrt(a * a + b * b + 2 * a * b * np.cos(flexion))
        for flexion in (MAX_FLEXION_RAD, MIN_FLEXION_RAD)
    )
    distance = np.linalg.norm(target - start, axis=-1, keepdims=True)
    ahead = (target - start) / distance
    distance = distance.clip(nearest, farthest)
    bulge = perpendicular(pole, ahead)
    cos = (a * a + distance**2 - b * b) / (2 * a * distance)
    middle = start + a * (cos * ahead + np.sqrt(1 - cos**2) * bulge)
    return middle, start + distance * ahead, bulge
