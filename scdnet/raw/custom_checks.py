"""Checks of the positions of custom recordings (docs/data/own.md): lost joints, wrong kinds."""

from typing import NoReturn

import numpy as np

from scdnet.raw.custom_reading import Reading
from scdnet.raw.raw_files import MAX_COORDINATE, RawFileError
from scdnet.skeleton import Skeleton, mean_joint
from scdnet.skeletons import MEDIAPIPE_33, SKELETONS

# A bone of the first frame that is longer than this many times the median of the other frames
# leads to a joint that was lost.
MAX_BONE_RATIO = 2
# The extent along z is 0.09 to 0.6 of the larger of the other two in UI-PRMD, IntelliRehabDS,
# NW-UCLA and PRECOG.
MIN_DEPTH_RATIO = 0.02
# The bones of openpose25 are 1.9 to 4 times as long as those of ntu25, if the joints are ntu25's.
MAX_BONES_RATIO = 0.8
# The trunk of a person in a picture, as a share of its height, does not exceed this. In meters it
# measures 0.4 to 0.7 m in UI-PRMD and IntelliRehabDS.
MAX_SHARE = 0.35
# Image landmarks may leave the picture.
PICTURE = (-0.5, 1.5)
# MediaPipe measures depth from the middle of the hips; this share of the trunk is noise.
MAX_HIP_DEPTH = 0.15
# The cosine between the trunk and the axis that points up, and the share of the frames that have
# more, where people stand or sit.
MIN_UP_COSINE = 0.8
MIN_UP_FRAMES = 0.95


def check_reading(reading: Reading, where: str, skeleton: Skeleton) -> None:
    """Raise RawFileError if the numbers of a file cannot be joints of `skeleton`."""
    check_finite(reading, where, skeleton)
    # 2-D joints that were not found are 0 0 0, with a score of 0.
    if skeleton.dims == 3:
        check_tracked(reading, where, skeleton)
        check_depth(reading.bodies, where, skeleton)


def fail(reading: Reading, frame: int, where: str, reason: str) -> NoReturn:
    """Raise RawFileError over a frame, counted from 0, with its line where it has one."""
    line = reading.first_line + frame if reading.first_line else 0
    raise RawFileError(where, line, reason)


def check_finite(reading: Reading, where: str, skeleton: Skeleton) -> None:
    """Raise RawFileError if a coordinate is NaN, infinite or too large."""
    # Comparisons with NaN are false.
    is_finite = (np.abs(reading.bodies) < MAX_COORDINATE).all(axis=-1)
    if not is_finite.all():
        body, frame = _first(~is_finite.all(axis=-1))
        joint = (~is_finite[body, frame]).argmax()
        found = ", ".join(f"{value:g}" for value in reading.bodies[body, frame, joint])
        fail(
            reading,
            frame,
            where,
            f"frame {frame + 1}, body {body + 1}: expected finite numbers, "
            f"found {found} for {skeleton.joints[joint]}",
        )


def check_tracked(reading: Reading, where: str, skeleton: Skeleton) -> None:
    """Raise RawFileError if no body is present, or a present one has a joint at 0, 0, 0.

    Such a joint was not tracked, unless it is the origin of the positions: the only one, in all
    frames or in the first frame of the body.
    """
    bodies = reading.bodies
    is_zero = np.logical_not(bodies.any(axis=-1))  # (M, T, V)
    is_absent = is_zero.all(axis=2, keepdims=True)  # (M, T, 1)
    if is_absent.all():
        raise RawFileError(where, 0, f"no body in any of {bodies.shape[1]} frames")
    is_always_zero = is_zero.all(axis=1, keepdims=True)  # (M, 1, V)
    is_origin = is_always_zero & (is_always_zero.sum(axis=2, keepdims=True) == 1)
    is_untracked = is_zero & ~is_absent & ~is_origin
    for body, untracked in zip(bodies, is_untracked, strict=True):
        forgive_origin(body, untracked, skeleton)
    if is_untracked.any():
        body, frame = _first(is_untracked.any(axis=-1))
        found = ", ".join(np.array(skeleton.joints)[is_zero[body, frame]])
        fail(
            reading,
            frame,
            where,
            f"frame {frame + 1}, body {body + 1}: expected joints that were not tracked to be "
            f"filled in, found 0, 0, 0 for {found}",
        )


def forgive_origin(body: np.ndarray, is_untracked: np.ndarray, skeleton: Skeleton) -> None:
    """Clear the mark (T, V) of a joint that is the origin in the first frame of a body (T, V, C).

    Its bones are then as long there as in the other frames.
    """
    present = body.any(axis=(1, 2)).nonzero()[0]
    if len(present) < 2 or is_untracked[present[0]].sum() != 1:
        return
    joint = int(is_untracked[present[0]].argmax())
    neighbors = [
        other for bone in skeleton.bones if joint in bone for other in bone if other != joint
    ]
    bones = body[present][:, neighbors] - body[present][:, [joint]]
    lengths = np.linalg.norm(bones, axis=-1)  # (present frames, neighbors)
    if (lengths[0] <= MAX_BONE_RATIO * np.median(lengths[1:], axis=0)).all():
        is_untracked[present[0], joint] = False


def check_depth(bodies: np.ndarray, where: str, skeleton: Skeleton) -> None:
    """Raise RawFileError if the third number of the joints (M, T, V, C) is not a coordinate.

    The positions are then those of a picture, with a confidence or a depth of another scale.
    """
    for body in bodies:
        present = body[body.any(axis=(1, 2))]
        if len(present):
            reason = (
                find_scores(present, skeleton)
                or find_image_landmarks(present, skeleton)
                or find_flatness(present)
            )
            if reason:
                raise RawFileError(where, 0, reason)


def find_scores(body: np.ndarray, skeleton: Skeleton) -> str | None:
    """Return what is wrong with (T, V, C) if the third numbers are confidences in 0..1."""
    scores = body[..., 2]
    if not ((scores >= 0) & (scores <= 1)).all():
        return None
    other = find_2d_layout(body, skeleton)
    if other is None and not (is_in_picture(body, skeleton) and scores.any()):
        return None
    name = other or " or ".join(_layouts_2d(skeleton.num_joints)) or "of a 2-D skeleton"
    return (
        "the third number of each joint is a confidence, not a coordinate: joints of a picture; "
        f"use the layout {name} with --unit px --up -y"
    )


def find_2d_layout(body: np.ndarray, skeleton: Skeleton) -> str | None:
    """Return the 2-D layout to which the joints (T, V, C) belong rather than to `skeleton`.

    Its bones are then far shorter in the picture.
    """
    length = bone_length(body, skeleton)
    for name in _layouts_2d(skeleton.num_joints):
        if bone_length(body, SKELETONS[name]) < MAX_BONES_RATIO * length:
            return name
    return None


def _layouts_2d(num_joints: int) -> list[str]:
    return [
        other.name
        for other in SKELETONS.values()
        if other.dims == 2 and other.num_joints == num_joints
    ]


def bone_length(body: np.ndarray, skeleton: Skeleton) -> float:
    """Return the mean length of the bones of (T, V, C) in the plane of x and y."""
    children, parents = np.array(skeleton.bones).T
    bones = body[:, children, :2] - body[:, parents, :2]
    return float(np.linalg.norm(bones, axis=-1).mean())


def is_in_picture(body: np.ndarray, skeleton: Skeleton) -> bool:
    """Check whether x and y of (T, V, C) are shares of the width and height of a picture."""
    points = body[..., :2]
    low, high = PICTURE
    # Shares are positive, but for a few.
    is_share = ((points >= 0) & (points <= 1)).mean() > 0.9
    return bool(
        is_share
        and points.min() >= low
        and points.max() <= high
        and np.median(np.linalg.norm(trunk(body, skeleton)[:, :2], axis=1)) < MAX_SHARE
    )


def trunk(body: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Return the vectors (T, C) from the lower end of the spine of (T, V, C) to the shoulders."""
    left, right = (mean_joint(body, side) for side in skeleton.shoulders)
    return (left + right) / 2 - mean_joint(body, skeleton.spine[0])


def find_up(bodies: np.ndarray, skeleton: Skeleton) -> str | None:
    """Return the axis along which the trunk of body 0 of (M, T, V, C) points, None if unclear.

    People who lie, bend or turn somersaults do not make it clear.
    """
    body = bodies[0]
    if skeleton.dims == 2:
        joints = [*skeleton.spine[0], *skeleton.shoulders[0], *skeleton.shoulders[1]]
        body = body[(body[:, joints, 2] > 0).all(axis=1)][..., :2]
    directions = trunk(body[body.any(axis=(1, 2))], skeleton)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    if not len(directions) or not lengths.all():
        return None
    directions = directions / lengths
    axis = int(np.abs(directions.mean(axis=0)).argmax())
    sign = np.sign(directions[:, axis].mean())
    if not (sign * directions[:, axis] > MIN_UP_COSINE).mean() > MIN_UP_FRAMES:
        return None
    return ("-" if sign < 0 else "") + "xyz"[axis]


def find_image_landmarks(body: np.ndarray, skeleton: Skeleton) -> str | None:
    """Return what is wrong with (T, V, C) if they are landmarks of MediaPipe in the image.

    Their depth is that from the middle of the hips, which is not the origin of x and y: shares of
    the picture, or pixels.
    """
    hips = mean_joint(body, skeleton.spine[0])
    length = np.median(np.linalg.norm(trunk(body, skeleton), axis=1))
    is_flat_at_hips = bool((np.abs(hips[:, 2]) <= MAX_HIP_DEPTH * length).all())
    is_centered = bool(np.median(np.abs(hips[:, :2]), axis=0).max() <= MAX_HIP_DEPTH * length)
    if is_centered or not is_flat_at_hips:
        return None
    is_pixels = skeleton.name == MEDIAPIPE_33.name and body[..., :2].min() >= 0 and length > 20
    if is_in_picture(body, skeleton) or is_pixels:
        return (
            "image landmarks: x and y are places in the picture, and z is measured from the hips; "
            "positions in meters are needed, such as MediaPipe's world landmarks "
            "(pose_world_landmarks)"
        )
    return None


def find_flatness(body: np.ndarray) -> str | None:
    """Return what is wrong with (T, V, C) if all joints have about the same third number."""
    extents = np.ptp(body, axis=1)  # (T, C)
    if not np.median(extents[:, 2]) < MIN_DEPTH_RATIO * np.median(extents[:, :2].max(axis=1)):
        return None
    return (
        "the body has no depth: the third numbers of its joints are all but equal, such as "
        "confidences or zeros; joints of a picture need a 2-D layout"
    )


def _first(mask: np.ndarray) -> tuple[int, int]:
    """Return body and frame of the first frame in which `mask` (M, T) is true for a body."""
    frame = mask.any(axis=0).argmax()
    return int(mask[:, frame].argmax()), int(frame)
