"""Raw files of a data set: found in folders and zips, read from there, and what is wrong with them."""

import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, NamedTuple

from scdnet.errors import ScdnetError

# What a raw file may ask for; a damaged or hostile one may claim anything, and must not take the others with it.
MAX_BYTES = 2**26  # of one file; a body of a `.skeleton` takes some 3 kB a frame
MAX_LINES, MAX_WORDS = 2**21, 2**23  # of its text
MAX_FRAMES = 216_000  # two hours at 30 Hz
LARGEST = 1e30  # metres; beyond it float32 arithmetic overflows

READ_ERRORS = (  # all that reading a file or a damaged, encrypted or oddly packed zip member may raise
    OSError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


class RawFileError(ScdnetError):
    """A raw file that cannot be used: which one, at which line (from 1; 0 where there is none), and why."""

    def __init__(self, where: str, line: int, reason: str) -> None:
        super().__init__(where, line, reason)
        self.where, self.line, self.reason = where, line, reason

    def __str__(self) -> str:
        return (
            f"{self.where}:{self.line}: {self.reason}"
            if self.line
            else f"{self.where}: {self.reason}"
        )


def check_at_most(most: int, found: int, what: str, where: str) -> None:
    """Raise RawFileError if more is `found` of something than a raw file may have."""
    if found > most:
        raise RawFileError(where, 0, f"expected at most {most} {what}, found {found}")


def show(text: str) -> str:
    """A piece of a raw file as an error message shows it: printable and short."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


class RawFile(NamedTuple):
    """A file on disk, or a member of a zip."""

    path: str  # of the file or of the zip
    inner: str = ""  # path inside the zip
    member: int = -1  # the zip's entry number; two entries may have one name

    @property
    def where(self) -> str:
        """How messages and lists name the file."""
        return f"{self.path}/{self.inner}" if self.inner else self.path

    @property
    def stem(self) -> str:
        """File name without folders and suffix."""
        return Path(self.inner.replace("\\", "/") or self.path).stem  # Windows may have zipped it

    def read(self) -> bytes:
        """The whole content. Raises RawFileError."""
        return self._read(None)

    def read_start(self, num_bytes: int) -> bytes:
        """The first bytes of it, fewer if it is shorter. Raises RawFileError."""
        return self._read(num_bytes)

    def _read(self, num_bytes: int | None) -> bytes:
        try:
            file, size = self._open()
            with file:
                if num_bytes is None:
                    check_at_most(MAX_BYTES, size, "bytes", self.where)
                return file.read(-1 if num_bytes is None else num_bytes)
        except READ_ERRORS as error:
            raise RawFileError(
                self.where, 0, f"cannot be read: {error or type(error).__name__}"
            ) from error

    def _open(self) -> tuple[IO[bytes], int]:
        if self.inner:
            archive, members = _open_zip(self.path, os.getpid())
            return archive.open(members[self.member]), members[self.member].file_size
        status = Path(self.path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError("expected a regular file")  # a pipe would let us wait for ever
        return Path(self.path).open("rb"), status.st_size


def find_raw_files(root: Path, suffixes: str | tuple[str, ...]) -> list[RawFile]:
    """All files below the folder or inside the zip `root` whose name ends in one of `suffixes`, in any case.

    Sorted by path. Links to folders are followed; each folder is searched once. `root` may also be such a file itself.
    Raises RawFileError if it is neither that nor a folder nor a readable zip.
    """
    if root.is_dir():
        return sorted(RawFile(path) for path in _walk(root) if path.lower().endswith(suffixes))
    if not root.exists():
        raise RawFileError(str(root), 0, "no such folder or zip")
    if root.name.lower().endswith(suffixes):
        return [RawFile(str(root))]
    if root.suffix == ".7z":
        raise RawFileError(str(root), 0, "expected a folder or a zip; unpack a 7z first")
    try:
        with zipfile.ZipFile(root) as archive:
            members = archive.infolist()
    except READ_ERRORS as error:
        raise RawFileError(str(root), 0, f"expected a folder or a zip ({error})") from error
    return sorted(
        RawFile(str(root), member.filename, number)
        for number, member in enumerate(members)
        if member.filename.lower().endswith(suffixes) and not member.is_dir()
    )


def _walk(root: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise error

    seen = set()
    for folder, inner, names in os.walk(root, onerror=refuse, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # links may lead in circles
            inner.clear()
            continue
        seen.add(real)
        inner.sort()  # of two links to one folder the same is followed everywhere
        yield from (os.path.join(folder, name) for name in names)  # noqa: PTH118 (a Path per file is slow)


@lru_cache(maxsize=4)
def _open_zip(path: str, process: int) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    # Kept open for the next member, by each process its own: forked ones would share one file position.
    archive = zipfile.ZipFile(path)
    return archive, archive.infolist()
