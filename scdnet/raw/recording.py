"""Read a single recording of any supported format, without a dataset around it."""

from pathlib import Path

import numpy as np

from scdnet.errors import ScdnetError
from scdnet.raw import custom_frames, ntu
from scdnet.raw.custom_files import SUFFIXES
from scdnet.raw.raw_files import RawFile
from scdnet.skeleton import Skeleton


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
    suffix = Path(path).suffix.lower()
    given = {"layout": layout, "skeleton": skeleton, "unit": unit, "up": up, "to": to}
    if suffix == ntu.SUFFIX:
        for name, value in given.items():
            if value is not None:
                raise ScdnetError(f"{path}: {name} is not used for a {suffix} file; omit it")
        return ntu.read_frames(RawFile(str(path)).read(), str(path))
    if suffix not in SUFFIXES:
        raise ScdnetError(
            f"{path}: expected a name that ends in one of {', '.join((ntu.SUFFIX, *SUFFIXES))}"
        )
    try:
        capture = custom_frames.make_capture(**given)
    except ScdnetError as error:
        raise ScdnetError(f"{path}: {error}") from None
    return custom_frames.read_frames(RawFile(str(path)).read(), str(path), capture)
