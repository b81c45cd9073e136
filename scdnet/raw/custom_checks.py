"""Checks of the positions of custom recordings (docs/data/own.md): lost joints, wrong kinds."""

from typing import NoReturn

import numpy as np

from scdnet.raw.custom_reading import Reading
from scdnet.raw.raw_files import MAX_COORDINATE, RawFileError
from scdnet.skeleton import Skeleton, mean_joint
from scdnet.skeletons import MEDIAPIPE_33, SKELETONS

# A bone of the first frame that is longer than this many times the median of the other frames
# leads to a joint that was lost. Lengths of short ones, measured in trunks, vary more.
MAX_BONE_RATIO = 2
MIN_BONE = 0.6
# The extent along z is 0.09 to 0.6 of the larger of the other two in UI-PRMD, IntelliRehabDS,
# NW-UCLA and PRECOG.
MIN_DEPTH_RATIO = 0.02
# The bones of a 2-D layout, if the joints are those of a 3-D one with as many, are 1.6 to 4 times
# as long as its own. If they are the 2-D ones, 0.3 to 0.9 times.
BONES_RATIO = 1.3
# The trunk of a person in a picture, as a share of its height, does not exceed the first of these.
# In meters it measures 0.4 to 0.7 m in UI-PRMD and IntelliRehabDS, but down to 0.1 m in NW-UCLA.
# The longest way along bones, such as from a hand to a foot, measures 1.6 m or more in all three.
MAX_TRUNK_SHARE = 0.35
MAX_SPAN = 1.3
# Image landmarks may leave the picture.
PICTURE = (-0.5, 1.5)
MIN_INSIDE = 0.9
# The percentile of the lengths of a bone at which it is taken to be parallel to the picture.
STRETCHED = 95
# MediaPipe measures depth from the middle of the hips; this share of the trunk is noise.
MAX_HIP_DEPTH = 0.15
# A trunk in pixels. MediaPipe's world landmarks are meters.
MIN_PIXELS = 20
# The cosine between the trunk and the axis that points up, and the share of the frames that have
# more, where people stand or sit.
MIN_UP_COSINE = 0.8
MIN_UP_FRAMES = 0.95


def check_reading(reading: Reading, where: str, skeleton: Skeleton) -> None:
    """Raise RawFileError if the numbers of a file cannot be joints of `skeleton`."""
    check_finite(reading, where, skeleton)
    # 2-D joints that were not found are 0 0 0, with a score of 0.
    if skeleton.dims == 2:
        check_scores(reading, where, skeleton)
    else:
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
    """Clear the marks (T, V) of a joint that is the origin in the first frames of a body (T, V, C).

    These are one frame, and the next ones in which the sensor repeats the position. The bones of
    the joint are as long there as in the other frames.
    """
    present = np.flatnonzero(body.any(axis=(1, 2)))
    if len(present) < 2 or is_untracked[present[0]].sum() != 1:
        return
    joint = int(is_untracked[present[0]].argmax())
    is_alone = is_untracked[present, joint] & (is_untracked[present].sum(axis=1) == 1)
    is_first = np.cumprod(is_alone).astype(bool)
    if is_first.all():
        return
    neighbors = [
        other for bone in skeleton.bones if joint in bone for other in bone if other != joint
    ]
    bones = body[present][:, neighbors] - body[present][:, [joint]]
    lengths = np.linalg.norm(bones, axis=-1)  # (present frames, neighbors)
    others = np.median(lengths[~is_first], axis=0)
    size = np.median(np.linalg.norm(trunk(body[present], skeleton), axis=1))
    if (lengths[is_first] <= MAX_BONE_RATIO * np.maximum(others, MIN_BONE * size)).all():
        is_untracked[present[is_first], joint] = False


def check_depth(bodies: np.ndarray, where: str, skeleton: Skeleton) -> None:
    """Raise RawFileError if the third number of the joints (M, T, V, C) is not a coordinate.

    The positions are then those of a picture, with a confidence or a depth of another scale.
    """
    for body in bodies:
        present = body[body.any(axis=(1, 2))]
        if len(present):
            reason = (
                find_scores(present, skeleton)
                or find_flatness(present)
                or find_image_landmarks(present, skeleton)
            )
            if reason:
                raise RawFileError(where, 0, reason)


def check_scores(reading: Reading, where: str, skeleton: Skeleton) -> None:
    """Raise RawFileError if the third number of 2-D joints is not a score."""
    scores = reading.bodies[..., 2]
    is_negative: np.ndarray = scores < 0
    if is_negative.any():
        body, frame = _first(np.any(is_negative, axis=-1))
        found = scores[body, frame].min()
        fail(
            reading,
            frame,
            where,
            f"frame {frame + 1}, body {body + 1}: expected x, y and score of each joint, found a "
            f"score of {found:g}; {_suggest_3d(skeleton)}",
        )
    for body in reading.bodies:
        present = body[body.any(axis=(1, 2))]
        other = find_layout(present, skeleton, dims=3) if (present[..., 2] > 1).any() else None
        if other is not None:
            raise RawFileError(
                where,
                0,
                "the third number of each joint is not a score in 0..1, and the joints look like "
                f"those of the 3-D layout {other}",
            )


def _suggest_3d(skeleton: Skeleton) -> str:
    """Return a sentence on the 3-D layouts that have as many joints."""
    fitting = [
        other.name
        for other in SKELETONS.values()
        if other.dims == 3 and other.num_joints == skeleton.num_joints
    ]
    return f"are these 3-D joints ({' or '.join(fitting)})?" if fitting else "are these 3-D joints?"


def find_scores(body: np.ndarray, skeleton: Skeleton) -> str | None:
    """Return what is wrong with (T, V, C) if the third numbers are confidences in 0..1."""
    scores = body[..., 2]
    if not ((scores >= 0) & (scores <= 1)).all():
        return None
    other = find_layout(body, skeleton, dims=2)
    if other is None and not (scores.any() and is_small_picture(body, skeleton)):
        return None
    name = f"use the layout {other}" if other else "use a 2-D layout"
    return (
        "the third number of each joint is a confidence, not a coordinate: joints of a picture; "
        f"{name} with --unit px --up -y"
    )


def find_layout(body: np.ndarray, skeleton: Skeleton, *, dims: int) -> str | None:
    """Return the layout of other dimensions to which the joints (T, V, C) belong, if any.

    The bones in the plane of x and y tell it.
    """
    length = bone_length(body, skeleton)
    # A 2-D skeleton has longer bones.
    ratio = BONES_RATIO if dims == 2 else 1 / BONES_RATIO
    for other in SKELETONS.values():
        is_alike = other.dims == dims and other.num_joints == skeleton.num_joints
        if is_alike and bone_length(body, other) < ratio * length:
            return other.name
    return None


def bone_length(body: np.ndarray, skeleton: Skeleton) -> float:
    """Return the mean length of the bones of (T, V, C) in the plane of x and y."""
    children, parents = np.array(skeleton.bones).T
    bones = body[:, children, :2] - body[:, parents, :2]
    return float(np.linalg.norm(bones, axis=-1).mean())


def is_in_picture(body: np.ndarray) -> bool:
    """Check whether x and y of (T, V, C) may be shares of the width and height of a picture."""
    points = body[..., :2]
    low, high = PICTURE
    # Shares are positive, but for a few.
    is_share = ((points >= 0) & (points <= 1)).mean() > MIN_INSIDE
    return bool(is_share and points.min() >= low and points.max() <= high)


def is_small_picture(body: np.ndarray, skeleton: Skeleton) -> bool:
    """Check whether (T, V, C) is in a picture, and smaller than people are in meters."""
    length = np.median(np.linalg.norm(trunk(body, skeleton)[:, :2], axis=1))
    if not is_in_picture(body) or not length < MAX_TRUNK_SHARE:
        return False
    # The bones of MediaPipe run by way of the nose. Its positions in meters are not all positive.
    return skeleton.name == MEDIAPIPE_33.name or find_span(body, skeleton) < MAX_SPAN


def find_span(body: np.ndarray, skeleton: Skeleton) -> float:
    """Return the longest way along the bones of (T, V, C), stretched, in the plane of x and y."""
    ways = np.full((skeleton.num_joints, skeleton.num_joints), np.inf)
    np.fill_diagonal(ways, 0)
    for child, parent in skeleton.bones:
        lengths = np.linalg.norm(body[:, child, :2] - body[:, parent, :2], axis=-1)
        ways[child, parent] = ways[parent, child] = np.percentile(lengths, STRETCHED)
    for joint in range(skeleton.num_joints):
        ways = np.minimum(ways, ways[:, [joint]] + ways[[joint]])
    return float(ways.max())


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
    if skeleton.name == MEDIAPIPE_33.name:
        is_image = is_in_picture(body) or (body[..., :2].min() >= 0 and length > MIN_PIXELS)
    else:
        is_image = is_small_picture(body, skeleton)
    if is_image:
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
