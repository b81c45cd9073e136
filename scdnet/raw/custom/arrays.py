"""Custom recordings as `.npz` and `.npy`: from bytes to positions (docs/data/own.md)."""

import io
import zipfile
from collections.abc import Iterable

import numpy as np

from scdnet.files import DAMAGED_FILE_ERRORS
from scdnet.raw.custom.array_shapes import add_score, check_shape
from scdnet.raw.custom.reading import Reading
from scdnet.raw.file_kinds import describe_bytes
from scdnet.raw.npy import IMPORTER, MAGIC, parse_npy
from scdnet.raw.raw_files import MAX_BYTES, RawFileError, check_at_most, unreadable
from scdnet.skeleton import Skeleton

# The array of a `.npz` that contains several.
MEMBER = "joints"
# The arrays of an annotation of pyskl.
PYSKL_MEMBERS = {"keypoint", "frame_dir", "total_frames", "keypoint_score", "annotations"}
# An axis of frames is smoother than one of joints, by far.
MAX_ROUGHNESS = 2


def read_npz(data: bytes, where: str, skeleton: Skeleton) -> Reading:
    """Read the array `joints`, or the only one, of a `.npz`, as `read_npy` does."""
    return read_npy(read_member(data, where), where, skeleton)


def read_npy(data: bytes, where: str, skeleton: Skeleton) -> Reading:
    """Read an array of shape (T, V, 3) or (T, M, V, 3), of any real type.

    2-D skeletons may lack the score: (..., V, 2). Raises RawFileError for a damaged file and for an
    array of another shape or type.
    """
    return read_array(parse_npy(data, where), where, skeleton)


def read_array(joints: np.ndarray, where: str, skeleton: Skeleton) -> Reading:
    """Read an array in memory as `read_npy` does that of a file. Raises RawFileError."""
    if joints.dtype.kind not in "fiu":
        raise RawFileError(
            where, 0, f"expected an array of real numbers, found one of {joints.dtype}"
        )
    check_shape(joints.shape, where, skeleton)
    check_transposed(joints, where, skeleton)
    # An array without an axis of bodies has one body.
    bodies = joints.reshape(len(joints), -1, *joints.shape[-2:]).swapaxes(0, 1)
    return Reading(add_score(bodies))


def read_member(data: bytes, where: str) -> bytes:
    """Return the `.npy` file of the array `joints`, or of the only array, in a `.npz`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {
                member.filename.removesuffix(".npy"): member for member in archive.infolist()
            }
            name = next(iter(members)) if len(members) == 1 else MEMBER
            if name not in members:
                raise RawFileError(where, 0, describe_members(members.keys()))
            check_at_most(MAX_BYTES, members[name].file_size, "bytes", where)
            return archive.read(members[name])
    except zipfile.BadZipFile as error:
        raise RawFileError(where, 0, describe_damage(data, str(error))) from error
    except DAMAGED_FILE_ERRORS as error:
        raise unreadable(where, error) from error


def describe_damage(data: bytes, reason: str) -> str:
    """Return what is wrong with a `.npz` that cannot be read as a zip."""
    if data.startswith(b"PK\x03\x04"):
        if zipfile.is_zipfile(io.BytesIO(data)):
            return f"cannot be read: {reason}"
        return "cannot be read: an incomplete file, its end is missing; copy or save it again"
    if data.startswith(MAGIC):
        return "cannot be read: a single array, whose name must end in .npy"
    kind = describe_bytes(data)
    return f"cannot be read: {reason}" + (f"; found {kind}" if kind else "")


def describe_members(names: Iterable[str]) -> str:
    """Return what is wrong with the arrays of a `.npz` that has several but no `joints`."""
    found = sorted(names)
    reason = f"expected an array {MEMBER!r}, found {', '.join(found) or 'none'}"
    if PYSKL_MEMBERS & set(found):
        return (
            f"{reason}: an annotation of pyskl; convert the pickle that contains all of them with "
            f"{IMPORTER.format('pyskl')}, or save keypoint.transpose(1, 0, 2, 3) as {MEMBER!r}"
        )
    return reason


def check_transposed(joints: np.ndarray, where: str, skeleton: Skeleton) -> None:
    """Raise RawFileError if (V, V, 3) has its frames in the second axis, as its numbers tell."""
    if joints.ndim != 3 or len(joints) != skeleton.num_joints:
        return
    positions = joints.astype(np.float64)
    steps = [np.abs(np.diff(positions, axis=axis)).mean() for axis in (0, 1)]
    if steps[0] > MAX_ROUGHNESS * steps[1]:
        raise RawFileError(
            where,
            0,
            f"expected an array of shape (frames, joints, 3), found {joints.shape}, whose numbers "
            "look like (joints, frames, coordinates); save joints.transpose(1, 0, 2)",
        )
