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
from scdnet.raw.custom.openpose import FrameFiles, Recording, group_recordings
from scdnet.raw.custom.readers import SUFFIXES, finish_reading
from scdnet.raw.raw_files import RawFile, find_raw_files
from scdnet.skeleton import Skeleton
from scdnet.skeletons import SKELETONS

JSON = ".json"
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
    suffix = JSON if path.is_dir() else path.suffix.lower()
    given: dict[str, Any] = {
        "layout": layout,
        "skeleton": skeleton,
        "unit": unit,
        "up": up,
        "to": to,
    }
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
    recording = _find_recording(path) if suffix == JSON else RawFile(str(path))
    frames, notes = custom_frames.read_frames(recording.read(), recording.where, capture)
    _warn(str(path), notes)
    return frames


def _warn(where: str, notes: Sequence[str]) -> None:
    """Warn of what the user should know about a recording."""
    for note in notes:
        # The line that is shown is the one that calls the function of the package.
        warnings.warn(f"{where}: {note}", stacklevel=4)


def _find_recording(path: Path) -> Recording:
    """Return the only recording of JSON files in a folder, or that to which a file belongs."""
    if path.is_file():
        (recording,) = group_recordings([RawFile(str(path))])
        if not isinstance(recording, FrameFiles):
            return recording
        # The other frames are beside it.
        siblings = (RawFile(str(other)) for other in path.parent.iterdir())
        others = group_recordings(file for file in siblings if file.path.lower().endswith(JSON))
        return next(
            other
            for other in others
            if isinstance(other, FrameFiles) and recording.files[0] in other.files
        )
    recordings = group_recordings(find_raw_files(path, (JSON,)))
    if len(recordings) != 1:
        raise ScdnetError(
            f"{path}: expected one recording of {JSON} files, found {len(recordings)}; "
            "name the file, of OpenPose that of any frame"
        )
    return recordings[0]


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
