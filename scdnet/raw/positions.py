"""Recordings before they are normalized, so that parts of long ones can be used on their own."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from scdnet.errors import ScdnetError
from scdnet.raw import ntu
from scdnet.raw.convert import describe_content
from scdnet.raw.custom.frames import CaptureSpec, describe_reading, normalize_bodies
from scdnet.raw.custom.openpose import FrameFiles, Recording, group_recordings
from scdnet.raw.custom.readers import SUFFIXES, read_joints
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.raw_files import RawFile, RawFileError, find_raw_files
from scdnet.skeletons import DEFAULT_SKELETON

JSON = ".json"
ALL_SUFFIXES = (ntu.SUFFIX, *SUFFIXES)


class Positions(NamedTuple):
    """The positions of a recording as its file contains them, checked."""

    where: str
    bodies: np.ndarray  # (any M, T, V, C)
    # A `.skeleton` file of NTU RGB+D needs none.
    capture: CaptureSpec | None
    # The user should know these about the recording.
    notes: tuple[str, ...] = ()

    @property
    def num_frames(self) -> int:
        """Return the length of the recording."""
        return self.bodies.shape[1]

    def normalize(self, first: int = 0, end: int | None = None) -> np.ndarray:
        """Normalize the frames from `first` to before `end` as a recording of their own.

        Returns float32 (T, M, V, C) as a store contains them: whoever moves most is body 0, upright
        and facing the front in the first of these frames. Raises RawFileError if nobody is there.
        """
        bodies = self.bodies[:, first:end]
        if not bodies.any():
            last = first + bodies.shape[1] - 1
            raise RawFileError(self.where, 0, f"no body in the frames {first} to {last}")
        if self.capture is None:
            return normalize(select_bodies(bodies), DEFAULT_SKELETON)
        return normalize_bodies(bodies, self.where, self.capture)


def is_ntu(recording: Recording) -> bool:
    """Check whether a recording is a `.skeleton` file of NTU RGB+D."""
    return recording.where.lower().endswith(ntu.SUFFIX)


def read_positions(recording: Recording, capture: CaptureSpec | None) -> Positions:
    """Read a recording; `capture` is not used for a `.skeleton` file. Raises RawFileError."""
    where = recording.where
    if is_ntu(recording):
        return Positions(where, ntu.parse_skeleton(recording.read(), where), None)
    assert capture is not None
    reading = read_joints(recording.read(), where, capture.skeleton)
    return Positions(where, reading.bodies, capture, describe_reading(reading, capture))


def find_recordings(root: Path) -> list[Recording]:
    """Find the recordings of all formats in a folder or zip, or return that of a file.

    Raises ScdnetError if there is none.
    """
    if root.is_file() and root.suffix.lower() in ALL_SUFFIXES:
        return [find_recording(root)]
    recordings = group_recordings(find_raw_files(root, ALL_SUFFIXES))
    if not recordings:
        raise ScdnetError(
            f"{root}: contains no file that ends in {' or '.join(ALL_SUFFIXES)}"
            f"{describe_content(root)}"
        )
    return recordings


def find_recording(path: Path) -> Recording:
    """Return the recording of a file, to which others may belong, or the only one of a folder.

    Only JSON files, of which OpenPose writes one for each frame, have others or are found in a
    folder. Raises ScdnetError.
    """
    suffix = JSON if path.is_dir() else path.suffix.lower()
    if suffix not in ALL_SUFFIXES:
        raise ScdnetError(f"{path}: expected a name that ends in one of {', '.join(ALL_SUFFIXES)}")
    return _find_json(path) if suffix == JSON else RawFile(str(path))


def _find_json(path: Path) -> Recording:
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
