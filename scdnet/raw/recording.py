"""Read a single recording of any supported format, without a dataset around it."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scdnet.errors import ScdnetError
from scdnet.raw import ntu
from scdnet.raw.custom import frames as custom_frames
from scdnet.raw.custom.arrays import read_array
from scdnet.raw.custom.readers import finish_reading
from scdnet.raw.positions import find_recording, is_ntu, read_positions
from scdnet.skeleton import Skeleton
from scdnet.skeletons import SKELETONS

# The name of an array in memory in messages.
ARRAY = "array"


def read_recording(
    path: str | Path,
    *,
    layout: str | None = None,
    skeleton: str | Path | Skeleton | None = None,
    unit: str | None = None,
    up: str | None = None,
    to: str | None = None,
) -> np.ndarray:
    """Read one recording and normalize it; see `scdnet.read_recording`."""
    path = Path(path)
    given: dict[str, Any] = {
        "layout": layout,
        "skeleton": skeleton,
        "unit": unit,
        "up": up,
        "to": to,
    }
    recording = find_recording(path)
    capture = None
    if is_ntu(recording):
        for name, value in given.items():
            if value is not None:
                raise ScdnetError(f"{path}: {name} is not used for a {ntu.SUFFIX} file; omit it")
    else:
        try:
            capture = custom_frames.make_capture(**given)
        except ScdnetError as error:
            raise ScdnetError(f"{path}: {error}") from None
    positions = read_positions(recording, capture)
    frames = positions.normalize()
    _warn(str(path), positions.notes)
    return frames


def _warn(where: str, notes: Sequence[str]) -> None:
    """Warn of what the user should know about a recording."""
    for note in notes:
        # The line that is shown is the one that calls the function of the package.
        warnings.warn(f"{where}: {note}", stacklevel=4)


def normalize_frames(
    array: npt.ArrayLike,
    *,
    skeleton: str | Path | Skeleton = "ntu25",
    unit: str | None = None,
    up: str | None = None,
    to: str | None = None,
) -> np.ndarray:
    """Normalize a recording in memory; see `scdnet.normalize_frames`."""
    is_built_in = isinstance(skeleton, str) and skeleton in SKELETONS
    if isinstance(skeleton, str) and not is_built_in and not Path(skeleton).exists():
        raise ScdnetError(
            f"skeleton {skeleton}: expected one of {', '.join(SKELETONS)}, or a YAML file"
        )
    capture = custom_frames.make_capture(
        layout=str(skeleton) if is_built_in else None,
        skeleton=None if is_built_in else skeleton,
        unit=unit,
        up=up,
        to=to,
    )
    try:
        joints = np.asarray(array)
    except (ValueError, TypeError) as error:
        raise ScdnetError(f"{ARRAY}: expected an array of numbers ({error})") from None
    reading = read_array(joints, ARRAY, capture.skeleton)
    reading = finish_reading(reading, ARRAY, capture.skeleton)
    frames, notes = custom_frames.normalize_reading(reading, ARRAY, capture)
    _warn(ARRAY, notes)
    return frames
