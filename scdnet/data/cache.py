"""Where frames lie: on the GPU, in main memory, or in the store alone (docs/data.md)."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch

from scdnet.errors import ScdnetError

GPU, CPU, NONE = "gpu", "cpu", "none"  # the places, as `data.cache` names them
GB = 1e9
MEMINFO, CONTAINER_LIMIT = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")


def choose_cache(wanted: str, size: int, free: Mapping[str, float]) -> str:
    """`gpu`, `cpu` or `none`, for frames of `size` bytes; `free` has the free bytes of each memory, the best first.

    `auto` becomes the first memory of which they take at most half. Raises ScdnetError if the memory that is `wanted`
    is not there or too small.
    """
    if wanted == "auto":
        return next((place for place in free if size <= free[place] / 2), NONE)
    if wanted == GPU and GPU not in free:
        raise ScdnetError(
            "data.cache: gpu was asked for, but the run is on the CPU; use auto, cpu or none"
        )
    if wanted != NONE and size > free[wanted]:
        raise ScdnetError(
            f"data.cache: the frames take {size / GB:.2f} GB, on the {wanted} {free[wanted] / GB:.2f} GB are free; "
            "use auto or none, or data.cache_dtype=float16"
        )
    return wanted


def free_memory(device: torch.device) -> dict[str, float]:
    """Free bytes of the GPU, if `device` is one, and of main memory; infinite where the system does not say."""
    free = {CPU: _free_main_memory()}
    return (
        free
        if device.type == "cpu"
        else {GPU: torch.accelerator.get_memory_info(device)[0], **free}
    )


def _free_main_memory() -> float:
    free = math.inf
    if MEMINFO.is_file():
        kilobytes = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())[
            "MemAvailable"
        ]
        free = 1024 * int(kilobytes.removesuffix("kB"))
    limit = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.is_file() else "max"
    return free if limit == "max" else min(free, int(limit))
