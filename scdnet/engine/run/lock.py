"""One run at a time in a folder."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from scdnet.engine.logs import log
from scdnet.errors import ScdnetError

LOCK = ".lock"  # in the folder while a run is at work there, or was when it was killed
TAKEN = (errno.EACCES, errno.EAGAIN)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes' runs out of `folder`; makes it and its parents, and removes what it made and is empty.

    The kernel frees the lock when this process ends, however that comes. It is a lock of the process (`lockf`), not
    of the open file (`flock`), which processes forked off would hold on to after a kill. Raises ScdnetError if taken.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]  # the innermost first
    file = _open_locked(folder)
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)  # while it is locked: see _open_locked
        file.close()
        with suppress(OSError):
            for path in made:
                path.rmdir()


def _open_locked(folder: Path) -> TextIO:
    path = folder / LOCK
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        except FileNotFoundError:  # a run that ends has just removed the folder
            continue
        try:
            _lock(file, folder)
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                break
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()  # a run that ended has removed it between opening and locking: what is locked is no longer there
    with suppress(OSError):  # a disk that is full does not hold the name, but the lock
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
    return file


def _lock(file: TextIO, folder: Path) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in TAKEN:
            log(f"warning: {folder}: cannot be locked against a second run ({error.strerror})")
            return
        file.seek(0)
        holder = file.read() or "another process"
        raise ScdnetError(
            f"{folder}: a run is at work here ({holder}); wait for it, stop it or set name="
        ) from None
