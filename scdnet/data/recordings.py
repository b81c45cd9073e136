"""The recordings that views are cut from: held by the device, cut out of main memory or read from the store."""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.utils.data import DataLoader

from scdnet.config import DataConfig
from scdnet.data.cache import CPU, GB, GPU, NONE, choose_cache
from scdnet.data.store import SequenceStore, StoreError, open_sequences
from scdnet.errors import ScdnetError
from scdnet.skeleton import NTU_25

DTYPES = {"float32": torch.float32, "float16": torch.float16}  # of `data.cache_dtype`
READ_FRAMES = (
    2**16
)  # frames read at a time, so that loading takes little memory beside what it fills


class Batch(NamedTuple):
    """The recordings of N sequences."""

    frames: Tensor  # (C, F, M, V) float32 or float16, metres: a plane a coordinate; others may lie among them
    offset: Tensor  # (N,) int64, the first frame of each
    length: Tensor  # (N,) int64


class HeldRecordings:
    """Recordings in the memory of the device that makes the views: nothing to read, nothing to send."""

    def __init__(self, frames: Tensor, length: Tensor) -> None:
        self.frames, self.length = frames, length  # (C, F, M, V); (N,) on the CPU
        self.offset = _offsets(length)

    def batches(self, batches: Sequence[Tensor]) -> Iterator[Batch]:
        """The recordings of each batch of indices (N,)."""
        for index in batches:
            yield Batch(self.frames, self.offset[index], self.length[index])


class HostRecordings:
    """Recordings in main memory, for a GPU: what it gets of them is cut out batch by batch.

    By this process, for to cut a batch takes less than to receive it from another one (docs/benchmarks.md).
    """

    def __init__(self, frames: Tensor, length: Tensor) -> None:
        self._frames, self._length = frames, length  # (C, F, M, V); (N,)
        self._offset = _offsets(length)

    def batches(self, batches: Sequence[Tensor]) -> Iterator[Batch]:
        """The recordings of each batch of indices (N,)."""
        for index in batches:
            offset, length = self._offset[index], self._length[index]
            pieces = zip(offset.tolist(), (offset + length).tolist(), strict=True)
            frames = torch.cat([self._frames[:, first:end] for first, end in pieces], dim=1)
            yield Batch(frames, _offsets(length), length)


class StreamedRecordings:
    """Recordings that `workers` processes read from the store ahead of use; 0: this one, when they are asked for.

    For a GPU they arrive in pinned memory.
    """

    def __init__(
        self, reader: "StoreReader", length: Tensor, *, workers: int, device: torch.device
    ) -> None:
        self._length = length  # (N,)
        self._order: list[np.ndarray] = []
        self._pass = 0
        self._loader = DataLoader(
            reader,
            batch_size=None,  # an item is a batch
            sampler=self._order,
            num_workers=workers,
            worker_init_fn=_end_quietly_when_told,
            persistent_workers=workers > 0,
            pin_memory=device.type != "cpu",
            generator=torch.Generator(),  # without one of its own it would draw from that of the training
        )

    def batches(self, batches: Sequence[Tensor]) -> Iterator[Batch]:
        """The recordings of each batch of indices (N,). A new call ends the one before. Raises StoreError."""
        self._order[:] = [index.numpy() for index in batches]
        self._pass += 1
        this_pass, loaded = self._pass, iter(self._loader)
        for index in batches:
            assert this_pass == self._pass, "recordings are streamed to one reader at a time"
            frames = _next_of(loaded)
            length = self._length[index]
            yield Batch(frames, _offsets(length), length)


def _end_quietly_when_told(worker: int) -> None:
    """In a worker: let a SIGTERM, as SLURM sends it to all processes of a job, be no failure of this one.

    torch would raise that in the parent, in the midst of its step.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


def _next_of(loaded: Iterator[Tensor | StoreError]) -> Tensor:
    try:
        frames = next(loaded)
    except RuntimeError as error:
        raise ScdnetError(
            f"data.num_workers: a process that reads recordings failed ({error}); 0 does without"
        ) from error
    if isinstance(frames, StoreError):
        raise StoreError(
            str(frames)
        )  # not `frames`: this frame and its error would hold each other, and the workers
    return frames


class StoreReader:
    """`reader[index]`: the frames of sequences (N,) end to end, from the file, which each process opens for itself."""

    def __init__(self, config: DataConfig) -> None:
        self._config = config

    @cached_property
    def _store(self) -> SequenceStore:
        return open_sequences(self._config.store)

    def __getitem__(self, index: np.ndarray) -> Tensor | StoreError:
        try:
            first, end = self._store.offset[index], self._store.offset[index + 1]
            pieces = [self._store.read_frames(*piece) for piece in zip(first, end, strict=True)]
        except StoreError as error:
            return error  # to be raised where it is read: raised here, it would arrive with this process's traceback
        return to_planes(
            np.concatenate(pieces), self._config.num_bodies, DTYPES[self._config.cache_dtype]
        )


Recordings = HeldRecordings | HostRecordings | StreamedRecordings


def open_recordings(
    store: SequenceStore,
    config: DataConfig,
    device: torch.device,
    *,
    free: Mapping[str, float],
) -> tuple[Recordings, str]:
    """The recordings of `store` for views made on `device`, and in words where their frames lie.

    `free` has the free bytes of each memory. Raises ScdnetError if they
    do not fit where `config.cache` wants them.
    """
    length = torch.from_numpy(np.diff(store.offset))
    num_frames = int(store.offset[-1])
    size = num_frames * frame_size(config)
    place = choose_cache(config.cache, size, free)
    if place == NONE:
        recordings = StreamedRecordings(
            StoreReader(config), length, workers=config.num_workers, device=device
        )
        return (
            recordings,
            f"frames ({size / GB:.2f} GB) read from {store.path} by {config.num_workers} workers",
        )
    shape = (3, num_frames, config.num_bodies, NTU_25.num_joints)
    frames = torch.empty(
        shape, dtype=DTYPES[config.cache_dtype], device=device if place == GPU else CPU
    )
    for first in range(0, num_frames, READ_FRAMES):
        read = store.read_frames(first, first + READ_FRAMES)
        frames[:, first : first + len(read)] = to_planes(read, config.num_bodies, frames.dtype).to(
            frames.device
        )
    kind = HeldRecordings if frames.device.type == device.type else HostRecordings
    return kind(frames, length), f"frames ({size / GB:.2f} GB) on the {place}"


def frame_size(config: DataConfig) -> int:
    """The bytes of a frame in memory, with all its bodies."""
    return 3 * config.num_bodies * NTU_25.num_joints * DTYPES[config.cache_dtype].itemsize


def to_planes(frames: np.ndarray, bodies: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(F, M, V, C) as stored -> (C, F, M, V) of the first `bodies`, as views are cut from it."""
    return (
        rearrange(torch.from_numpy(frames)[:, :bodies], "f m v c -> c f m v").to(dtype).contiguous()
    )


def _offsets(length: Tensor) -> Tensor:
    """Return the first frame (N,) of each recording where they lie end to end."""
    return length.cumsum(0) - length
