"""Faults that tests provoke: disks without room, and commands of a user that is not root."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


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
