"""Faults that tests provoke: disks without room, and commands of an ordinary user."""

import ctypes
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from scdnet.__main__ import main

FORKING = multiprocessing.get_context("fork") if os.name == "posix" else None


class Done(NamedTuple):
    """Exit status and output of a command."""

    status: int
    out: str
    err: str


@contextmanager
def largest_file(num_bytes: int) -> Iterator[None]:
    """Let the system refuse to write files of more than `num_bytes`, as a full disk would."""
    if os.name != "posix":
        pytest.skip("needs a limit on the size of files")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_disk(folder: Path, num_bytes: int) -> Iterator[Path]:
    """Mount a disk of `num_bytes` at `folder`/disk, which everybody can write to."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes},mode=1777", "tmpfs", str(disk)]
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root of a Linux machine can mount a small disk")
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Fill a disk to its last byte."""
    with (disk / "filler").open("ab", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                return


def run_as_user(
    folder: Path,
    *arguments: object,
    act: Callable[[], None] | None = None,
    environment: Mapping[str, str | None] | None = None,
) -> Done:
    """Run `scdnet ARGUMENTS` in `folder` in a forked process as an ordinary user.

    Where the tests run as root, the process drops what the system allows root only. `act` is called
    first; values of the environment that are None are removed. The home is `folder`.
    """
    if FORKING is None or (os.geteuid() == 0 and sys.platform != "linux"):
        pytest.skip("only on Linux can root become an ordinary user for a while")
    # Files could be refused by the fault that is tested.
    out, out_writer = os.pipe()
    err, err_writer = os.pipe()
    process = FORKING.Process(
        target=_be_user,
        args=(folder, [str(argument) for argument in arguments], out_writer, err_writer),
        kwargs={"act": act, "environment": {"HOME": str(folder), **(environment or {})}},
    )
    process.start()
    texts = []
    for reader, writer in ((err, err_writer), (out, out_writer)):
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8", errors="replace") as file:
            texts.append(file.read())
    process.join()
    return Done(process.exitcode, texts[1], texts[0])


def _be_user(
    folder: Path,
    arguments: list[str],
    out: int,
    err: int,
    *,
    act: Callable[[], None] | None,
    environment: Mapping[str, str | None],
) -> None:
    for number, target in ((1, out), (2, err)):
        os.dup2(target, number)
        os.close(target)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    if os.geteuid() == 0:
        drop_capabilities()
    os.chdir(folder)
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if act is not None:
        act()
    sys.argv = ["scdnet", *arguments]
    main()


def drop_capabilities() -> None:
    """Let the permissions of files apply to this process of root, as `setpriv` can do.

    Another user could often not read the interpreter, where root has installed it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # Version 3 of the call; 0 is this process. Two sets of effective, permitted and inheritable.
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset")


def assert_one_line(done: Done, *words: str) -> None:
    """Check for status 2 and one line that tells what is wrong."""
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.status == 2, done
    assert len(lines) == 1, done.err
    assert "Traceback" not in done.err, done.err
    assert all(word in lines[0] for word in words), lines[0]
