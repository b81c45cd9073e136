"""One run at a time in a run directory, one process at a time at a file."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from scdnet.engine.logs import log
from scdnet.errors import ScdnetError

# Exists while a run is active, or after one was killed.
LOCK = ".lock"
# Errors of systems and file systems without locks.
UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
# A run that ends removes the file, which may take another attempt to notice.
TIMEOUT_SECONDS = 0.2
# Long enough for many others to rewrite a small file.
FILE_TIMEOUT_SECONDS = 60


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock `folder` against runs of other processes.

    Makes it and its parents, and removes those that it made and that are empty in the end. The
    system frees the lock when this process ends, even if data workers outlive it. Raises
    ScdnetError if another run is active there.
    """
    # The innermost comes first.
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    busy = f"{folder}: another run is active in this directory"
    advice = "wait for it, stop it or choose another name="
    try:
        with _held(folder / LOCK, TIMEOUT_SECONDS, busy=busy, advice=advice):
            yield
    finally:
        with suppress(OSError):
            for parent in made:
                parent.rmdir()


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Lock the file at `path`, which need not exist, while it is rewritten.

    Others wait. Raises ScdnetError if that takes longer than a minute.
    """
    busy = f"{path}: another process has been writing it for {FILE_TIMEOUT_SECONDS} seconds"
    lock = path.with_name(f"{path.name}{LOCK}")
    with _held(lock, FILE_TIMEOUT_SECONDS, busy=busy, advice="wait for it, or stop it"):
        yield


@contextmanager
def _held(path: Path, timeout: float, *, busy: str, advice: str) -> Iterator[None]:
    """Hold the lock at `path`, which exists meanwhile.

    Raises ScdnetError, which names the holder, after `timeout` seconds.
    """
    # No marker file where the system has no locks: it would outlive a kill.
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        holder = "another process"
        with suppress(OSError):
            holder = path.read_text(encoding="utf-8") or holder
        raise ScdnetError(f"{busy} ({holder}); {advice}") from None
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        log(f"warning: {path}: cannot be locked against a second run ({error.strerror})")
    # A full disk, or Windows, refuses the text; the lock holds.
    with suppress(OSError):
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    try:
        yield
    finally:
        # Removed while it is locked: whoever has opened it meanwhile notices and tries again.
        with suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()
