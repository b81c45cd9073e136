"""All sequences of a store, and the views of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from scdnet.config import DataConfig
from scdnet.data.cache import free_memory
from scdnet.data.rank_info import SINGLE_PROCESS, RankInfo
from scdnet.data.recordings import Batch, HeldRecordings, Recordings, open_recordings, to_planes
from scdnet.data.store import SequenceStore, StoreError, open_sequences
from scdnet.data.streams import STREAMS
from scdnet.data.transfer import send
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
from scdnet.skeleton import NTU_25

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Clips:
    """The recordings of all sequences, with what is needed to make views of them on `device`.

    A seed gives the same views wherever the frames lie, and whichever rank makes them.
    """

    recordings: Recordings
    place: str  # where their frames lie, in words
    device: torch.device
    label: Tensor  # (N,) int64
    is_train: Tensor  # (N,) bool: the split of the benchmark
    name: np.ndarray  # (N,) str
    class_names: tuple[str, ...]
    dataset: str
    config: DataConfig
    stream: str
    rank_info: RankInfo = SINGLE_PROCESS  # of the rank that makes views

    def split(self, *, train: bool) -> Tensor:
        """The indices of the training or the test split, rising."""
        return (self.is_train == train).nonzero()[:, 0]

    def training_views(
        self, batches: Sequence[Tensor], generator: Generator, tasks: Sequence[str] = ("scd",)
    ) -> Iterator[tuple[Tensor, ...]]:
        """For each batch of indices (N,) freshly drawn pairs of training views (N, C, T, V, M) of its sequences.

        A pair for each of the `tasks` (PAIR_SPECS), one after the other. Of several ranks each makes those of its own
        rows, (N/ranks, C, T, V, M), drawn as if it made all.
        """
        kinds = [PAIR_SPECS[task] for task in tasks]
        chance = self._chance(generator)
        for index, batch in self._recordings_of(batches):
            pairs = (
                self._augmented(
                    batch, sample_pair_params(len(index), kind=kind, **chance), copies=2
                )
                for kind in kinds
            )
            yield tuple(view for pair in pairs for view in pair.chunk(2))

    def augmented_views(self, batches: Sequence[Tensor], generator: Generator) -> Iterator[Tensor]:
        """For each batch of indices (N,) a freshly drawn training view (N, C, T, V, M); of the own rows of a rank."""
        chance = self._chance(generator)
        for index, batch in self._recordings_of(batches):
            yield self._augmented(batch, sample_augment_params(len(index), **chance), copies=1)

    def _chance(self, generator: Generator) -> dict[str, Any]:
        """What views are drawn with and for."""
        return {
            "frames": self.config.num_frames,
            "views": self.config.views,
            "skeleton": NTU_25,
            "generator": generator,
        }

    def _recordings_of(self, batches: Sequence[Tensor]) -> Iterator[tuple[Tensor, Batch]]:
        """Each batch of indices (N,) with the recordings of the rank's rows of it, on the device."""
        own = [self.rank_info.rows(index) for index in batches]
        for index, batch in zip(batches, self.recordings.batches(own), strict=True):
            yield index, send(batch, self.device)

    def _augmented(self, batch: Batch, draws: AugmentParams, *, copies: int) -> Tensor:
        """`copies` views of the recordings of a batch, one after the other, as drawn for all ranks."""
        config = self.config
        batch = Batch(batch.frames, batch.offset.repeat(copies), batch.length.repeat(copies))
        draws = send(
            AugmentParams(*(self.rank_info.rows(drawn, copies=copies) for drawn in draws)),
            self.device,
        )
        crop = training_crop(batch.length, draws, config.views.min_crop_frames)
        return augment(_cut(batch, crop, self.stream, config.num_frames), draws, NTU_25)

    def evaluation_views(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """For each batch of indices (N,) the evaluation views (N, C, T, V, M) of its sequences."""
        for batch in self.recordings.batches(batches):
            batch = send(batch, self.device)
            yield _cut(batch, evaluation_crop(batch.length), self.stream, self.config.num_frames)


def _cut(batch: Batch, crop: Crop, stream: str, num_frames: int) -> Tensor:
    joints = resample(batch.frames, batch.offset + crop.start, crop.length, num_frames=num_frames)
    return STREAMS[stream](joints, NTU_25)


def evaluation_view(frames: np.ndarray, stream: str, *, num_frames: int, bodies: int) -> Tensor:
    """The evaluation view (1, C, T, V, M) of one recording (any T, M, V, C), float32 metres as a store holds it."""
    batch = Batch(to_planes(frames, bodies), torch.tensor([0]), torch.tensor([len(frames)]))
    return _cut(batch, evaluation_crop(batch.length), stream, num_frames)


def load_clips(
    config: DataConfig,
    stream: str,
    device: torch.device,
    *,
    rank_info: RankInfo = SINGLE_PROCESS,
    free: Mapping[str, float] | None = None,
) -> Clips:
    """The sequences of the store of `config`, for views made on `device`.

    `rank_info` is that of this rank; `free` has the free bytes of each memory, by default as measured.
    Raises StoreError if the store lacks the benchmark or a split is empty, ScdnetError if the frames do not fit where
    `config.cache` wants them.
    """
    with open_sequences(config.store) as store:
        is_train = read_split(store, config.benchmark)
        free = free_memory(device) if free is None else free
        recordings, place = open_recordings(store, config, device, free=free)
        label = torch.from_numpy(store.table.label)
        return Clips(
            recordings,
            place,
            device,
            label,
            is_train,
            name=store.table.name,
            class_names=store.class_names,
            dataset=store.dataset,
            config=config,
            stream=stream,
            rank_info=rank_info,
        )


def read_split(store: SequenceStore, benchmark: str) -> Tensor:
    """(N,) bool: the training split. Raises StoreError if the store lacks the benchmark or a split is empty."""
    is_train = torch.from_numpy(store.is_train(benchmark))
    for split, size in (("training", is_train.sum()), ("test", (~is_train).sum())):
        if size == 0:
            raise StoreError(f"{store.path}: the {split} split of benchmark {benchmark!r} is empty")
    return is_train


def noise_clips(
    config: DataConfig,
    num: int,
    *,
    two_person: float = 1,
    device: torch.device = CPU,
    seed: int = 0,
) -> Clips:
    """Noise in `num` recordings of 40 to 159 frames, as long as most of NTU's: for benchmarks.

    In the share `two_person` of them, evenly spread, there is a second body.
    """
    generator = torch.Generator().manual_seed(seed)
    length = torch.randint(40, 160, (num,), generator=generator)
    frames = torch.randn(
        3, int(length.sum()), config.num_bodies, NTU_25.num_joints, generator=generator
    )
    is_alone = (torch.arange(1, num + 1) * two_person).floor().diff(prepend=torch.zeros(1)) == 0
    frames[:, is_alone.repeat_interleave(length), 1:] = 0
    return Clips(
        recordings=HeldRecordings(frames.to(device), length),
        place="noise",
        device=device,
        label=torch.zeros(num, dtype=torch.long),
        is_train=torch.ones(num, dtype=torch.bool),
        name=np.array([f"noise{i:09}" for i in range(num)]),
        class_names=("noise",),
        dataset="noise",
        config=config,
        stream="joint",
    )
