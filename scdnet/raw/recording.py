"""Read a single recording of any supported format, without a dataset around it."""

from pathlib import Path
from typing import Any

import numpy as np

from scdnet.errors import ScdnetError
from scdnet.raw import custom_frames, ntu
from scdnet.raw.custom_files import SUFFIXES
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
        raise ScdnetError(
            f"{path}: expected a name that ends in one of {', '.join((ntu.SUFFIX, *SUFFIXES))}"
        )
    given: dict[str, Any] = {"layout": layout, "unit": unit, "up": up}
    for name, choices in custom_frames.CAPTURE_CHOICES.items():
        allowed = choices if is_custom else (None,)
        if given[name] not in allowed:
            raise ScdnetError(
                f"{path}: expected {name} to be {' or '.join(map(str, allowed))} for a {suffix} "
                f"file, found {given[name]}"
            )
    data = RawFile(str(path)).read()
    if is_custom:
        return custom_frames.read_frames(data, str(path), custom_frames.CaptureSpec(**given))
    return ntu.read_frames(data, str(path))
