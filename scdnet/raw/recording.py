"""Read a single recording of any supported format, without a dataset around it."""

from pathlib import Path
from typing import Any

import numpy as np

from scdnet.errors import ScdnetError
from scdnet.raw import custom_frames, ntu
from scdnet.raw.custom_file import SUFFIXES
from scdnet.raw.custom_frames import CAPTURE_CHOICES, CaptureSpec
from scdnet.raw.raw_files import RawFile


def read_recording(
    path: str | Path,
    *,
    layout: str | None = None,
    unit: str | None = None,
    up: str | None = None,
) -> np.ndarray:
    """Read one recording and normalize it; see `scdnet.read_recording`."""
    suffix = Path(path).suffix.lower()
    is_custom = suffix in SUFFIXES
    if suffix != ntu.SUFFIX and not is_custom:
        expected = ", ".join((ntu.SUFFIX, *SUFFIXES))
        raise ScdnetError(f"{path}: expected a name that ends in one of {expected}")
    given: dict[str, Any] = {"layout": layout, "unit": unit, "up": up}
    for name, choices in CAPTURE_CHOICES.items():
        allowed = choices if is_custom else (None,)
        if given[name] not in allowed:
            expected = " or ".join(map(str, allowed))
            raise ScdnetError(
                f"{path}: expected {name} to be {expected} for a {suffix} file, found {given[name]}"
            )
    file = RawFile(str(path))
    if is_custom:
        return custom_frames.read_frames(file.read(), file.where, CaptureSpec(**given))
    return ntu.read_frames(file.read(), file.where)
