"""Normalization of recordings: 3-D (docs/method.md 1, steps 2-8) and 2-D.

All published numbers of SCD-Net rest on the steps for ntu25. Source of the rules for other
skeletons: docs/data/skeletons.md.
"""

import numpy as np

from scdnet.data.store import MAX_BODIES
from scdnet.skeleton import JointSet, Skeleton, mean_joint, shoulder_vectors, spine_vectors

# Metres or radians; the original does not rotate below it.
EPSILON = 1e-6


class NormalizeError(ValueError):
    """Frames that cannot be normalized."""


def select_bodies(bodies: np.ndarray, dims: int = 3) -> np.ndarray:
    """Select the two bodies of largest energy, largest first, ties in listed order (step 2).

    (any M, T, V, C) -> (2, T, V, C). The energy is the sum of the standard deviations of the first
    `dims` coordinates, each over all joints of the frames in which the body is not all zero.
    """
    is_present = np.any(bodies, axis=(2, 3))  # (M, T)
    # A body that does not move at all still comes before an absent one.
    energy = [
        body[frames][..., :dims].reshape(-1, dims).std(axis=0).sum() if frames.any() else -1.0
        for body, frames in zip(bodies, is_present, strict=True)
    ]
    return bodies[np.argsort(-np.array(energy), kind="stable")[:MAX_BODIES]]


def normalize(bodies: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Normalize one or two selected bodies, the first of which is present in some frame.

    3-D: (M, T, V, C) meters -> float32 (T, 2, V, C): in every frame the center of body 0 is the
    origin, and in frame 0 its spine points along +z and its shoulders along +x (steps 3-8).
    2-D: (M, T, V, C) of x, y up and score -> the same with the center of body 0 at the origin and
    a trunk of length 1. Raises NormalizeError if that length is unknown.
    """
    absent = np.zeros((MAX_BODIES - len(bodies), *bodies.shape[1:]), np.float32)
    bodies = np.concatenate([bodies.astype(np.float32), absent])
    align = _align_3d if skeleton.dims == 3 else _align_2d
    return align(bodies, skeleton)


def _align_3d(bodies: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    for body in bodies:
        fill_absent(body)
    center_bodies(bodies, skeleton)
    rotation = upright_rotation(bodies[0, 0], skeleton).astype(np.float32)
    frames = np.ascontiguousarray(bodies.swapaxes(0, 1))
    return (frames.reshape(-1, 3) @ rotation.T).reshape(frames.shape)


def fill_absent(body: np.ndarray) -> None:
    """Repeat a body (T, V, C) that comes late or leaves early until the end, in place (step 4).

    If frame 0 is all zero, all present frames move to the front. Then whatever precedes the
    all-zero end is repeated over it; a gap in the middle stays.
    """
    is_present = np.any(body, axis=(1, 2))  # (T,)
    if not is_present.any() or (is_present[0] and is_present[-1]):
        return
    num_absent_at_end = is_present[::-1].argmax()
    filled = body[: len(body) - num_absent_at_end] if is_present[0] else body[is_present]
    body[:] = filled[np.arange(len(body)) % len(filled)]


def center_bodies(bodies: np.ndarray, skeleton: Skeleton) -> None:
    """Move the center of body 0 to the origin in every frame of (M, T, V, C) (step 5).

    Works in place. Joints with x + y + z == 0 become zero, as the original takes them to be absent.
    """
    x, y, z = np.moveaxis(bodies, -1, 0)
    is_absent = x + y + z == 0
    bodies -= mean_joint(bodies[0], skeleton.center)[:, None]
    bodies[is_absent] = 0


def upright_rotation(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Compute the rotation (C, C) that turns a body (V, C) upright and to the front (steps 6, 7).

    It turns the spine to +z and then the shoulders to +x; float64.
    """
    joints = joints.astype(np.float64)
    upright = rotation_between(spine_vectors(joints, skeleton), np.array([0.0, 0.0, 1.0]))
    joints = joints @ upright.T
    facing = rotation_between(shoulder_vectors(joints, skeleton), np.array([1.0, 0.0, 0.0]))
    return facing @ upright


def rotation_between(vector: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Compute the rotation (C, C) about vector x target that turns `vector` to `target`.

    The target has unit length. The result is the identity where the vector is about zero, or
    parallel or opposite to the target. Source: Rodrigues' formula.
    """
    if np.abs(vector).sum() < EPSILON:
        return np.eye(3)
    x, y, z = vector
    a, b, c = target
    # The cross product; np.cross is slow on single vectors.
    axis = np.array([y * c - z * b, z * a - x * c, x * b - y * a])
    angle = np.arccos(np.clip(vector @ target / np.linalg.norm(vector), -1, 1))
    if np.abs(axis).sum() < EPSILON or angle < EPSILON:
        return np.eye(3)
    x, y, z = axis / np.linalg.norm(axis)
    # `cross @ p` is the cross product of the unit axis and p.
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _align_2d(bodies: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Center and scale bodies (2, T, V, C) of x, y and score to (T, 2, V, C)."""
    is_found = bodies[..., 2] > 0  # (M, T, V)
    points = bodies[..., :2]
    points -= _center_2d(bodies[0], is_found[0], skeleton)[:, None]
    points /= _trunk_2d(bodies[0], is_found[0], skeleton)
    bodies[~is_found] = 0
    return np.ascontiguousarray(bodies.swapaxes(0, 1))


def _center_2d(body: np.ndarray, is_found: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Return the center (T, 2) of a body (T, V, C), interpolated where its joints are missing.

    Before the first and after the last frame in which they are found it is held. `is_found` is
    (T, V). Raises NormalizeError if it is never found.
    """
    found = np.flatnonzero(is_found[:, list(skeleton.center)].all(axis=1))
    if not len(found):
        raise NormalizeError(f"no frame in which {_names(skeleton, skeleton.center)} were found")
    center = mean_joint(body[found], skeleton.center)
    frames = np.arange(len(body))
    return np.stack([np.interp(frames, found, center[:, axis]) for axis in (0, 1)], axis=1)


def _trunk_2d(body: np.ndarray, is_found: np.ndarray, skeleton: Skeleton) -> np.float32:
    """Return the median length of the spine of a body (T, V, C). Raises NormalizeError."""
    lower, upper = skeleton.spine
    found = is_found[:, [*lower, *upper]].all(axis=1)
    if not found.any():
        raise NormalizeError(f"no frame in which {_names(skeleton, (*lower, *upper))} were found")
    spine = spine_vectors(body[found], skeleton)
    length = np.median(np.linalg.norm(spine[:, :2], axis=1))
    if not length > 0:
        raise NormalizeError("the trunk has no length in half of the frames or more")
    return np.float32(length)


def _names(skeleton: Skeleton, joints: JointSet) -> str:
    return ", ".join(skeleton.joints[joint] for joint in joints)
