"""Arrays that stay in a file until they are needed: of pickles, and of `.npy` files and members."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scdnet.raw.npy import MAX_AXES, read_header
from scdnet.raw.raw_files import RawFileError, unreadable
from scdnet.raw.ready_made.sources import Source

# One array of a pickle: an hour of two bodies at 30 Hz takes 130 MB. A damaged one may claim more.
MAX_ARRAY_BYTES = 2**28
# The types of numpy that a pickle may contain: numbers, texts, and objects of other admitted kinds.
TYPE_CODE = re.compile(r"b1|[iu][1248]|f[248]|[US]\d{1,5}|O[48]?")
OBJECTS = "O"


class Payload(NamedTuple):
    """The place of long bytes in a pickle; `length` is their number once they are decoded.

    With `is_utf8`, each byte is written as a character in UTF-8, as protocol 2 does.
    """

    offset: int
    num_bytes: int
    length: int
    is_utf8: bool


class TypeCode:
    """A numpy type as a pickle describes it: first its kind and size, then its byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: str | bytes) -> None:
        self.code = code.decode("latin-1") if isinstance(code, bytes) else code
        self.order = "="
        if not TYPE_CODE.fullmatch(self.code):
            raise ValueError(f"a numpy type {self.code[:20]!r}")

    def set_order(self, order: str | bytes) -> None:
        """Set the byte order: "<", ">", or "|" where it does not matter."""
        self.order = order.decode("latin-1") if isinstance(order, bytes) else order
        if self.order not in ("<", ">", "|", "="):
            raise ValueError(f"a byte order {self.order[:20]!r}")

    @property
    def numpy(self) -> np.dtype[Any]:
        """Return the type."""
        return np.dtype(self.order + self.code)


class StoredArray:
    """An array of a pickle: its type and shape; `read` reads its numbers.

    An array of objects has `items` instead, which are already read.
    """

    __slots__ = ("_code", "_data", "_is_fortran", "items", "path", "shape", "where")

    def __init__(self, path: Path, where: str) -> None:
        self.path = path
        self.where = where
        self.shape: tuple[int, ...] = ()
        self.items: list[Any] | None = None
        self._code: TypeCode | None = None
        self._data: bytes | Payload = b""
        self._is_fortran = False

    @property
    def code(self) -> str:
        """Return the kind and size of its numbers, such as "f4"; "O" for objects."""
        return self._code.code if self._code else OBJECTS

    @property
    def kind(self) -> str:
        """Return the kind of its numbers as numpy's `dtype.kind`."""
        return self.code[0]

    def fill(
        self, shape: tuple[int, ...], code: TypeCode, data: Any, *, is_fortran: bool = False
    ) -> None:
        """Set the content. Raises ValueError if shape and content do not fit together."""
        if len(shape) > MAX_AXES or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError("an array of an impossible shape")
        size = math.prod(shape)
        if code.code.startswith(OBJECTS):
            if type(data) is not list or len(data) != size:
                raise ValueError(f"an array of objects of shape {shape} without its items")
            self.items = data
        else:
            if type(data) is str:
                data = data.encode("latin-1")
            if type(data) not in (bytes, Payload):
                raise ValueError(f"an array whose numbers are a {type(data).__name__}")
            found = data.length if isinstance(data, Payload) else len(data)
            expected = size * code.numpy.itemsize
            if found != expected:
                raise ValueError(f"an array of shape {shape} of {found} bytes, not {expected}")
            self._data = data
        self.shape = shape
        self._code = code
        self._is_fortran = is_fortran

    def read(self) -> np.ndarray:
        """Read the array. Raises RawFileError."""
        if self._code is None or self.items is not None:
            raise RawFileError(self.where, 0, "expected an array of numbers, found one of objects")
        data = self._data
        if isinstance(data, Payload):
            data = self._read_payload(data)
        array = np.frombuffer(data, self._code.numpy)
        return array.reshape(self.shape, order="F" if self._is_fortran else "C")

    def _read_payload(self, payload: Payload) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(payload.offset)
                data = file.read(payload.num_bytes)
            data = data.decode("utf-8").encode("latin-1") if payload.is_utf8 else data
        except (OSError, UnicodeError) as error:
            raise RawFileError(self.where, 0, f"an array cannot be read ({error})") from error
        if len(data) != payload.length:
            raise RawFileError(self.where, 0, "an array is not what it was: did the file change?")
        return data


@dataclass(frozen=True)
class ArrayFile:
    """The array of a `.npy` file, or of a member of a `.npz`, read row by row; picklable."""

    path: Path
    where: str
    # Bytes before the numbers.
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool = False

    def map(self) -> np.ndarray:
        """Return the array, of which only the parts that are used are read. Raises RawFileError."""
        if not math.prod(self.shape):
            return np.empty(self.shape, self.dtype)
        try:
            return np.memmap(
                self.path,
                self.dtype,
                "r",
                offset=self.offset,
                shape=self.shape,
                order="F" if self.is_fortran else "C",
            )
        except (OSError, ValueError) as error:
            raise unreadable(self.where, error) from error

    def read_row(self, index: int) -> np.ndarray:
        """Read one row along the first axis. Raises RawFileError."""
        return np.array(self.map()[index])


def open_npy(source: Source, *, start: int = 0, size: int | None = None) -> ArrayFile:
    """Read the header of a `.npy` file that begins at byte `start` and has `size` bytes.

    Raises RawFileError if it is none, or its shape does not fit its size.
    """
    try:
        if size is None:
            size = source.path.stat().st_size - start
        with source.path.open("rb") as file:
            file.seek(start)
            shape, is_fortran, dtype = read_header(file, size, source.where)
            offset = file.tell()
    except OSError as error:
        raise unreadable(source.where, error) from error
    return ArrayFile(source.path, source.where, offset, shape, dtype, is_fortran)
