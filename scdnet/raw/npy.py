"""The `.npy` format of numpy, read without trust in what a file states about itself."""

import io
import math
from typing import IO, Any

import numpy as np

from scdnet.raw.file_kinds import describe_bytes
from scdnet.raw.raw_files import NUM_PEEKED, RawFileError, reason_of

# The first bytes of a `.npy`.
MAGIC = b"\x93NUMPY"
MAX_AXES = 8
IMPORTER = "`scdnet prepare import --format {}`"


def parse_npy(data: bytes, where: str) -> np.ndarray:
    """Return the array in the content of a `.npy` file. Raises RawFileError, also for objects."""
    file = io.BytesIO(data)
    shape, is_fortran, dtype = read_header(file, len(data), where)
    if dtype.hasobject:
        raise RawFileError(
            where,
            0,
            "expected an array of numbers, found one of Python objects, which are not read; "
            f"annotations of pyskl go to {IMPORTER.format('pyskl')}, files of NTU's txt2npy.py to "
            f"{IMPORTER.format('txt2npy')}",
        )
    array = np.frombuffer(data, dtype, math.prod(shape), file.tell())
    return array.reshape(shape, order="F" if is_fortran else "C")


def read_header(
    file: IO[bytes], size: int, where: str
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read shape, whether the order is Fortran's, and type of a `.npy` file of `size` bytes.

    Raises RawFileError if it is none, or shape and size do not fit: numpy itself allocates whatever
    a header states.
    """
    start = file.tell()
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version in ((2, 0), (3, 0)):
            # The headers of both differ only in the characters of names of fields.
            shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"an unknown version {version} of the format")
    except Exception as error:
        # numpy parses the header as a Python expression: a damaged one raises errors of any kind.
        file.seek(start)
        head = file.read(min(size, NUM_PEEKED))
        kind = None if head.startswith(MAGIC) else describe_bytes(head)
        raise RawFileError(
            where, 0, f"expected an array as numpy.save writes it ({kind or reason_of(error)})"
        ) from error
    found = start + size - file.tell()
    expected = math.prod(shape) * dtype.itemsize
    is_possible = len(shape) <= MAX_AXES and min(shape, default=0) >= 0
    # A type may have a shape of its own, or no size.
    is_possible = is_possible and dtype.shape == () and dtype.itemsize > 0
    if not is_possible or (found != expected and not dtype.hasobject):
        raise RawFileError(
            where, 0, f"expected {expected} bytes of {dtype} in shape {shape}, found {found}"
        )
    return shape, is_fortran, dtype
