"""The machine: device, allocator, random states. The only file that says `cuda`."""

import ctypes
import random
import sys
from typing import Any

import numpy as np
import torch

from scdnet.errors import ScdnetError

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h
NEVER = -1


def resolve_device(name: str) -> torch.device:
    """The device of `auto`, `cpu` or `cuda`. Raises ScdnetError for a GPU that is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ScdnetError("device: cuda was asked for, but torch finds no GPU; use device=auto or device=cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, instead of giving it back and faulting it in at every step.

    By itself glibc serves each large tensor from fresh pages; on a CPU a training step spends much of its time on
    them (docs/benchmarks.md). The same as setting MALLOC_MMAP_MAX_=0, MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_
    before the start; call it after the data are loaded, whose copies on the way should go back to the system. Does
    nothing where the C library has no `mallopt`.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, 64 << 20)):
            mallopt(option, value)


def seed_everything(seed: int) -> None:
    """Seed all sources of chance that libraries may use."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # of all devices


def random_states() -> dict[str, Any]:
    """torch's random states, for a checkpoint."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}


def restore_random_states(states: dict[str, Any]) -> None:
    """Undo all draws since `random_states`; GPUs that are no longer there are left out."""
    torch.set_rng_state(states["cpu"])
    for device, state in zip(range(torch.cuda.device_count()), states["cuda"], strict=False):
        torch.cuda.set_rng_state(state, device)
