"""Main memory that is free, and errors of memory that ran out, on any device.

Commands import this module before torch, so it knows torch's errors by their names.
"""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scdnet.errors import ScdnetError

GB = 1e9  # bytes
MEMINFO = Path("/proc/meminfo")
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
CONTAINER_USE = Path("/sys/fs/cgroup/memory.current")

# Torch and NumPy raise errors of these names, but not only: errors of torch's allocator of main
# memory and of CUDA's libraries have a class that says nothing.
GPU_NAME = "OutOfMemoryError"
CPU_NAME = "MemoryError"
GPU_TEXTS = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
CPU_TEXTS = ("DefaultCPUAllocator", "std::bad_alloc")
ASKED = re.compile(r"allocate (\d[\d.]*) ?(bytes|[KMGTP]iB)")
FREE_ON_GPU = re.compile(r"of which (\d[\d.]*) ?(bytes|[KMGTP]iB) is free")
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}


def free_main_memory() -> float:
    """Return the free bytes of main memory, infinite where the system does not report them."""
    free = math.inf
    if MEMINFO.is_file():
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        free = 1024 * int(lines["MemAvailable"].removesuffix("kB"))
    limit = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.is_file() else "max"
    if limit == "max":
        return free
    used = int(CONTAINER_USE.read_text()) if CONTAINER_USE.is_file() else 0
    return max(0, min(free, int(limit) - used))


def is_out_of_memory(error: BaseException) -> bool:
    """Check whether an error says that memory could not be allocated, on any device."""
    return _is_of_gpu(error) or _matches(error, CPU_NAME, CPU_TEXTS)


def _is_of_gpu(error: BaseException) -> bool:
    return _matches(error, GPU_NAME, GPU_TEXTS)


def _matches(error: BaseException, name: str, texts: tuple[str, ...]) -> bool:
    names = {base.__name__ for base in type(error).__mro__}
    return name in names or any(text in str(error) for text in texts)


def describe_out_of_memory(error: BaseException, advice: str) -> str:
    """Return one line: what was asked for, what is free if that is known, and `advice`."""
    place = "main memory"
    free = free_main_memory()
    if _is_of_gpu(error):
        place = "GPU"
        stated = FREE_ON_GPU.search(str(error))
        free = _num_bytes(stated) if stated else math.inf
    asked = ASKED.search(str(error))
    wanted = f"{_num_bytes(asked) / GB:.2f} GB were asked for, " if asked else ""
    left = f"{free / GB:.2f} GB are free; " if math.isfinite(free) else ""
    return f"out of memory ({place}): {wanted}{left}{advice}"


def _num_bytes(match: re.Match[str]) -> float:
    number, unit = match.groups()
    return float(number) * UNITS[unit]


@contextmanager
def memory_advice(advice: str) -> Iterator[None]:
    """Raise ScdnetError with `advice` if what is done within runs out of memory."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ScdnetError(describe_out_of_memory(error, advice)) from error
