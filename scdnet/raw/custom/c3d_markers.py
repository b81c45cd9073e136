"""Motion capture as `.c3d`: markers, through the package c3d (docs/data/own.md)."""

import importlib
import io
import warnings
from types import ModuleType
from typing import Any

import numpy as np

from scdnet.errors import ScdnetError
from scdnet.files import name_download_fault
from scdnet.raw.custom.joint_names import match_joints
from scdnet.raw.custom.reading import Reading
from scdnet.raw.raw_files import MAX_FRAMES, RawFileError, check_at_most
from scdnet.skeleton import Skeleton


def read_c3d(data: bytes, where: str, skeleton: Skeleton) -> Reading:
    """Read a `.c3d` file in its unit and axes; the markers are found by their names.

    A marker that was not found is 0. Raises RawFileError for a damaged file and if a joint of the
    skeleton is missing, and ScdnetError if the package c3d is.
    """
    c3d = _import_c3d(where)
    try:
        with warnings.catch_warnings():
            # The package warns of metadata that it does not need.
            warnings.simplefilter("ignore")
            names, markers = _read_markers(c3d.Reader(io.BytesIO(data)), where)
    except RawFileError:
        raise
    except Exception as error:
        # A damaged file raises errors of any kind in there.
        found = name_download_fault(data) if data else "an empty file"
        reason = found or error or type(error).__name__
        raise RawFileError(where, 0, f"not a readable C3D file ({reason})") from error
    return Reading(markers[None, :, match_joints(names, skeleton, where)])


def _import_c3d(where: str) -> ModuleType:
    """Return the package. Raises ScdnetError if it is not installed."""
    try:
        return importlib.import_module("c3d")
    except ImportError:
        raise ScdnetError(
            f"{where}: reading .c3d needs the package c3d; pip install 'scdnet[mocap]'"
        ) from None


def _read_markers(reader: Any, where: str) -> tuple[list[str], np.ndarray]:
    """Return the names of the markers and their positions: (T, markers, C), 0 where not found."""
    num_frames = reader.last_frame - reader.first_frame + 1
    num_markers = reader.point_used
    # The package would look for any number of frames, even without markers.
    check_at_most(MAX_FRAMES, num_frames, "frames", where)
    if num_frames < 1 or num_markers < 1:
        raise RawFileError(
            where, 0, f"expected frames of markers, found {num_frames} frames of {num_markers}"
        )
    # Columns are x, y, z, the residual, which is -1 where a marker was not found, and cameras.
    frames = [points for _, points, _ in reader.read_frames(copy=True)]
    if len(frames) != num_frames:
        raise RawFileError(
            where, 0, f"expected {num_frames} frames, found {len(frames)}; is the file cut short?"
        )
    points = np.stack(frames)
    names = [label.strip() for label in reader.point_labels]
    markers = np.where(points[..., 3:4] < 0, 0, points[..., :3])
    return names[:num_markers], markers.astype(np.float64)
