"""The recordings that views are cut from: all of them in memory, or a batch at a time from the store or the host."""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.utils.data import DataLoader

from scdnet.config import DataConfig
from scdnet.data.memory import CPU, GB, GPU, OFF, choose_place, free_memories
from scdnet.data.store import SequenceStore, StoreError, open_sequences
from scdnet.errors import ScdnetError
from scdnet.skeleton import NTU_25

DTYPES = {"float32": torch.float32, "float16": torch.float16}  # of `data.storage`
READ_FRAMES = 2**16  # frames read at a time, so that loading takes little memory beside what it fills


class Batch(NamedTuple):
    """The recordings of N sequences."""

    frames: Tensor  # (C, F, M, V) float32 or float16, metres: a plane a coordinate; others may lie among them
    offset: Tensor  # (N,) int64, the first frame of each
    length: Tensor  # (N,) int64


class HeldRecordings:
    """All recordings in the memory of the device that makes the views: nothing to read, nothing to send."""

    def __init__(self, frames: Tensor, length: Tensor) -> None:
        self.frames, self.length = frames, length  # (C, F, M, V); (N,) on the CPU
        self.offset = _offsets(length)

    def batches(self, batches: Sequence[Tensor]) -> Iterator[Batch]:
        """The recordings of each batch of indices (N,)."""
        for index in batches:
            yield Batch(self.frames, self.offset[index], self.length[index])


class StreamedRecordings:
    """Recordings that `workers` processes read ahead, a batch at a time; 0: this one, when they are asked for.

    For a GPU they arrive in pinned memory.
    """

    def __init__(
        self, reader: "StoreReader | MemoryReader", length: Tensor, *, workers: int, device: torch.device
    ) -> None:
        self.length = length  # (N,)
        self._order: list[np.ndarray] = []
        self._pass = 0
        self._loader = DataLoader(
            reader,
            batch_size=None,  # an item is a batch
            sampler=self._order,
            num_workers=workers,
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
            length = self.length[index]
            yield Batch(frames, _offsets(length), length)


def _next_of(loaded: Iterator[Tensor | StoreError]) -> Tensor:
    try:
        frames = next(loaded)
    except RuntimeError as error:
        raise ScdnetError(f"data.workers: a process that reads recordings failed ({error}); 0 does without") from error
    if isinstance(frames, StoreError):
        raise StoreError(str(frames))  # not `frames`: this frame and its error would hold each other, and the workers
    return frames


class StoreReader:
    """`reader[index]`: the frames of sequences (N,) end to end, from the file, which each process opens for itself."""

    def __init__(self, path: Path, config: DataConfig) -> None:
        self._path, self._config = path, config

    @cached_property
    def _store(self) -> SequenceStore:
        return open_sequences(self._path)

    def __getitem__(self, index: np.ndarray) -> Tensor | StoreError:
        try:
            first, end = self._store.offset[index], self._store.offset[index + 1]
            pieces = [self._store.read_frames(*piece) for piece in zip(first, end, strict=True)]
        except StoreError as error:
            return error  # to be raised where it is read: raised here, it would arrive with this process's traceback
        return _to_planes(np.concatenate(pieces), self._config)


class MemoryReader:
    """`reader[index]`: the frames of sequences (N,) end to end, from frames (C, F, M, V) in main memory."""

    def __init__(self, frames: Tensor, length: Tensor) -> None:
        self._frames, self._end = frames, length.cumsum(0)
        self._offset = self._end - length

    def __getitem__(self, index: np.ndarray) -> Tensor:
        pieces = zip(self._offset[index].tolist(), self._end[index].tolist(), strict=True)
        return torch.cat([self._frames[:, first:end] for first, end in pieces], dim=1)


def open_recordings(
    store: SequenceStore, config: DataConfig, device: torch.device
) -> tuple[HeldRecordings | StreamedRecordings, str]:
    """The recordings of `store` for views made on `device`, and in words where their frames lie.

    Raises ScdnetError if they do not fit where `config.resident` wants them.
    """
    length = torch.from_numpy(np.diff(store.offset))
    shape = (3, int(store.offset[-1]), config.bodies, NTU_25.num_joints)
    size = math.prod(shape) * DTYPES[config.storage].itemsize
    place = choose_place(config.resident, size, free_memories(device))
    streaming = {"workers": config.workers, "device": device}
    if place == OFF:
        words = f"frames ({size / GB:.2f} GB) read from {store.path} by {config.workers} workers"
        return StreamedRecordings(StoreReader(store.path, config), length, **streaming), words
    frames = torch.empty(shape, dtype=DTYPES[config.storage], device=device if place == GPU else CPU)
    for first in range(0, shape[1], READ_FRAMES):
        piece = slice(first, first + READ_FRAMES)
        frames[:, piece] = _to_planes(store.read_frames(piece.start, piece.stop), config).to(frames.device)
    if frames.device.type == device.type:
        return HeldRecordings(frames, length), f"frames ({size / GB:.2f} GB) on the {place}"
    words = f"frames ({size / GB:.2f} GB) in main memory, sent by {config.workers} workers"
    return StreamedRecordings(MemoryReader(frames, length), length, **streaming), words


def _to_planes(frames: np.ndarray, config: DataConfig) -> Tensor:
    """(F, M, V, C) as stored -> (C, F, M, V), as `config` wants it held."""
    planes = rearrange(torch.from_numpy(frames)[:, : config.bodies], "f m v c -> c f m v")
    return planes.to(DTYPES[config.storage]).contiguous()


def _offsets(length: Tensor) -> Tensor:
    return length.cumsum(0) - length
