"""The machine: device, precision, CUDA graphs, allocator, random states.

This is the only file that says `torch.cuda`.
"""

import ctypes
import platform
import random
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scdnet.engine.distributed import has_own_gpu, local_rank_info
from scdnet.errors import ScdnetError

# Constants of glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_MAX = -4
NEVER = -1

# Ordinary steps before one is captured: libraries start and the optimizer allocates its buffers.
WARM_UP = 3


def resolve_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`, with a GPU of its own for each rank.

    Raises ScdnetError if it is not available.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ScdnetError(
            "device: cuda was requested, but torch finds no GPU; use device=auto or device=cpu"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    local_rank, num_local_ranks = local_rank_info()
    if name == "cuda" and num_local_ranks > 1:
        num_gpus = torch.cuda.device_count()
        if num_gpus == 1 and has_own_gpu():
            return torch.device(name)
        if num_local_ranks > num_gpus:
            raise ScdnetError(
                f"device: {num_local_ranks} ranks on a machine with {num_gpus} GPUs; "
                "start at most one rank per GPU"
            )
        # Let `cuda` mean the GPU of this rank.
        torch.cuda.set_device(local_rank)
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """Return the name that the device reports."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU"


def gpu_memory_gb(device: torch.device) -> float | None:
    """Return the peak of GPU memory that torch has reserved since the last call; None on a CPU.

    Reserved, not allocated: what a CUDA graph needs at each replay does not count as allocated.
    """
    if device.type == "cpu":
        return None
    peak = torch.accelerator.max_memory_reserved(device) / 1e9
    torch.accelerator.reset_peak_memory_stats(device)
    return peak


def set_precision(name: str, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """Set how a GPU multiplies float32, for `fp32`, `tf32` or `bf16`.

    Returns a function that makes the context for a forward pass.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = name == "tf32"
    return partial(torch.autocast, device.type, torch.bfloat16) if name == "bf16" else nullcontext


def wait_for(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def release_memory() -> None:
    """Return to the GPU the memory of models that are no longer used."""
    torch.accelerator.empty_cache()


class GraphedStep:
    """A function of tensors of fixed shapes as one CUDA graph, replayed without launch overhead.

    The first calls go to the function itself and are steps like any other. Python numbers become
    part of the graph: call `invalidate` when one has changed, such as a learning rate; the next
    call is an ordinary one, after which a new graph is captured. The result is overwritten by the
    next call.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        # Capturing requires a side stream, for the calls before it too.
        self._stream = torch.cuda.Stream()

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Do one step. Raises ScdnetError if it cannot be captured."""
        if self._calls < WARM_UP:
            self._calls += 1
            return self._call_on_side_stream(inputs)
        if self._graph is None:
            self._graph = self._capture(inputs)
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        self._graph.replay()
        return self._output

    def invalidate(self) -> None:
        """Discard the graph; a new one is captured after one more ordinary call."""
        self._graph = None
        self._calls = min(self._calls, WARM_UP - 1)

    def _call_on_side_stream(self, inputs: tuple[Tensor, ...]) -> Tensor:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            output = self._function(*inputs)
        torch.cuda.current_stream().wait_stream(self._stream)
        return output

    def _capture(self, inputs: tuple[Tensor, ...]) -> torch.cuda.CUDAGraph:
        self._inputs = [x.clone() for x in inputs]
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local lets other threads, such as the one that pins memory for a data loader,
            # call CUDA meanwhile.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._output = self._function(*self._inputs)
        except torch.OutOfMemoryError:
            _leave_capture()
            raise
        except RuntimeError as error:
            _leave_capture()
            reason = str(error).strip().partition("\n")[0]
            raise ScdnetError(
                f"a step cannot be captured as a CUDA graph ({reason}); use compile=off"
            ) from error
        return graph


def _leave_capture() -> None:
    """Give the GPU's random numbers a new state: that of a capture which failed refuses to draw."""
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    generator.graphsafe_set_state(torch.Generator(generator.device).graphsafe_get_state())


def disable_malloc_trim() -> None:
    """Make this process keep the memory that it frees instead of returning it to the system.

    By default glibc serves each large tensor from fresh pages, and a training step on a CPU spends
    much of its time on page faults (docs/benchmarks.md). Equivalent to starting with
    MALLOC_MMAP_MAX_=0, MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_. Call it after the data are
    loaded, as copies made on the way should be returned. Does nothing if the C library has no
    `mallopt`.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, 64 << 20)):
            mallopt(option, value)


def seed_everything(seed: int) -> None:
    """Seed all random number generators that libraries may use, on all devices."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def derive_seed(*numbers: int) -> int:
    """Return a seed of 32 bits that depends on all numbers; similar ones give unlike seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def random_states() -> dict[str, Any]:
    """Return torch's random states, of the CPU and the GPU in use, for a checkpoint."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Undo all draws since `random_states`; the state of a GPU is skipped where there is none."""
    torch.set_rng_state(states["cpu"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"][0])
