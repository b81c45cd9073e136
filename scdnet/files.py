"""Files that appear when they are complete, and their hashes."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scdnet.errors import ScdnetError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield `<path>.tmp` to write to; afterwards it is on the disk and renamed to `path`, after an error it is gone.

    Makes the folder of `path`. Raises ScdnetError if that cannot be, if `path` itself is a folder, or there is no room.
    """
    if path.is_dir():
        raise ScdnetError(f"{path}: is a folder, expected the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScdnetError(
            f"{path}: its folder cannot be made ({error.strerror}: {error.filename})"
        ) from error
    partial = path.with_name(path.name + ".tmp")
    try:
        yield partial
        with partial.open("rb+") as file:  # some systems sync only what is open for writing
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in FULL and error.filename is None:
            raise ScdnetError(f"{path}: cannot be written ({error.strerror})") from error
        raise


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
