"""The normalisation that every number of SCD-Net is based on (docs/method.md 1, steps 2-8)."""

import numpy as np

from scdnet.data.store import MAX_BODIES

MIDDLE_OF_SPINE = 1  # joints counted from 0, as in skeleton.NTU_25
SPINE = (0, 1)  # from its base to its middle: turned to +z
SHOULDERS = (4, 8)  # from left to right: turned to +x
TINY = 1e-6  # metres or radians; below it the original does not rotate


def select_bodies(bodies: np.ndarray) -> np.ndarray:
    """The two bodies with the largest energy, largest first (in a tie the one listed first): step 2.

    (any M, T, V, C) -> (2, T, V, C). Energy: std(x) + std(y) + std(z), each over all joints of the frames in which the
    body is not all zero.
    """
    present = bodies.any(axis=(2, 3))  # (M, T)
    energy = [
        body[frames].reshape(-1, 3).std(axis=0).sum() if frames.any() else -1.0
        for body, frames in zip(bodies, present, strict=True)
    ]
    return bodies[np.argsort(-np.array(energy), kind="stable")[:MAX_BODIES]]


def normalize(bodies: np.ndarray) -> np.ndarray:
    """Fill, centre and align the selected bodies: steps 3-8.

    (M, T, V, C) metres -> float32 (T, M, V, C): in every frame the middle of body 0's spine is the origin, and in
    frame 0 its spine points along +z and its shoulders along +x.
    """
    bodies = bodies.astype(np.float32)
    for body in bodies:
        fill_absent(body)
    center_on_spine(bodies)
    rotation = upright_rotation(bodies[0, 0]).astype(np.float32)
    frames = np.ascontiguousarray(bodies.swapaxes(0, 1))
    return (frames.reshape(-1, 3) @ rotation.T).reshape(frames.shape)


def fill_absent(body: np.ndarray) -> None:
    """Repeat a body (T, V, C) that comes late or leaves early until the end, in place: step 4.

    If frame 0 is all zero, the frames that are not move to the front. Then what stands before the all-zero end is
    looped over it; a gap in the middle stays.
    """
    present = body.any(axis=(1, 2))  # (T,)
    if not present.any() or (present[0] and present[-1]):
        return
    filled = body[: len(present) - present[::-1].argmax()] if present[0] else body[present]
    body[:] = filled[np.arange(len(body)) % len(filled)]


def center_on_spine(bodies: np.ndarray) -> None:
    """Subtract the middle of body 0's spine, frame by frame, from all joints of (M, T, V, C), in place: step 5.

    Joints with x + y + z == 0 become zero (the original's test of absence).
    """
    x, y, z = np.moveaxis(bodies, -1, 0)
    absent = x + y + z == 0
    bodies -= bodies[0, :, MIDDLE_OF_SPINE, None].copy()
    bodies[absent] = 0


def upright_rotation(joints: np.ndarray) -> np.ndarray:
    """(C, C) float64: turns the spine of `joints` (V, C) to +z and then its shoulders to +x: steps 6 and 7."""
    joints = joints.astype(np.float64)
    upright = rotation_between(joints[SPINE[1]] - joints[SPINE[0]], np.array([0.0, 0.0, 1.0]))
    joints = joints @ upright.T
    facing = rotation_between(
        joints[SHOULDERS[1]] - joints[SHOULDERS[0]], np.array([1.0, 0.0, 0.0])
    )
    return facing @ upright


def rotation_between(vector: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(C, C) rotation about vector x target that turns `vector` to the direction of `target`, a unit vector.

    The identity where the vector is about zero, or parallel or opposite to the target. Source: Rodrigues' formula.
    """
    if np.abs(vector).sum() < TINY:
        return np.eye(3)
    (x, y, z), (a, b, c) = vector, target
    axis = np.array([y * c - z * b, z * a - x * c, x * b - y * a])  # the cross product
    angle = np.arccos(np.clip(vector @ target / np.linalg.norm(vector), -1, 1))
    if np.abs(axis).sum() < TINY or angle < TINY:
        return np.eye(3)
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])  # cross @ p = axis x p
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
