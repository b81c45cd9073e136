"""A file whose disk may fill up while HDF5 writes to it."""

import io
from collections.abc import Callable
from pathlib import Path


class PatientFile(io.RawIOBase):
    """A new file that hides its first failed write, and drops what comes after it; `error` is what failed.

    HDF5 crashes the process over a write that fails while it closes a file. Whoever uses this looks at `error`.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb+", buffering=0)
        self.error: OSError | None = None

    def write(self, data: "bytes | memoryview") -> int:
        """All of `data`, or as if."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while len(rest) and self.error is None:
            rest = rest[self._attempt(lambda rest=rest: self._file.write(rest)) or 0 :]
        return size

    def truncate(self, size: int | None = None) -> int:
        """To `size` bytes, or as if."""
        self._attempt(lambda: self._file.truncate(size))
        return size if size is not None else self.tell()

    def _attempt(self, change: Callable[[], int]) -> int | None:
        if self.error is None:
            try:
                return change()
            except OSError as error:
                self.error = error
        return None

    def readinto(self, buffer: bytearray) -> int | None:
        """As of any file."""
        return self._file.readinto(buffer)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def readable(self) -> bool:
        """Yes."""
        return True

    writable = seekable = readable

    def close(self) -> None:
        """Close the file; what failed before has been told already."""
        self._file.close()
        super().close()
