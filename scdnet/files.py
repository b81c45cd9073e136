"""Files that appear when they are complete, their hashes, and what reading a damaged one raises."""

import errno
import hashlib
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scdnet.errors import ScdnetError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

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


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield `<path>.tmp` to write to; sync it to disk and rename it to `path` at the end.

    Makes the parent directories. After an error the temporary file is removed and `path` is as it
    was. Raises ScdnetError if `path` is a directory, its parents cannot be made or the disk is
    full.
    """
    if path.is_dir():
        raise ScdnetError(f"{path}: is a directory, expected the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScdnetError(
            f"{path}: cannot create its directory ({error.strerror}: {error.filename})"
        ) from error
    partial = path.with_name(path.name + ".tmp")
    try:
        yield partial
        # Some systems sync only files that are open for writing.
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_ROOM and error.filename is None:
            raise ScdnetError(f"{path}: cannot be written ({error.strerror})") from error
        raise


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
