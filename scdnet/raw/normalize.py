"""The normalization that all published numbers of SCD-Net rest on (docs/method.md 1, steps 2-8)."""

import numpy as np

from scdnet.data.store import MAX_BODIES

# Joints of skeleton.NTU_25, from 0. The spine runs from its base to its middle and is turned to +z,
# the shoulders run from left to right and are turned to +x.
SPINE_MIDDLE = 1
SPINE = (0, 1)
SHOULDERS = (4, 8)
# Metres or radians; the original does not rotate below it.
EPSILON = 1e-6


def select_bodies(bodies: np.ndarray) -> np.ndarray:
    """Select the two bodies of largest energy, largest first, ties in listed order (step 2).

    (any M, T, V, C) -> (2, T, V, C). The energy is std(x) + std(y) + std(z), each over all joints
    of the frames in which the body is not all zero.
    """
    is_present = np.any(bodies, axis=(2, 3))  # (M, T)
    # A body that does not move at all still comes before an absent one.
    energy = [
        body[frames].reshape(-1, 3).std(axis=0).sum() if frames.any() else -1.0
        for body, frames in zip(bodies, is_present, strict=True)
    ]
    return bodies[np.argsort(-np.array(energy), kind="stable")[:MAX_BODIES]]


def normalize(bodies: np.ndarray) -> np.ndarray:
    """Fill, center and align the selected bodies (steps 3-8).

    (M, T, V, C) meters -> float32 (T, M, V, C): in every frame the middle of body 0's spine is the
    origin, and in frame 0 its spine points along +z and its shoulders along +x.
    """
    bodies = bodies.astype(np.float32)
    for body in bodies:
        fill_absent(body)
    center_on_spine(bodies)
    rotation = upright_rotation(bodies[0, 0]).astype(np.float32)
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


def center_on_spine(bodies: np.ndarray) -> None:
    """Move the middle of body 0's spine to the origin in every frame of (M, T, V, C) (step 5).

    Works in place. Joints with x + y + z == 0 become zero, as the original takes them to be absent.
    """
    x, y, z = np.moveaxis(bodies, -1, 0)
    is_absent = x + y + z == 0
    bodies -= bodies[0, :, SPINE_MIDDLE, None].copy()
    bodies[is_absent] = 0


def upright_rotation(joints: np.ndarray) -> np.ndarray:
    """Compute the rotation (C, C) that turns a body (V, C) upright and to the front (steps 6, 7).

    It turns the spine to +z and then the shoulders to +x; float64.
    """
    joints = joints.astype(np.float64)
    spine = joints[SPINE[1]] - joints[SPINE[0]]
    upright = rotation_between(spine, np.array([0.0, 0.0, 1.0]))
    joints = joints @ upright.T
    shoulders = joints[SHOULDERS[1]] - joints[SHOULDERS[0]]
    facing = rotation_between(shoulders, np.array([1.0, 0.0, 0.0]))
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
