"""Custom recordings as `.npz` (docs/data/own.md): an array of joint positions."""

import io
import math
import zipfile

import numpy as np

from scdnet.files import DAMAGED_FILE_ERRORS
from scdnet.raw.raw_files import MAX_BYTES, MAX_FRAMES, RawFileError, check_at_most

ARRAY = "joints"


def read_npz(data: bytes, where: str, num_joints: int) -> np.ndarray:
    """Read the array `joints`, or the only one, of shape (T, V, 3) or (T, M, V, 3).

    Returns (T, M, V, C) of any real type. Raises RawFileError for a damaged file and for an array
    of another shape or type.
    """
    file = io.BytesIO(read_member(data, where))
    try:
        check_header(file, where, num_joints)
        file.seek(0)
        joints = np.lib.format.read_array(file, allow_pickle=False)
    except RawFileError:
        raise
    except Exception as error:
        # numpy parses the header as a Python expression: a damaged one raises errors of any kind.
        raise RawFileError(
            where, 0, f"expected an array as numpy.savez writes it ({error})"
        ) from error
    return joints.reshape(len(joints), -1, num_joints, 3)


def read_member(data: bytes, where: str) -> bytes:
    """Return the `.npy` file of the array `joints`, or of the only array, in a `.npz`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {
                member.filename.removesuffix(".npy"): member for member in archive.infolist()
            }
            name = next(iter(members)) if len(members) == 1 else ARRAY
            if name not in members:
                raise RawFileError(
                    where, 0, f"expected an array {ARRAY!r}, found {', '.join(members) or 'none'}"
                )
            check_at_most(MAX_BYTES, members[name].file_size, "bytes", where)
            return archive.read(members[name])
    except DAMAGED_FILE_ERRORS as error:
        raise RawFileError(where, 0, f"cannot be read: {error or type(error).__name__}") from error


def check_header(file: io.BytesIO, where: str, num_joints: int) -> None:
    """Raise RawFileError if a `.npy` file states a wrong type or shape, or its size does not fit.

    numpy allocates the stated shape before it reads: a damaged header could exhaust the memory.
    """
    if np.lib.format.read_magic(file) == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        # The headers of later versions differ only in the characters that names of fields may have.
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    if dtype.kind not in "fiu":
        raise RawFileError(where, 0, f"expected an array of real numbers, found one of {dtype}")
    is_of_joints = len(shape) in (3, 4) and shape[-2:] == (num_joints, 3)
    if not is_of_joints or min(shape) < 1 or shape[0] > MAX_FRAMES:
        raise RawFileError(
            where,
            0,
            f"expected an array of shape (frames, {num_joints}, 3) or (frames, bodies, "
            f"{num_joints}, 3) with 1 to {MAX_FRAMES} frames, found {shape}",
        )
    num_bytes = math.prod(shape) * dtype.itemsize
    num_found = file.getbuffer().nbytes - file.tell()
    if num_found != num_bytes:
        raise RawFileError(
            where, 0, f"expected {num_bytes} bytes of {dtype} in shape {shape}, found {num_found}"
        )
