"""A file that survives a full disk while HDF5 writes to it."""

import io
from collections.abc import Callable
from pathlib import Path


class PatientFile(io.RawIOBase):
    """A new file that hides its first failed write and drops the later ones.

    HDF5 crashes the process over a write that fails while it closes a file. The user of this class
    checks `error`, the first failure, instead.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb+", buffering=0)
        self.error: OSError | None = None

    # RawIOBase accepts any buffer here and in `readinto`; h5py passes these.
    def write(self, data: "bytes | memoryview") -> int:  # type: ignore[override]
        """Write all of `data`, and report so even if it failed."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while len(rest) and self.error is None:
            written = self._attempt(self._file.write, rest)
            rest = rest[written or 0 :]
        return size

    def truncate(self, size: int | None = None) -> int:
        """Resize the file, and report so even if it failed."""
        self._attempt(self._file.truncate, size)
        return size if size is not None else self.tell()

    def _attempt(self, change: Callable[..., int], argument: object) -> int | None:
        if self.error is None:
            try:
                return change(argument)
            except OSError as error:
                self.error = error
        return None

    def readinto(self, buffer: bytearray) -> int | None:  # type: ignore[override]
        """Read as from any file."""
        return self._file.readinto(buffer)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Seek as in any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position as of any file."""
        return self._file.tell()

    def readable(self) -> bool:
        """Return True; the file can also be written and searched."""
        return True

    writable = readable
    seekable = readable

    def close(self) -> None:
        """Close the file without reporting an earlier failure again."""
        self._file.close()
        super().close()
