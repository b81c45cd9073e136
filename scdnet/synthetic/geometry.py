"""Rotations and hinges for the demo's body; x to its left, y up, z ahead."""

import numpy as np

# Of elbows and knees; a stretched limb is not quite straight
MIN_FLEXION_RAD, MAX_FLEXION_RAD = np.deg2rad(4), np.deg2rad(150)


def rotation(angles_rad: np.ndarray) -> np.ndarray:
    """(T, 3) bend, lean, twist -> (T, 3, 3): R_y(twist) R_x(bend) R_z(-lean)."""
    cos, sin = np.cos(angles_rad), np.sin(angles_rad)
    one, zero = np.ones(len(cos)), np.zeros(len(cos))
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


def turning(angle_rad: np.ndarray) -> np.ndarray:
    """(T, 1) -> (T, 3, 3): turns to the left by `angle_rad`."""
    return rotation(np.pad(angle_rad, ((0, 0), (2, 0))))


def turned(axes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Frame by frame axes @ vector: (T, 3, 3) and (T, 3) -> (T, 3)."""
    return np.einsum("tij,tj->ti", axes, vectors)


def unit(vectors: np.ndarray) -> np.ndarray:
    """(..., 3) -> the same directions with length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def across(vectors: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Unit vectors (T, 3): what of `vectors` is at right angles to the unit vectors `axis`."""
    return unit(vectors - (vectors * axis).sum(axis=-1, keepdims=True) * axis)


def bend_limb(
    start: np.ndarray, target: np.ndarray, pole: np.ndarray, lengths: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle joint, end and bulge direction, each (T, 3), of two bones that reach from `start` for `target`.

    The middle joint bulges towards `pole` (T, 3). A target out of reach, or too near for the hinge, is approached as
    far as the limits of flexion allow. Source: law of cosines.
    """
    a, b = lengths
    nearest, farthest = (
        np.sqrt(a * a + b * b + 2 * a * b * np.cos(x)) for x in (MAX_FLEXION_RAD, MIN_FLEXION_RAD)
    )
    distance = np.linalg.norm(target - start, axis=-1, keepdims=True)
    ahead = (target - start) / distance
    distance = distance.clip(nearest, farthest)
    bulge = across(pole, ahead)
    cos = (a * a + distance**2 - b * b) / (2 * a * distance)
    middle = start + a * (cos * ahead + np.sqrt(1 - cos**2) * bulge)
    return middle, start + distance * ahead, bulge
