"""Rotations and hinges for the demo's body; x to its left, y up, z ahead."""

import numpy as np

# Limits of elbows and knees; a stretched limb is not quite straight.
MIN_FLEXION_RAD = np.deg2rad(4)
MAX_FLEXION_RAD = np.deg2rad(150)


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
