"""Temporary files for members of compressed archives, which must be read in any order."""

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from scdnet.files import PatientFile
from scdnet.raw.raw_files import RawFileError

# Bytes that are copied at a time.
BLOCK_BYTES = 2**20


class Scratch:
    """A folder of temporary files beside `out`, made when needed and removed at the end."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._num_files = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def unpack(self, member: IO[bytes], num_bytes: int, where: str) -> Path:
        """Copy a member of an archive to a temporary file of the same suffix; say what it takes.

        Raises RawFileError if the member is not of `num_bytes` or the disk has not enough room, and
        what reading a damaged archive raises.
        """
        folder = self._make_folder()
        num_free = shutil.disk_usage(folder).free
        size = format_size(num_bytes)
        if num_bytes > num_free:
            raise RawFileError(
                where, 0, f"unpacking takes {size} beside --out, which has {format_size(num_free)}"
            )
        print(f"Unpacking {where}: {size} in a temporary file beside {self._out}", flush=True)
        path = folder / f"{self._num_files}{Path(where).suffix}"
        self._num_files += 1
        with PatientFile(path) as file:
            left = num_bytes
            while left and (block := member.read(min(BLOCK_BYTES, left))):
                file.write(block)
                file.check()
                left -= len(block)
        # This read compares the sum of all bytes to that in the archive.
        if left or member.read(1):
            found = "more" if not left else f"{num_bytes - left}"
            raise RawFileError(where, 0, f"expected {num_bytes} bytes, found {found}")
        return path

    def _make_folder(self) -> Path:
        if self._folder is None:
            self._out.parent.mkdir(parents=True, exist_ok=True)
            self._folder = tempfile.TemporaryDirectory(
                prefix=f".{self._out.name}.", dir=self._out.parent
            )
        return Path(self._folder.name)


def format_size(num_bytes: int) -> str:
    """Return a number of bytes in GB, or in MB if it is small."""
    if num_bytes >= 10**9:
        return f"{num_bytes / 10**9:.1f} GB"
    return f"{num_bytes / 10**6:.1f} MB"
