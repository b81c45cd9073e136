"""The machine: device, precision, compilation, allocator, random states. The only file that says `torch.cuda`."""

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
from torch import Tensor, nn

from scdnet.engine import distributed as ranks
from scdnet.errors import ScdnetError

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h
NEVER = -1
WARM_UP = 3  # steps before one is captured: libraries start up, compilation happens, the optimizer gets its buffers


def resolve_device(name: str) -> torch.device:
    """The device of `auto`, `cpu` or `cuda`, with a GPU for each rank. Raises ScdnetError for one that is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ScdnetError(
            "device: cuda was asked for, but torch finds no GPU; use device=auto or device=cpu"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    rank, size = ranks.local_rank_info()
    if name == "cuda" and size > 1:
        if size > torch.cuda.device_count():
            raise ScdnetError(
                f"device: {size} ranks on a machine with {torch.cuda.device_count()} GPUs; one each"
            )
        torch.cuda.set_device(rank)  # what `cuda` means from now on
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """What the device calls itself."""
    return (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
    )


def gpu_memory_gb(device: torch.device) -> float | None:
    """The most that torch has held of a GPU's memory since the last call; None on a CPU.

    Held, not in use: what a CUDA graph needs at each replay does not count as in use.
    """
    if device.type == "cpu":
        return None
    peak = torch.accelerator.max_memory_reserved(device) / 1e9
    torch.accelerator.reset_peak_memory_stats(device)
    return peak


def set_precision(name: str, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """Set how a GPU multiplies float32, for `fp32`, `tf32` or `bf16`; gives the context for forward passes."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = name == "tf32"
    return partial(torch.autocast, device.type, torch.bfloat16) if name == "bf16" else nullcontext


def is_compiled(wanted: str, device: torch.device) -> bool:
    """Whether training steps are compiled and captured: `auto` does so on a GPU."""
    return wanted == "auto" and device.type == "cuda"


class GraphedStep:
    """A function of tensors, of fixed shapes, as one CUDA graph: its kernels start without the host launching each.

    The first calls go to the function itself and are steps like any other. Numbers that are no tensors are part of the
    graph: `forget` it where one has changed, a learning rate, say; the next call is an ordinary one, then a new graph
    is captured. The result is overwritten by the next call.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._stream = torch.cuda.Stream()  # as capturing wants it, also of the calls before

    def __call__(self, *inputs: Tensor) -> Tensor:
        """One step. Raises ScdnetError if it cannot be captured."""
        if self._calls < WARM_UP:
            self._calls += 1
            return self._call_aside(inputs)
        if self._graph is None:
            self._capture(inputs)
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        self._graph.replay()
        return self._output

    def invalidate(self) -> None:
        """CaptureSpec anew, after one more ordinary call."""
        self._graph, self._calls = None, min(self._calls, WARM_UP - 1)

    def _call_aside(self, inputs: tuple[Tensor, ...]) -> Tensor:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            output = self._function(*inputs)
        torch.cuda.current_stream().wait_stream(self._stream)
        return output

    def _capture(self, inputs: tuple[Tensor, ...]) -> None:
        self._inputs, graph = [x.clone() for x in inputs], torch.cuda.CUDAGraph()
        try:
            # thread_local: other threads, one that pins what loaders bring, go on with their calls meanwhile
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._output = self._function(*self._inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise ScdnetError(
                f"compile: a step cannot be captured as a CUDA graph ({error}); use compile=off"
            ) from error
        self._graph = graph


def compile_in_place(*modules: nn.Module) -> None:
    """Let torch compile the modules' forward and backward at their first call; their weights keep their names."""
    for module in modules:
        module.compile(dynamic=False)


def disable_malloc_trim() -> None:
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


def derive_seed(*numbers: int) -> int:
    """A seed of 32 bits that all of these numbers decide; for other numbers another one, not a neighbour."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def random_states() -> dict[str, Any]:
    """torch's random states, of the CPU and the GPU in use, for a checkpoint."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Undo all draws since `random_states`; that of a GPU is left out where there is none."""
    torch.set_rng_state(states["cpu"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"][0])
