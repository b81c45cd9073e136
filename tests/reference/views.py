"""Reference implementation of docs/method.md 2: one clip after the other, in numpy."""

import numpy as np

from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25


def augment(
    x: np.ndarray,
    *,
    rotation: np.ndarray | None = None,
    flip: bool = False,
    shear: np.ndarray | None = None,
    keep_joints: np.ndarray | None = None,
    keep_frames: np.ndarray | None = None,
    skeleton: Skeleton = NTU_25,
) -> np.ndarray:
    """Rotate, flip, shear and mask one clip (C, T, V, M), in this order.

    `rotation` and `shear` are (C, C), `keep_joints` is (V,) bool and `keep_frames` (T,) bool.
    """
    if rotation is not None:
        x = np.tensordot(rotation, x, axes=1)
    if flip:
        x = x[:, :, list(skeleton.mirror)]
    if shear is not None:
        x = np.tensordot(shear, x, axes=1)
    if keep_joints is not None:
        x = x.copy()
        x[:, :, ~keep_joints] = 0
    if keep_frames is not None:
        x = x.copy()
        x[:, ~keep_frames] = 0
    return np.ascontiguousarray(x)


def shear_of(numbers: np.ndarray, max_shear: float, dims: int) -> np.ndarray:
    """Return the shear (C, C) of numbers (C, C) in 0..1: ones on the diagonal, x and y in 2-D."""
    shear = np.eye(3)
    for row in range(dims):
        for column in range(dims):
            if row != column:
                shear[row, column] = (2 * numbers[row, column] - 1) * max_shear
    return shear


def stream(x: np.ndarray, name: str, skeleton: Skeleton) -> np.ndarray:
    """Return bone or motion of one clip (C, T, V, M), a number at a time.

    The score of 2-D joints becomes the mean of the two scores.
    """
    result = np.zeros_like(x)
    _, num_frames, num_joints, num_bodies = x.shape
    for t in range(num_frames):
        for v in range(num_joints):
            for m in range(num_bodies):
                here = x[:, t, v, m]
                if name == "bone":
                    there = x[:, t, skeleton.parents[v], m]
                    difference = here - there
                else:
                    there = x[:, min(t + 1, num_frames - 1), v, m]
                    difference = there - here
                if skeleton.dims == 2:
                    difference = np.append(difference[:2], (here[2] + there[2]) / 2)
                result[:, t, v, m] = difference
    return result
