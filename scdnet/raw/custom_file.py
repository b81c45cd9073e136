"""The files of own recordings (docs/data.md): their bytes to joint positions, or what is wrong with them."""

from pathlib import Path

import numpy as np

from scdnet.raw.custom_csv import read_csv
from scdnet.raw.custom_npz import read_npz
from scdnet.raw.layouts import Layout
from scdnet.raw.raw_files import LARGEST, RawFileError

READERS = {".npz": read_npz, ".csv": read_csv}
SUFFIXES = tuple(READERS)


def read_joints(data: bytes, where: str, layout: Layout) -> np.ndarray:
    """Read the content of one recording; the end of `where`, its name, says of which kind it is.

    Returns (M, T, V, C) float64 in the file's own unit and axes, V the joints of `layout`; a body that is not there is
    all zero. Raises RawFileError for content of another form, numbers that are not finite, joints that were not
    tracked, and where no frame has a body.
    """
    reader = READERS.get(Path(where).suffix.lower())
    if reader is None:
        raise RawFileError(where, 0, f"expected a name that ends in {' or '.join(SUFFIXES)}")
    bodies = reader(data, where, len(layout.joints)).swapaxes(0, 1).astype(np.float64)
    check_finite(bodies, where, layout)
    check_tracked(bodies, where, layout)
    return bodies


def check_finite(bodies: np.ndarray, where: str, layout: Layout) -> None:
    """Raise RawFileError if a coordinate of (M, T, V, C) is nan, infinite or beyond what float32 can work with."""
    is_sound = (np.abs(bodies) < LARGEST).all(axis=-1)  # nan is not
    if not is_sound.all():
        body, frame = _first(~is_sound.all(axis=-1))
        joint = (~is_sound[body, frame]).argmax()
        found = ", ".join(f"{value:g}" for value in bodies[body, frame, joint])
        place = f"frame {frame + 1}, body {body + 1}"
        raise RawFileError(
            where, 0, f"{place}: expected finite numbers, found {found} for {layout.joints[joint]}"
        )


def check_tracked(bodies: np.ndarray, where: str, layout: Layout) -> None:
    """Raise RawFileError if a joint of a body that is there, in (M, T, V, C), is 0, 0, 0 and so was not tracked.

    One joint of a body may be, if it is in all frames: it is the origin. Raises as well if there is no body at all.
    """
    is_zero = ~bodies.any(axis=-1)  # (M, T, V)
    is_absent = is_zero.all(axis=2, keepdims=True)  # (M, T, 1)
    if is_absent.all():
        raise RawFileError(where, 0, f"no body in any of {bodies.shape[1]} frames")
    is_always = is_zero.all(axis=1, keepdims=True)  # (M, 1, V)
    is_origin = is_always & (is_always.sum(axis=2, keepdims=True) == 1)
    is_untracked = is_zero & ~is_absent & ~is_origin
    if is_untracked.any():
        body, frame = _first(is_untracked.any(axis=-1))
        found = ", ".join(np.array(layout.joints)[is_zero[body, frame]])
        expected = "expected joints that were not tracked to be filled in"
        raise RawFileError(
            where, 0, f"frame {frame + 1}, body {body + 1}: {expected}, found 0, 0, 0 for {found}"
        )


def _first(mask: np.ndarray) -> tuple[int, int]:
    """Body and frame of the first frame in which (M, T) is true for a body."""
    frame = mask.any(axis=0).argmax()
    return mask[:, frame].argmax(), frame
