"""The sequences that views are cut from: cached in memory, or read from the stores.

Source: docs/data/caching.md.
"""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from scdnet.config import DataConfig
from scdnet.data.store import COORDINATES, SequenceStore, StoreError, open_sequences
from scdnet.errors import ScdnetError
from scdnet.memory import GB, free_main_memory, memory_advice

# The values of `data.cache` besides `auto`.
GPU = "gpu"
CPU = "cpu"
NONE = "none"
# The values of `data.cache_dtype`.
DTYPES = {"float32": torch.float32, "float16": torch.float16}


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
    main = {CPU: free_main_memory()}
    if device.type == "cpu":
        return main
    return {GPU: torch.accelerator.get_memory_info(device)[0], **main}


class Batch(NamedTuple):
    """The frames of N sequences."""

    # One plane per coordinate, float32 or float16. Frames of other sequences may lie
    # between those of the batch.
    frames: Tensor  # (C, F, M, V)
    # The first frame of each sequence.
    offset: Tensor  # (N,) int64
    length: Tensor  # (N,) int64


class Sequences(Protocol):
    """Sequences whose frames can be had in batches."""

    def batches(self, batches: Sequence[Tensor]) -> Iterator[Batch]:
        """Yield the frames of each batch of indices (N,)."""


class CachedSequences:
    """Sequences in the memory of the device that makes the views, or in main memory for a GPU.

    In main memory (`copy_batches`) each batch is cut out, to be sent to the GPU. This process does
    it, since cutting takes less time than receiving a batch from another process.
    """

    def __init__(self, frames: Tensor, length: Tensor, *, copy_batches: bool = False) -> None:
        self.frames = frames  # (C, F, M, V)
        # Both are on the CPU.
        self.length = length  # (N,)
        self.offset = _offsets(length)  # (N,)
        self._copy_batches = copy_batches

    def batches(self, batches: Sequence[Tensor]) -> Iterator[Batch]:
        """Yield the frames of each batch of indices (N,)."""
        for index in batches:
            offset = self.offset[index]
            length = self.length[index]
            if not self._copy_batches:
                yield Batch(self.frames, offset, length)
                continue
            bounds = zip(offset.tolist(), (offset + length).tolist(), strict=True)
            frames = torch.cat([self.frames[:, first:end] for first, end in bounds], dim=1)
            yield Batch(frames, _offsets(length), length)


class OffsetSequences:
    """The sequences of one of several stores that lie end to end in `whole`, from `first` on."""

    def __init__(self, whole: Sequences, first: int) -> None:
        self._whole = whole
        self._first = first

    def batches(self, batches: Sequence[Tensor]) -> Iterator[Batch]:
        """Yield the frames of each batch of indices (N,) within the store."""
        return self._whole.batches([index + self._first for index in batches])


class StreamedSequences:
    """Sequences that `num_workers` processes read from the stores ahead of use.

    With 0 this process reads them on demand. For a GPU they arrive in pinned memory.
    """

    def __init__(
        self, reader: "StoreReader", length: Tensor, *, num_workers: int, device: torch.device
    ) -> None:
        self._length = length  # (N,)
        self._order: list[np.ndarray] = []
        self._pass = 0
        self._loader: DataLoader[Tensor | StoreError] = DataLoader(
            reader,
            # An item is a batch.
            batch_size=None,
            sampler=self._order,
            num_workers=num_workers,
            worker_init_fn=_exit_on_sigterm,
            persistent_workers=num_workers > 0,
            pin_memory=device.type != "cpu",
            # The loader would otherwise advance the random state of the training.
            generator=torch.Generator(),
        )

    def batches(self, batches: Sequence[Tensor]) -> Iterator[Batch]:
        """Yield the frames of each batch of indices (N,).

        A new call ends the one before. Raises StoreError.
        """
        self._order[:] = [index.numpy() for index in batches]
        self._pass += 1
        this_pass = self._pass
        loaded = iter(self._loader)
        for index in batches:
            assert this_pass == self._pass, "sequences are streamed to one reader at a time"
            frames = _next_of(loaded)
            length = self._length[index]
            yield Batch(frames, _offsets(length), length)


def _exit_on_sigterm(worker: int) -> None:
    """End a worker without an error when SLURM sends SIGTERM to all processes of a job.

    Otherwise torch raises an error in the parent, in the middle of its step.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


def _next_of(loaded: Iterator[Tensor | StoreError]) -> Tensor:
    try:
        frames = next(loaded)
    except RuntimeError as error:
        raise ScdnetError(
            f"data.num_workers: a worker that reads sequences failed ({error}); "
            "use data.num_workers=0 to read without workers"
        ) from error
    if isinstance(frames, StoreError):
        # A new error: this frame and `frames` itself would hold each other, and so the workers.
        raise StoreError(str(frames))
    return frames


class StoreReader(Dataset[Tensor | StoreError]):
    """Reader of the frames of sequences (N,), end to end: `reader[index]` -> (C, F, M, V).

    The sequences of `stores` are counted through. Each process opens the files for itself, which
    must still have the same content.
    """

    def __init__(self, stores: Sequence[SequenceStore], config: DataConfig) -> None:
        self._paths = [store.path for store in stores]
        self._content_sha256 = [store.content_sha256 for store in stores]
        # The number of the first sequence of each store.
        self._first = np.cumsum([0, *map(len, stores[:-1])])
        self._num_bodies = config.num_bodies
        self._dtype = DTYPES[config.cache_dtype]

    @cached_property
    def _stores(self) -> list[SequenceStore]:
        return [
            self._reopen(path, sha256)
            for path, sha256 in zip(self._paths, self._content_sha256, strict=True)
        ]

    def _reopen(self, path: Path, content_sha256: str) -> SequenceStore:
        store = open_sequences(path)
        if store.content_sha256 != content_sha256:
            store.close()
            raise StoreError(f"{path}: replaced by another store while it was being read")
        return store

    def _read(self, index: int) -> np.ndarray:
        number = int(np.searchsorted(self._first, index, side="right")) - 1
        store = self._stores[number]
        row = index - self._first[number]
        return store.read_frames(store.offset[row], store.offset[row + 1])

    def __getitem__(self, index: np.ndarray) -> Tensor | StoreError:
        try:
            frames = np.concatenate([self._read(i) for i in index])
        except StoreError as error:
            # The reading process raises it: raised here, it would bring a worker's traceback along.
            return error
        return to_planes(frames, self._num_bodies, self._dtype)


def open_frames(
    stores: Sequence[SequenceStore],
    config: DataConfig,
    device: torch.device,
    *,
    free: Mapping[str, float],
) -> tuple[CachedSequences | StreamedSequences, str]:
    """Open the frames of `stores`, which have the same joints, for views made on `device`.

    Their sequences lie end to end. `free` has the free bytes of each memory. Returns also a
    description of where frames are cached. Raises ScdnetError if they do not fit into the memory
    that `config.cache` names.
    """
    length = torch.from_numpy(np.concatenate([np.diff(store.offset) for store in stores]))
    num_frames = int(length.sum())
    num_joints = stores[0].skeleton.num_joints
    size = num_frames * frame_size(config, num_joints)
    summary = f"frames ({size / GB:.2f} GB)"
    cache = choose_cache(config.cache, size, free)
    if cache == NONE:
        reader = StoreReader(stores, config)
        streamed = StreamedSequences(reader, length, num_workers=config.num_workers, device=device)
        paths = ", ".join(str(store.path) for store in stores)
        return streamed, f"{summary} read from {paths} by {config.num_workers} workers"
    with memory_advice("use data.cache=none or data.cache_dtype=float16"):
        frames = torch.empty(
            (COORDINATES, num_frames, config.num_bodies, num_joints),
            dtype=DTYPES[config.cache_dtype],
            device=device if cache == GPU else CPU,
        )
    first = 0
    for block in chain.from_iterable(store.frame_blocks() for store in stores):
        planes = to_planes(block, config.num_bodies, frames.dtype)
        frames[:, first : first + planes.shape[1]] = planes.to(frames.device)
        first += planes.shape[1]
    cached = CachedSequences(frames, length, copy_batches=frames.device.type != device.type)
    return cached, f"{summary} cached on the {cache}"


def frame_size(config: DataConfig, num_joints: int) -> int:
    """Return the bytes of a frame in memory, with all its bodies."""
    return COORDINATES * config.num_bodies * num_joints * DTYPES[config.cache_dtype].itemsize


def to_planes(frames: np.ndarray, num_bodies: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Arrange stored frames (F, M, V, C) for resampling: (C, F, M, V) of the first bodies."""
    planes = rearrange(torch.from_numpy(frames)[:, :num_bodies], "f m v c -> c f m v")
    return planes.to(dtype).contiguous()


def _offsets(length: Tensor) -> Tensor:
    """Return the first frame (N,) of each sequence where they lie end to end."""
    return length.cumsum(0) - length
