"""Views of sequences, and all sequences of a store."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Generator, Tensor

from scdnet.config import DataConfig, LatentConfig
from scdnet.data.cache import (
    Batch,
    Sequences,
    free_memory,
    open_frames,
    to_planes,
)
from scdnet.data.hiding import HiddenDraws, sample_hidden
from scdnet.data.store import SequenceStore, StoreError, open_sequences
from scdnet.data.views import (
    PAIR_SPECS,
    AugmentParams,
    Crop,
    augment,
    evaluation_crop,
    resample,
    sample_augment_params,
    sample_pair_params,
    training_crop,
)
from scdnet.skeleton import Skeleton
from scdnet.streams import to_stream

Tensors = TypeVar("Tensors", Batch, AugmentParams, HiddenDraws)


class RankInfo(NamedTuple):
    """One of several processes that work together, and their number."""

    rank: int
    world_size: int

    def rows(self, x: Tensor, *, copies: int = 1) -> Tensor:
        """Return this rank's rows of each copy of a batch.

        (copies*N, ...) -> (copies*N/world_size, ...); `world_size` divides N.
        """
        return x.unflatten(0, (copies, self.world_size, -1))[:, self.rank].flatten(0, 1)


SINGLE_PROCESS = RankInfo(0, 1)


def contiguous_ranks(num: int, world_size: int) -> Tensor:
    """Assign `num` items to ranks: (num,) int64, in runs whose lengths differ by one at most."""
    return torch.arange(num) * world_size // num


@dataclass(frozen=True, kw_only=True)
class ViewMaker:
    """The frames of sequences, and the settings of their views on `device`.

    A seed gives the same views wherever the frames are cached, and whichever rank makes them.
    """

    sequences: Sequences
    # A description of where the frames are cached, for the log.
    cache_summary: str
    device: torch.device
    name: np.ndarray  # (N,) str
    skeleton: Skeleton
    config: DataConfig
    stream: str
    # The rank that makes views.
    rank_info: RankInfo = SINGLE_PROCESS

    def training_views(
        self,
        batches: Sequence[Tensor],
        generator: Generator,
        tasks: Sequence[str] = ("scd",),
        *,
        latent: LatentConfig | None = None,
    ) -> Iterator[tuple[Tensor, ...]]:
        """Draw pairs of training views (N, C, T, V, M) for each batch of indices (N,).

        A batch (2, N) has the sequences of the first views and those of the second ones. Yields a
        pair for each of the `tasks` (PAIR_SPECS), one after the other; with `latent` also the
        fields of HiddenDraws. Each of several ranks makes the views of its own rows,
        (N/ranks, C, T, V, M), drawn as if it made all.
        """
        for index, batch in self._load_rows(batches):
            views: list[Tensor] = []
            for task in tasks:
                spec = PAIR_SPECS[task]
                params = sample_pair_params(
                    index.shape[-1],
                    self.config.num_frames,
                    spec,
                    views=self.config.views,
                    skeleton=self.skeleton,
                    generator=generator,
                )
                views += self._augment(batch, params, copies=spec.copies).chunk(spec.copies)
            if latent is not None:
                views += self._hide(index.shape[-1], latent, generator)
            yield tuple(views)

    def _hide(self, n: int, latent: LatentConfig, generator: Generator) -> HiddenDraws:
        """Draw what is hidden from the rank's rows of a batch of `n` clips."""
        draws = sample_hidden(
            n,
            self.config.num_frames,
            latent=latent,
            skeleton=self.skeleton,
            generator=generator,
        )
        own = HiddenDraws(*(self.rank_info.rows(x) for x in draws))
        return _to_device(own, self.device)

    def augmented_views(self, batches: Sequence[Tensor], generator: Generator) -> Iterator[Tensor]:
        """Draw a training view (N, C, T, V, M) for each batch of indices (N,).

        Each of several ranks makes the views of its own rows.
        """
        for index, batch in self._load_rows(batches):
            params = sample_augment_params(
                len(index),
                self.config.num_frames,
                views=self.config.views,
                skeleton=self.skeleton,
                generator=generator,
            )
            yield self._augment(batch, params, copies=1)

    def _load_rows(self, batches: Sequence[Tensor]) -> Iterator[tuple[Tensor, Batch]]:
        """Yield each batch of indices (N,) or (2, N) with the frames of the rank's rows of it."""
        own = [
            self.rank_info.rows(index.flatten(), copies=index.numel() // index.shape[-1])
            for index in batches
        ]
        for index, batch in zip(batches, self.sequences.batches(own), strict=True):
            yield index, _to_device(batch, self.device)

    def _augment(self, batch: Batch, params: AugmentParams, *, copies: int) -> Tensor:
        """Make `copies` views of each sequence, one copy after the other.

        `params` are those of all ranks. A batch may contain a sequence for each copy.
        """
        config = self.config
        own = AugmentParams(*(self.rank_info.rows(param, copies=copies) for param in params))
        own = _to_device(own, self.device)
        repeats = len(own.flip) // len(batch.length)
        batch = Batch(batch.frames, batch.offset.repeat(repeats), batch.length.repeat(repeats))
        crop = training_crop(batch.length, own, config.views.min_crop_frames)
        clips = _cut(batch, crop, self.stream, num_frames=config.num_frames, skeleton=self.skeleton)
        return augment(clips, own, self.skeleton)

    def evaluation_views(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the evaluation views (N, C, T, V, M) of each batch of indices (N,)."""
        for batch in self.sequences.batches(batches):
            batch = _to_device(batch, self.device)
            yield _cut(
                batch,
                evaluation_crop(batch.length),
                self.stream,
                num_frames=self.config.num_frames,
                skeleton=self.skeleton,
            )


@dataclass(frozen=True, kw_only=True)
class Clips(ViewMaker):
    """The sequences of one store, with their classes and splits."""

    label: Tensor  # (N,) int64
    # The keys are benchmarks.
    splits: Mapping[str, Tensor]  # (N,) bool
    class_names: tuple[str, ...]
    dataset: str
    # The path and the hash of the store, for messages and checkpoints.
    store: Path
    store_sha256: str

    @property
    def benchmark(self) -> str:
        """Return the benchmark whose splits count."""
        (benchmark,) = self.config.benchmarks
        return benchmark

    def split(self, *, train: bool) -> Tensor:
        """Return the indices of the training or the test split, sorted. Raises StoreError."""
        return split_rows(self.splits, self.benchmark, train=train, path=self.store)

    @property
    def has_test_split(self) -> bool:
        """Check whether the benchmark has test sequences."""
        is_train = self.splits.get(self.benchmark)
        return is_train is not None and not bool(is_train.all())


def _to_device(tensors: Tensors, device: torch.device) -> Tensors:
    """Copy a named tuple of tensors to `device` by way of pinned memory.

    Without pinned memory each copy would force a host-device synchronization.
    """
    if device.type == "cpu":
        return tensors
    moved = (
        x if x.device.type == device.type else x.pin_memory().to(device, non_blocking=True)
        for x in tensors
    )
    return type(tensors)(*moved)


def _cut(batch: Batch, crop: Crop, stream: str, *, num_frames: int, skeleton: Skeleton) -> Tensor:
    joints = resample(batch.frames, batch.offset + crop.start, crop.length, num_frames=num_frames)
    return to_stream(joints, stream, skeleton)


def evaluation_view(
    frames: np.ndarray, stream: str, *, num_frames: int, num_bodies: int, skeleton: Skeleton
) -> Tensor:
    """Return the evaluation view (1, C, T, V, M) of one sequence.

    `frames` (any T, M, V, C) are float32, normalized as in a store.
    """
    return evaluation_views(
        [frames], stream, num_frames=num_frames, num_bodies=num_bodies, skeleton=skeleton
    )


def evaluation_views(
    sequences: Sequence[np.ndarray],
    stream: str,
    *,
    num_frames: int,
    num_bodies: int,
    skeleton: Skeleton,
) -> Tensor:
    """Return the evaluation views (N, C, T, V, M) of sequences as those of `evaluation_view`."""
    length = torch.tensor([len(frames) for frames in sequences])
    planes = to_planes(np.concatenate(sequences), num_bodies)
    batch = Batch(planes, length.cumsum(0) - length, length)
    return _cut(batch, evaluation_crop(length), stream, num_frames=num_frames, skeleton=skeleton)


def sample_batches(index: Tensor, batch_size: int, generator: Generator) -> tuple[Tensor, ...]:
    """Draw the batches (batch_size,) of an epoch over the sequences `index`; drop the rest."""
    order = index[torch.randperm(len(index), generator=generator)]
    steps = len(order) // batch_size
    return order[: steps * batch_size].view(steps, batch_size).unbind()


def sample_sequences(index: Tensor, largest: int) -> Tensor:
    """Draw at most `largest` of the sequences `index` (N,), the same ones at each call."""
    if len(index) <= largest:
        return index
    order = torch.randperm(len(index), generator=torch.Generator().manual_seed(0))
    return index[order[:largest]].sort().values


def load_clips(
    config: DataConfig,
    stream: str,
    device: torch.device,
    *,
    rank_info: RankInfo = SINGLE_PROCESS,
    free: Mapping[str, float] | None = None,
) -> Clips:
    """Load the sequences of the store of `config`, for views made on `device`.

    `rank_info` is that of this rank; `free` has the free bytes of each memory, by default as
    measured. Raises ScdnetError if the frames do not fit into the memory that `config.cache` names.
    """
    (path,) = config.stores
    with open_sequences(path) as store:
        free = free_memory(device) if free is None else free
        sequences, cache_summary = open_frames([store], config, device, free=free)
        return make_clips(
            store,
            sequences,
            config=config,
            stream=stream,
            device=device,
            cache_summary=cache_summary,
            rank_info=rank_info,
        )


def make_clips(
    store: SequenceStore,
    sequences: Sequences,
    *,
    config: DataConfig,
    stream: str,
    device: torch.device,
    cache_summary: str,
    rank_info: RankInfo,
) -> Clips:
    """Return the clips of an open store, whose frames are those of `sequences`."""
    return Clips(
        sequences=sequences,
        cache_summary=cache_summary,
        device=device,
        label=torch.from_numpy(store.table.label),
        splits=read_splits(store),
        name=store.table.name,
        class_names=store.class_names,
        dataset=store.dataset,
        skeleton=store.skeleton,
        store=store.path,
        store_sha256=store.content_sha256,
        config=config,
        stream=stream,
        rank_info=rank_info,
    )


def read_splits(store: SequenceStore) -> dict[str, Tensor]:
    """Return where a sequence belongs to the training split, (N,) bool for each benchmark."""
    return {name: torch.from_numpy(store.is_train(name)) for name in store.benchmarks}


def split_rows(
    splits: Mapping[str, Tensor], benchmark: str, *, train: bool, path: Path | str
) -> Tensor:
    """Return the sorted indices of one split of a benchmark.

    Raises StoreError, naming the store at `path`, if it lacks the benchmark or the split is empty.
    """
    if benchmark not in splits:
        known = ", ".join(splits) or "none"
        raise StoreError(
            f"{path}: no benchmark {benchmark!r}; it contains {known}: set data.benchmark"
        )
    rows = (splits[benchmark] == train).nonzero()[:, 0]
    if not len(rows):
        split = "training" if train else "test"
        raise StoreError(f"{path}: the {split} split of benchmark {benchmark!r} is empty")
    return rows
