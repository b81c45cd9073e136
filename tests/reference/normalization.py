"""Reference implementation of docs/method.md 1: a plain loop wherever it says "each".

Tests compare the converter with it, and `tools/bench/bench_prep.py` times the converter against it.
Functions have the names of their fast counterparts in scdnet/raw and work on bodies (M, T, V, C) in
place unless they return something.
"""

import math

import numpy as np

NUM_BODIES = 4
NUM_JOINTS = 25


def read_frames(data: bytes, padded_frames: int = 300) -> np.ndarray:
    """Read and normalize a `.skeleton` file: float32 (T, M, V, C).

    Like the original, the steps work on a clip that zeros pad to `padded_frames`.
    """
    frames = parse_skeleton(data.decode())
    bodies = np.zeros((NUM_BODIES, len(frames), NUM_JOINTS, 3))
    for t, listed in enumerate(frames):
        for m, body in enumerate(listed[:NUM_BODIES]):
            for v, joint in enumerate(body):
                bodies[m, t, v] = joint[:3]
    padded = np.zeros((2, max(padded_frames, len(frames)), NUM_JOINTS, 3), dtype=np.float32)
    padded[:, : len(frames)] = select_bodies(bodies)
    fill_absent(padded)
    center_on_spine(padded)
    align(padded)
    return padded[:, : len(frames)].transpose(1, 0, 2, 3)


def parse_skeleton(text: str) -> list[list[list[list[float]]]]:
    """Return the frames of the text as lists of bodies of joints of 12 numbers."""
    lines = iter(text.splitlines())
    frames = []
    for _ in range(int(next(lines))):
        bodies = []
        for _ in range(int(next(lines))):
            # Skip the line with the body's id and tracking states.
            next(lines)
            num_joints = int(next(lines))
            bodies.append(
                [[float(value) for value in next(lines).split()] for _ in range(num_joints)]
            )
        frames.append(bodies)
    return frames


def select_bodies(bodies: np.ndarray) -> np.ndarray:
    """Return the two bodies of the largest energy, (2, T, V, C): step 2."""
    energies = [energy(body) for body in bodies]
    order = sorted(range(len(bodies)), key=lambda m: -energies[m])
    return bodies[order[:2]]


def energy(body: np.ndarray) -> float:
    """Add up the standard deviations of x, y and z over the frames of (T, V, C) with the body."""
    present = np.array([frame for frame in body if frame.any()])
    if len(present) == 0:
        return 0.0
    return sum(present[..., c].std() for c in range(3))


def fill_absent(bodies: np.ndarray) -> None:
    """Repeat bodies that come late or leave early until the end: step 4."""
    for body in bodies:
        if not body.any():
            continue
        if not body[0].any():
            present = [frame.copy() for frame in body if frame.any()]
            body[:] = 0
            body[: len(present)] = present
        for i, frame in enumerate(body):
            if not frame.any() and not body[i:].any():
                for k in range(i, len(body)):
                    body[k] = body[k - i]
                break


def center_on_spine(bodies: np.ndarray) -> None:
    """Subtract the middle of body 0's spine from all joints that are present: step 5."""
    for t in range(bodies.shape[1]):
        center = bodies[0, t, 1].copy()
        for body in bodies:
            is_present = body[t].sum(axis=1, keepdims=True) != 0
            body[t] = (body[t] - center) * is_present


def align(bodies: np.ndarray) -> None:
    """Turn the spine of body 0 in frame 0 to +z, then its shoulders to +x: steps 6 and 7."""
    for start, end, target in ((0, 1, [0, 0, 1]), (4, 8, [1, 0, 0])):
        matrix = rotation_between(bodies[0, 0, end] - bodies[0, 0, start], np.array(target))
        for body in bodies:
            for frame in body:
                if frame.any():
                    for v, joint in enumerate(frame):
                        frame[v] = np.dot(matrix, joint)


def rotation_between(vector: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the rotation about vector x target by the angle between them, (C, C).

    Source: the Euler-Rodrigues formula in its four parameters.
    """
    axis = np.cross(vector, target)
    if np.abs(vector).sum() < 1e-6 or np.abs(axis).sum() < 1e-6:
        return np.eye(3)
    angle = np.arccos(np.clip(np.dot(vector / np.linalg.norm(vector), target), -1, 1))
    if angle < 1e-6:
        return np.eye(3)
    a = math.cos(angle / 2)
    b, c, d = -axis / math.sqrt(np.dot(axis, axis)) * math.sin(angle / 2)
    return np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c + a * d), 2 * (b * d - a * c)],
        [2 * (b * c - a * d), a * a + c * c - b * b - d * d, 2 * (c * d + a * b)],
        [2 * (b * d + a * c), 2 * (c * d - a * b), a * a + d * d - b * b - c * c],
    ])  # fmt: skip
