"""Custom recordings (docs/data/own.md): from the bytes of a file to checked joint positions."""

from pathlib import Path

import numpy as np

from scdnet.raw.custom_csv import read_csv
from scdnet.raw.custom_npz import read_npz
from scdnet.raw.layouts import Layout
from scdnet.raw.raw_files import MAX_COORDINATE, RawFileError

READERS = {".npz": read_npz, ".csv": read_csv}
SUFFIXES = tuple(READERS)


def read_joints(data: bytes, where: str, layout: Layout) -> np.ndarray:
    """Parse the content of one recording, in the format that the suffix of `where` tells.

    Returns (M, T, V, C) float64 in the unit and axes of the file, with the joints of `layout`; an
    absent body is all zero. Raises RawFileError for content in another form, numbers that are not
    finite, joints that were not tracked, and if no frame has a body.
    """
    reader = READERS.get(Path(where).suffix.lower())
    if reader is None:
        raise RawFileError(where, 0, f"expected a name that ends in {' or '.join(SUFFIXES)}")
    bodies = reader(data, where, len(layout.joints)).swapaxes(0, 1).astype(np.float64)
    check_finite(bodies, where, layout)
    check_tracked(bodies, where, layout)
    return bodies


def check_finite(bodies: np.ndarray, where: str, layout: Layout) -> None:
    """Raise RawFileError if a coordinate of (M, T, V, C) is NaN, infinite or too large."""
    # Comparisons with NaN are false.
    is_finite = (np.abs(bodies) < MAX_COORDINATE).all(axis=-1)
    if not is_finite.all():
        body, frame = _first(~is_finite.all(axis=-1))
        joint = (~is_finite[body, frame]).argmax()
        found = ", ".join(f"{value:g}" for value in bodies[body, frame, joint])
        place = f"frame {frame + 1}, body {body + 1}"
        raise RawFileError(
            where, 0, f"{place}: expected finite numbers, found {found} for {layout.joints[joint]}"
        )


def check_tracked(bodies: np.ndarray, where: str, layout: Layout) -> None:
    """Raise RawFileError if (M, T, V, C) contains no body, or a present one has a joint at 0, 0, 0.

    Such a joint was not tracked. A single one may be there in all frames: the origin of positions.
    """
    is_zero = np.logical_not(bodies.any(axis=-1))  # (M, T, V)
    is_absent = is_zero.all(axis=2, keepdims=True)  # (M, T, 1)
    if is_absent.all():
        raise RawFileError(where, 0, f"no body in any of {bodies.shape[1]} frames")
    is_always_zero = is_zero.all(axis=1, keepdims=True)  # (M, 1, V)
    is_origin = is_always_zero & (is_always_zero.sum(axis=2, keepdims=True) == 1)
    is_untracked = is_zero & ~is_absent & ~is_origin
    if is_untracked.any():
        body, frame = _first(is_untracked.any(axis=-1))
        found = ", ".join(np.array(layout.joints)[is_zero[body, frame]])
        expected = "expected joints that were not tracked to be filled in"
        raise RawFileError(
            where, 0, f"frame {frame + 1}, body {body + 1}: {expected}, found 0, 0, 0 for {found}"
        )


def _first(mask: np.ndarray) -> tuple[int, int]:
    """Return body and frame of the first frame in which `mask` (M, T) is true for a body."""
    frame = mask.any(axis=0).argmax()
    return int(mask[:, frame].argmax()), int(frame)
