"""Raw files of a dataset: how they are found and read in folders and zips."""

import os
import stat
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from scdnet.errors import ScdnetError
from scdnet.files import DAMAGED_FILE_ERRORS
from scdnet.raw.file_kinds import describe_bytes
from scdnet.raw.guess import describe_guess

# Limits of one raw file, as a damaged or hostile one may claim any size and must not exhaust the
# memory. A body of a `.skeleton` file takes some 3 kB a frame.
MAX_BYTES = 2**26
MAX_LINES = 2**21
MAX_WORDS = 2**23
# Two hours at 30 Hz.
MAX_FRAMES = 216_000
# Metres; float32 arithmetic overflows above it.
MAX_COORDINATE = 1e30
# Bytes that tell what a file is.
NUM_PEEKED = 4096
# Suffixes of files that contain others.
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")
# Characters of a file, and of another error, that an error message quotes.
MAX_QUOTED = 40
MAX_REASON = 200


class RawFileError(ScdnetError):
    """A raw file that cannot be used; `line` counts from 1, 0 means the whole file."""

    def __init__(self, where: str, line: int, reason: str) -> None:
        super().__init__(where, line, reason)

    def __str__(self) -> str:
        where, line, reason = self.args
        return f"{where}:{line}: {reason}" if line else f"{where}: {reason}"


def check_at_most(limit: int, found: int, what: str, where: str) -> None:
    """Raise RawFileError if a raw file contains more of something than it may."""
    if found > limit:
        raise RawFileError(where, 0, f"expected at most {limit} {what}, found {found}")


def reason_of(error: Exception) -> str:
    """Return what an error tells, as a message shows it: on one line and short."""
    return " ".join(str(error).split())[:MAX_REASON] or type(error).__name__


def unreadable(where: str, error: Exception) -> RawFileError:
    """Return the error over a file whose reading has failed."""
    return RawFileError(where, 0, f"cannot be read: {reason_of(error)}")


def quote(text: str) -> str:
    """Return a piece of a raw file as an error message shows it: printable and short."""
    return repr(text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 3] + "...")


class RawFile(NamedTuple):
    """A file on disk, or a member of a zip: its path inside the zip and its number there.

    Two members may have the same path, so the number tells them apart.
    """

    path: str
    inner: str = ""
    member: int = -1
    # The folder in which the file was searched for.
    root: str = ""

    @property
    def where(self) -> str:
        """Return the name of the file in messages and lists."""
        return f"{self.path}/{self.inner}" if self.inner else self.path

    @property
    def stem(self) -> str:
        """Return the file name without folders and suffix."""
        # Zips made on Windows may contain backslashes.
        return Path(self.inner.replace("\\", "/") or self.path).stem

    @property
    def relative(self) -> str:
        """Return the path below the folder or zip that was searched, without suffix."""
        if self.inner:
            path = PurePosixPath(self.inner.replace("\\", "/"))
        else:
            path = PurePosixPath(self.path)
            path = path.relative_to(self.root or path.parent)
        return str(path.with_suffix(""))

    def read(self, num_bytes: int = -1) -> bytes:
        """Read the content, or only its first bytes. Raises RawFileError."""
        try:
            file, size = self._open()
            with file:
                if num_bytes < 0:
                    check_at_most(MAX_BYTES, size, "bytes", self.where)
                return file.read(num_bytes)
        except DAMAGED_FILE_ERRORS as error:
            raise unreadable(self.where, error) from error

    def _open(self) -> tuple[IO[bytes], int]:
        """Open the file and return it with its size in bytes."""
        if self.inner:
            archive = _open_zip(self.path, os.getpid())
            member = archive.infolist()[self.member]
            return archive.open(member), member.file_size
        status = Path(self.path).stat()
        # Reading a pipe could block for ever.
        if not stat.S_ISREG(status.st_mode):
            raise OSError("expected a regular file")
        return Path(self.path).open("rb"), status.st_size


def find_raw_files(root: Path, suffixes: str | tuple[str, ...]) -> list[RawFile]:
    """Find all files in the folder or zip `root` whose name ends in one of `suffixes`, in any case.

    They are sorted by path. Links to folders are followed; each folder is searched once. What
    macOS adds to zips is passed over. `root` may also be such a file itself. Raises RawFileError if
    it is none of these.
    """
    if root.is_dir():
        return sorted(
            RawFile(path, root=str(root))
            for path in _walk(root)
            if path.lower().endswith(suffixes) and not _is_of_macos(path)
        )
    if not root.exists():
        raise RawFileError(str(root), 0, "no such folder or zip")
    if root.name.lower().endswith(suffixes):
        return [RawFile(str(root))]
    if guess := describe_guess(root):
        raise RawFileError(str(root), 0, f"expected a folder or a zip, found {guess}")
    return sorted(
        RawFile(str(root), member.filename, number)
        for number, member in enumerate(_list_zip(root))
        if member.filename.lower().endswith(suffixes)
        and not member.is_dir()
        and not _is_of_macos(member.filename)
    )


def find_archives(root: Path) -> list[str]:
    """List the archives in the folder or zip `root`, which are not searched."""
    paths = _walk(root) if root.is_dir() else (member.filename for member in _list_zip(root))
    return sorted(
        path for path in paths if path.lower().endswith(ARCHIVES) and not _is_of_macos(path)
    )


def _is_of_macos(path: str) -> bool:
    """Check whether a file is one that macOS adds beside another, with its attributes."""
    parts = path.replace("\\", "/").split("/")
    return parts[-1].startswith("._") or "__MACOSX" in parts


def _list_zip(root: Path) -> list[zipfile.ZipInfo]:
    """List the members of a zip. Raises RawFileError that says what the file is instead."""
    try:
        with zipfile.ZipFile(root) as archive:
            return archive.infolist()
    except DAMAGED_FILE_ERRORS as error:
        reason = _describe_damage(root) or error
        raise RawFileError(str(root), 0, f"expected a folder or a zip, found {reason}") from error


def _describe_damage(root: Path) -> str | None:
    """Return what a file that should be a zip is, None if its first bytes do not tell."""
    try:
        with root.open("rb") as file:
            head = file.read(NUM_PEEKED)
    except OSError:
        return None
    if head.startswith(b"PK"):
        return "an incomplete zip, whose end is missing; download or copy it again"
    return describe_bytes(head)


def _walk(root: Path) -> Iterator[str]:
    """Yield the paths of all files below `root`. Raises OSError if a folder cannot be read."""

    def refuse(error: OSError) -> None:
        raise error

    visited = set()
    for folder, subfolders, names in os.walk(root, onerror=refuse, followlinks=True):
        real_path = os.path.realpath(folder)
        # Links may form a circle.
        if real_path in visited:
            subfolders.clear()
            continue
        visited.add(real_path)
        # Sorted, so that every machine follows the same of two links to one folder.
        subfolders.sort()
        for name in names:
            # A Path per file would be slow.
            yield os.path.join(folder, name)  # noqa: PTH118


@lru_cache(maxsize=4)
def _open_zip(path: str, process: int) -> zipfile.ZipFile:
    """Open a zip and keep it open for the next member.

    Each process opens its own, because forked ones would share the position in the file.
    """
    return zipfile.ZipFile(path)
