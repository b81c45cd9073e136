"""All sequences of a store, and the views of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from scdnet.config import DataConfig
from scdnet.data.recordings import Batch, HeldRecordings, Recordings, open_recordings, to_planes
from scdnet.data.store import SequenceStore, StoreError, open_sequences
from scdnet.data.streams import STREAMS
from scdnet.data.transfer import send
from scdnet.data.views import Crop, augment, draw_views, evaluation_crop, resample, training_crop
from scdnet.skeleton import NTU_25

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Clips:
    """The recordings of all sequences, with what is needed to make views of them on `device`.

    A seed gives the same views wherever the frames lie.
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

    def split(self, *, train: bool) -> Tensor:
        """The indices of the training or the test split, rising."""
        return (self.is_train == train).nonzero()[:, 0]

    def training_views(self, batches: Sequence[Tensor], generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """For each batch of indices (N,) two freshly drawn training views (N, C, T, V, M) of its sequences."""
        for views in self.augmented_views(batches, generator, copies=2):
            query_view, key_view = views.chunk(2)
            yield query_view, key_view

    def augmented_views(self, batches: Sequence[Tensor], generator: Generator, *, copies: int = 1) -> Iterator[Tensor]:
        """For each batch of indices (N,) `copies` freshly drawn training views of it, (copies*N, C, T, V, M)."""
        config = self.config
        for frames, offset, length in self.recordings.batches(batches):
            batch = Batch(frames, offset.repeat(copies), length.repeat(copies))
            draws = draw_views(
                len(batch.length), config.frames, views=config.views, skeleton=NTU_25, generator=generator
            )
            batch, draws = send(batch, self.device), send(draws, self.device)
            crop = training_crop(batch.length, draws, config.views.crop_frames)
            yield augment(_cut(batch, crop, self.stream, config.frames), draws, NTU_25)

    def evaluation_views(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """For each batch of indices (N,) the evaluation views (N, C, T, V, M) of its sequences."""
        for batch in self.recordings.batches(batches):
            batch = send(batch, self.device)
            yield _cut(batch, evaluation_crop(batch.length), self.stream, self.config.frames)


def _cut(batch: Batch, crop: Crop, stream: str, num_frames: int) -> Tensor:
    joints = resample(batch.frames, batch.offset + crop.start, crop.length, num_frames=num_frames)
    return STREAMS[stream](joints, NTU_25)


def evaluation_view(frames: np.ndarray, stream: str, *, num_frames: int, bodies: int) -> Tensor:
    """The evaluation view (1, C, T, V, M) of one recording (any T, M, V, C), float32 metres as a store holds it."""
    batch = Batch(to_planes(frames, bodies), torch.tensor([0]), torch.tensor([len(frames)]))
    return _cut(batch, evaluation_crop(batch.length), stream, num_frames)


def load_clips(config: DataConfig, stream: str, device: torch.device) -> Clips:
    """The sequences of the store of `config`, for views made on `device`.

    Raises StoreError if the store lacks the benchmark or a split is empty, ScdnetError if the frames do not fit where
    `config.resident` wants them.
    """
    with open_sequences(config.store) as store:
        is_train = read_split(store, config.benchmark)
        recordings, place = open_recordings(store, config, device)
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
        )


def read_split(store: SequenceStore, benchmark: str) -> Tensor:
    """(N,) bool: the training split. Raises StoreError if the store lacks the benchmark or a split is empty."""
    is_train = torch.from_numpy(store.is_train(benchmark))
    for split, size in (("training", is_train.sum()), ("test", (~is_train).sum())):
        if size == 0:
            raise StoreError(f"{store.path}: the {split} split of benchmark {benchmark!r} is empty")
    return is_train


def noise_clips(
    config: DataConfig, num: int, *, two_person: float = 1, device: torch.device = CPU, seed: int = 0
) -> Clips:
    """Noise in `num` recordings of 40 to 159 frames, as long as most of NTU's: for benchmarks.

    In the share `two_person` of them, evenly spread, there is a second body.
    """
    generator = torch.Generator().manual_seed(seed)
    length = torch.randint(40, 160, (num,), generator=generator)
    frames = torch.randn(3, int(length.sum()), config.bodies, NTU_25.num_joints, generator=generator)
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
