"""Own recordings as `.npz` (docs/data.md): an array of joint positions, or what is wrong with it."""

import io
import math
import zipfile

import numpy as np

from scdnet.raw.raw_files import MAX_BYTES, MAX_FRAMES, READ_ERRORS, RawFileError, check_at_most

ARRAY = "joints"  # its name, where there are several
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}  # by version


def read_npz(data: bytes, where: str, num_joints: int) -> np.ndarray:
    """(T, M, V, C) of any real type: the array `joints`, or the only one, of shape (T, V, 3) or (T, M, V, 3)."""
    content = read_member(data, where)
    file = io.BytesIO(content)
    try:
        shape, is_fortran, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    except Exception as error:  # of many kinds: numpy evaluates what stands in the header
        raise RawFileError(
            where, 0, f"expected an array as numpy.savez writes it ({error})"
        ) from error
    if dtype.kind not in "fiu":
        raise RawFileError(where, 0, f"expected an array of real numbers, found one of {dtype}")
    if len(shape) not in (3, 4) or shape[-2:] != (num_joints, 3):
        expected = f"(frames, {num_joints}, 3) or (frames, bodies, {num_joints}, 3)"
        raise RawFileError(where, 0, f"expected an array of shape {expected}, found {shape}")
    if min(shape) < 1 or shape[0] > MAX_FRAMES:
        raise RawFileError(
            where, 0, f"expected 1 to {MAX_FRAMES} frames of one body or more, found shape {shape}"
        )
    expected, found = math.prod(shape) * dtype.itemsize, len(content) - file.tell()
    if expected != found:
        raise RawFileError(
            where, 0, f"expected {expected} bytes of {dtype} in shape {shape}, found {found}"
        )
    joints = np.frombuffer(content, dtype, offset=file.tell()).reshape(
        shape, order="F" if is_fortran else "C"
    )
    return joints.reshape(shape[0], -1, num_joints, 3)


def read_member(data: bytes, where: str) -> bytes:
    """The file of the array `joints`, or of the only array, in a `.npz`."""
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
    except READ_ERRORS as error:
        raise RawFileError(where, 0, f"cannot be read: {error or type(error).__name__}") from error
