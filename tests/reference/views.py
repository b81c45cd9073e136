"""Reference implementation of docs/method.md 2: one clip after the other, in numpy."""

import numpy as np

from scdnet.skeletons import NTU_25


def augment(
    x: np.ndarray,
    *,
    rotation: np.ndarray | None = None,
    flip: bool = False,
    shear: np.ndarray | None = None,
    keep_joints: np.ndarray | None = None,
    keep_frames: np.ndarray | None = None,
) -> np.ndarray:
    """Rotate, flip, shear and mask one clip (C, T, V, M), in this order.

    `rotation` and `shear` are (C, C), `keep_joints` is (V,) bool and `keep_frames` (T,) bool.
    """
    if rotation is not None:
        x = np.tensordot(rotation, x, axes=1)
    if flip:
        x = x[:, :, list(NTU_25.mirror)]
    if shear is not None:
        x = np.tensordot(shear, x, axes=1)
    if keep_joints is not None:
        x = x.copy()
        x[:, :, ~keep_joints] = 0
    if keep_frames is not None:
        x = x.copy()
        x[:, ~keep_frames] = 0
    return np.ascontiguousarray(x)
