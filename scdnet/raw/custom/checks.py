"""Checks of the positions of custom recordings (docs/data/own.md): numbers, lost joints, axes."""

from typing import NoReturn

import numpy as np

from scdnet.raw.custom.array_shapes import suggest_layouts
from scdnet.raw.custom.picture_checks import check_depth, find_layout
from scdnet.raw.custom.reading import Reading
from scdnet.raw.raw_files import MAX_COORDINATE, RawFileError
from scdnet.skeleton import Skeleton, trunk_vectors

# A bone of the first frame that is longer than this many times the median of the other frames
# leads to a joint that was lost. Lengths of short ones, measured in trunks, vary more.
MAX_BONE_RATIO = 2
MIN_BONE = 0.6
# The way of a joint from one frame to the next, measured in trunks, within which it is near.
MAX_STEP = 0.1
# The cosine between the trunk and the axis that points up, and the share of the frames that have
# more, where people stand or sit.
MIN_UP_COSINE = 0.8
MIN_UP_FRAMES = 0.95
# Scores of pose estimators are shares of 1 or percents; some exceed 1 a little.
MAX_SCORE = 100


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

    These are one frame, the next ones in which the sensor repeats the position, and others between
    frames in which the joint is near. Its bones are as long there as in the other frames.
    """
    present = np.flatnonzero(body.any(axis=(1, 2)))
    if len(present) < 2 or is_untracked[present[0]].sum() != 1:
        return
    joint = int(is_untracked[present[0]].argmax())
    is_alone = is_untracked[present, joint] & (is_untracked[present].sum(axis=1) == 1)
    if is_alone.all():
        return
    neighbors = [
        other for bone in skeleton.bones if joint in bone for other in bone if other != joint
    ]
    bones = body[present][:, neighbors] - body[present][:, [joint]]
    lengths = np.linalg.norm(bones, axis=-1)  # (present frames, neighbors)
    others = np.median(lengths[~is_alone], axis=0)
    size = np.median(np.linalg.norm(trunk_vectors(body[present], skeleton), axis=1))
    is_near = np.linalg.norm(body[present, joint], axis=-1) < MAX_STEP * size
    is_first = np.cumprod(is_alone).astype(bool)
    is_origin = is_first | (is_alone & np.roll(is_near, 1) & np.roll(is_near, -1))
    if (lengths[is_origin] <= MAX_BONE_RATIO * np.maximum(others, MIN_BONE * size)).all():
        is_untracked[present[is_origin], joint] = False


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
            f"score of {found:g}; are these 3-D joints? {suggest_layouts(skeleton.num_joints)}",
        )
    is_no_score: np.ndarray = scores > MAX_SCORE
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
    if is_no_score.any():
        body, frame = _first(np.any(is_no_score, axis=-1))
        fail(
            reading,
            frame,
            where,
            f"frame {frame + 1}, body {body + 1}: expected x, y and score of each joint, in this "
            f"order, found a score of {scores[body, frame].max():g}",
        )


def find_up(bodies: np.ndarray, skeleton: Skeleton) -> str | None:
    """Return the axis along which the trunk of body 0 of (M, T, V, C) points, None if unclear.

    People who lie, bend or turn somersaults do not make it clear.
    """
    body = bodies[0]
    if skeleton.dims == 2:
        joints = [*skeleton.spine[0], *skeleton.shoulders[0], *skeleton.shoulders[1]]
        body = body[(body[:, joints, 2] > 0).all(axis=1)][..., :2]
    directions = trunk_vectors(body[body.any(axis=(1, 2))], skeleton)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    if not len(directions) or not lengths.all():
        return None
    directions = directions / lengths
    axis = int(np.abs(directions.mean(axis=0)).argmax())
    sign = np.sign(directions[:, axis].mean())
    if not (sign * directions[:, axis] > MIN_UP_COSINE).mean() > MIN_UP_FRAMES:
        return None
    return ("-" if sign < 0 else "") + "xyz"[axis]


def _first(mask: np.ndarray) -> tuple[int, int]:
    """Return body and frame of the first frame in which `mask` (M, T) is true for a body."""
    frame = mask.any(axis=0).argmax()
    return int(mask[:, frame].argmax()), int(frame)
