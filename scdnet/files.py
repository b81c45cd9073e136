"""Files that appear when they are complete, their hashes, and what reading a damaged one raises."""

import errno
import hashlib
import io
import lzma
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from scdnet.errors import ScdnetError

T = TypeVar("T")
# Errors of systems that have no room for a file, and why that may be so although bytes are free.
NO_ROOM = {
    errno.ENOSPC: "",
    errno.EDQUOT: ", but not to this user",
    errno.EFBIG: ", but files of that size are not allowed (ulimit -f)",
}
# Ends the names of files that are being written.
PARTIAL = ".tmp"
# Ends the name of a directory that is being replaced.
EARLIER = ".old.tmp"

# The errors that zipfile, pickle, numpy, h5py and torch raise over damaged bytes.
# NotImplementedError, raised by zipfile for an unknown compression, is a RuntimeError.
DAMAGED_FILE_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)

WEB_PAGE = "a web page (HTML): the download was refused or needs a login"
# The first bytes, in lower case, of what often arrives instead of a file, and what that is.
DOWNLOAD_FAULTS = {
    b"<!doctype html": WEB_PAGE,
    b"<html": WEB_PAGE,
    b"<head": WEB_PAGE,
    b"<?xml": "an XML document, such as the error message of a server: download the file again",
    b"version https://git-lfs": "a Git LFS pointer: fetch the file itself with `git lfs pull`",
}


def find_download_fault(path: Path) -> str | None:
    """Return what a file is that arrived instead of the one that was asked for, else None.

    Such are web pages, error messages of servers and pointers of Git LFS. Raises OSError if the
    file cannot be read.
    """
    with path.open("rb") as file:
        return name_download_fault(file.read(512))


def name_download_fault(content: bytes) -> str | None:
    """Return what `find_download_fault` does for the first bytes of a file."""
    # A page may start with a byte order mark and blank lines.
    start = content[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((fault for mark, fault in DOWNLOAD_FAULTS.items() if start.startswith(mark)), None)


class PatientFile(io.FileIO):
    """A new file that hides its first failed write and drops the later ones; `check` raises it.

    HDF5 crashes the process over a write that fails while it closes a file. Besides, all bytes are
    counted, so that the error can state how many are needed. `target` is the path that messages
    name, by default that of the file itself.
    """

    # The first failure.
    error: OSError | None = None
    # The size that the file would have if nothing had failed.
    num_bytes = 0

    def __init__(self, path: Path, *, target: Path | None = None) -> None:
        self.path = path
        self.target = target or path
        try:
            super().__init__(path, "w+")
        except OSError as error:
            raise unwritable_error(self.target, error, 0) from error

    # FileIO accepts any buffer here; h5py passes a memoryview.
    def write(self, data: Any) -> int:
        """Write all of `data`, and report so even if it failed."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        self.num_bytes = max(self.num_bytes, self.tell() + size)
        while len(rest) and self.error is None:
            written = self.attempt(super().write, rest)
            rest = rest[written or 0 :]
        # The next write belongs after what was dropped.
        self.seek(len(rest), os.SEEK_CUR)
        return size

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer`. Raises OSError if a write has failed: HDF5 crashes over old bytes."""
        if self.error is not None:
            raise self.error
        return super().readinto(buffer)

    def truncate(self, size: int | None = None) -> int:
        """Resize the file, and report so even if it failed."""
        self.attempt(super().truncate, size)
        return size if size is not None else self.tell()

    def attempt(self, change: Callable[..., T], *arguments: object) -> T | None:
        """Return `change(*arguments)`; if it or something before it failed, return None."""
        if self.error is None:
            try:
                return change(*arguments)
            except OSError as error:
                self.error = error
        return None

    def sync(self) -> None:
        """Sync the file to disk. Raises ScdnetError if this or something before it has failed."""
        self.attempt(os.fsync, self.fileno())
        self.check()

    def check(self) -> None:
        """Raise ScdnetError if something has failed."""
        if self.error is not None:
            raise unwritable_error(self.target, self.error, self.num_bytes) from self.error


def unwritable_error(path: Path, error: OSError, num_bytes: int) -> ScdnetError:
    """Return the error of a file that cannot be written; without room it states `num_bytes`."""
    text = f"{path}: cannot be written ({error.strerror or error}); nothing was changed"
    if error.errno in NO_ROOM:
        free = shutil.disk_usage(_existing_parent(path)).free
        text += (
            f"; at least {num_bytes:,} bytes are needed, {free:,} bytes are free there"
            f"{NO_ROOM[error.errno]}"
        )
    return ScdnetError(text)


@contextmanager
def atomic_write(path: Path) -> Iterator[PatientFile]:
    """Yield `<path>.tmp`, open to write to; sync it to disk and rename it to `path` at the end.

    Makes the parent directories. After an error the temporary file is removed and `path` is as it
    was. Raises ScdnetError if `path` is a directory, its parents cannot be made or the system does
    not take what is written, for example because the disk is full.
    """
    if path.is_dir():
        raise ScdnetError(f"{path}: is a directory, expected the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_directory_error(path, error, error.filename) from error
    partial = path.with_name(path.name + PARTIAL)
    file = PatientFile(partial, target=path)
    try:
        yield file
        file.attempt(os.fsync, file.fileno())
        file.attempt(file.close)
        file.attempt(partial.replace, path)
        file.check()
    except BaseException as error:
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, Exception):
            # Whatever was raised in the block follows from the write that failed.
            file.check()
        raise


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield a new directory `<path>.tmp`; rename it to `path` at the end.

    It replaces a directory that was there. After an error the temporary one is removed, and `path`
    is as it was. What a killed call has left at `<path>.tmp` is removed; callers check that it is
    nothing else. Raises ScdnetError if the temporary directory cannot be made.
    """
    partial = path.with_name(path.name + PARTIAL)
    earlier = path.with_name(path.name + EARLIER)
    for left in (partial, earlier):
        shutil.rmtree(left, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise unwritable_error(path, error, 1) from error
    try:
        yield partial
        if path.exists():
            path.rename(earlier)
        try:
            partial.rename(path)
        except OSError:
            if earlier.exists():
                earlier.rename(path)
            raise
    except BaseException:
        # It may be what fills the disk.
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to a file by `atomic_write`, in UTF-8."""
    with atomic_write(path) as file:
        file.write(text.encode())


def append_text(path: Path, text: str) -> None:
    """Append lines to a file in UTF-8, all of `text` or nothing, and sync it to disk.

    Makes the file and its parent directories. A last line that a kill left unfinished stays a line
    of its own. Raises ScdnetError if the system does not take the text, for example because the
    disk is full.
    """
    content = text.encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END) > 0:
                file.seek(-1, os.SEEK_END)
                content = b"\n" * (file.read(1) != b"\n") + content
            _append(file.fileno(), content)
    except OSError as error:
        raise unwritable_error(path, error, len(content)) from error


def _append(descriptor: int, content: bytes) -> None:
    """Append `content` to an open file. An OSError leaves the file as it was."""
    rest = memoryview(content)
    try:
        while len(rest):
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        end = os.lseek(descriptor, 0, os.SEEK_CUR)
        # Otherwise another process has appended something since.
        if os.fstat(descriptor).st_size == end:
            os.ftruncate(descriptor, end - (len(content) - len(rest)))
        raise


def check_writable(*paths: Path) -> None:
    """Raise ScdnetError unless files can be written at all `paths`; nothing is left there.

    Commands call it before their work. The files and their directories need not exist yet.
    """
    for path in paths:
        try:
            if path.is_dir():
                raise ScdnetError(f"{path}: is a directory, expected the name of a file")
            if path.is_file():
                path.open("ab").close()
        except OSError as error:
            raise unwritable_error(path, error, 1) from error
        check_directory_of(path)


def check_directory_of(path: Path) -> None:
    """Raise ScdnetError unless `path` can be made in its directory, which need not exist."""
    folder = path
    try:
        folder = _existing_parent(path)
        for name in (*path.relative_to(folder).parts, path.name + PARTIAL):
            # A name that is too long is refused anywhere.
            with suppress(FileNotFoundError):
                (folder / name).lstat()
        # The file has no name, or only for a moment.
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            # A full disk takes a file, but not a byte.
            file.write(b"\0")
    except OSError as error:
        has_directory = folder == path.parent and not isinstance(error, NotADirectoryError)
        if not has_directory and error.errno not in NO_ROOM:
            raise _no_directory_error(path, error, folder) from error
        raise unwritable_error(path, error, 1) from error


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.exists())


def _no_directory_error(path: Path, error: OSError, where: str | Path) -> ScdnetError:
    return ScdnetError(f"{path}: cannot create its directory ({error.strerror}: {where})")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
