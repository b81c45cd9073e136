"""The memory that caches frames: the GPU's, main memory, or none (docs/data/caching.md)."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch

from scdnet.errors import ScdnetError

# The values of `data.cache` besides `auto`.
GPU = "gpu"
CPU = "cpu"
NONE = "none"
GB = 1e9  # bytes
MEMINFO = Path("/proc/meminfo")
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def choose_cache(wanted: str, size: int, free: Mapping[str, float]) -> str:
    """Choose `gpu`, `cpu` or `none` for frames of `size` bytes.

    `free` has the free bytes of each memory, the preferred one first; `auto` becomes the first of
    which the frames take at most half. Raises ScdnetError if the memory that is `wanted` does not
    exist or is too small.
    """
    if wanted == "auto":
        return next((memory for memory in free if size <= free[memory] / 2), NONE)
    if wanted == GPU and GPU not in free:
        raise ScdnetError(
            "data.cache: gpu needs a run on a GPU, this one is on the CPU; use auto, cpu or none"
        )
    if wanted != NONE and size > free[wanted]:
        raise ScdnetError(
            f"data.cache: the frames take {size / GB:.2f} GB, but the {wanted} has only "
            f"{free[wanted] / GB:.2f} GB free; use auto or none, or data.cache_dtype=float16"
        )
    return wanted


def free_memory(device: torch.device) -> dict[str, float]:
    """Return the free bytes of the GPU, if `device` is one, and of main memory.

    Main memory is infinite where the system does not report it.
    """
    free = {CPU: _free_main_memory()}
    if device.type == "cpu":
        return free
    return {GPU: torch.accelerator.get_memory_info(device)[0], **free}


def _free_main_memory() -> float:
    free = math.inf
    if MEMINFO.is_file():
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        free = 1024 * int(lines["MemAvailable"].removesuffix("kB"))
    limit = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.is_file() else "max"
    return free if limit == "max" else min(free, int(limit))
