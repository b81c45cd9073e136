"""All sequences of a store, resident on one device, and the views of them."""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Generator, Tensor

from scdnet.config import DataConfig
from scdnet.data.store import SequenceStore, StoreError, open_sequences
from scdnet.data.streams import STREAMS
from scdnet.data.views import Crop, augment, draw_views, evaluation_crop, resample, training_crop
from scdnet.skeleton import NTU_25


@dataclass(frozen=True)
class Clips:
    """The frames of all sequences, end to end, with what is needed to cut views from them."""

    frames: Tensor  # (C, F, M, V) float32, metres: a plane a coordinate
    offset: Tensor  # (N,) int64, the first frame of each sequence
    length: Tensor  # (N,) int64
    label: Tensor  # (N,) int64
    is_train: Tensor  # (N,) bool: the split of the benchmark
    dataset: str
    config: DataConfig
    stream: str

    def split(self, *, train: bool) -> Tensor:
        """The indices of the training or the test split, rising."""
        return (self.is_train == train).nonzero()[:, 0]

    def training_views(self, index: Tensor, generator: Generator) -> Tensor:
        """Freshly drawn training views (N, C, T, V, M) of the sequences `index` (N,)."""
        config = self.config
        draws = draw_views(len(index), config.frames, views=config.views, skeleton=NTU_25, generator=generator).to(
            self.frames.device
        )
        crop = training_crop(self.length[index], draws, config.views.crop_frames)
        return augment(self._cut(index, crop), draws, NTU_25)

    def evaluation_views(self, index: Tensor) -> Tensor:
        """The evaluation views (N, C, T, V, M) of the sequences `index` (N,)."""
        return self._cut(index, evaluation_crop(self.length[index]))

    def _cut(self, index: Tensor, crop: Crop) -> Tensor:
        joints = resample(self.frames, self.offset[index] + crop.start, crop.length, num_frames=self.config.frames)
        return STREAMS[self.stream](joints, NTU_25)


def load_clips(config: DataConfig, stream: str, device: torch.device) -> Clips:
    """Read the store of `config` onto `device`. Raises StoreError if it lacks the benchmark or a split is empty."""
    with open_sequences(config.store) as store:
        return _make_clips(store, config, stream, device)


def _make_clips(store: SequenceStore, config: DataConfig, stream: str, device: torch.device) -> Clips:
    is_train = torch.from_numpy(store.is_train(config.benchmark))
    for split, size in (("training", is_train.sum()), ("test", (~is_train).sum())):
        if size == 0:
            raise StoreError(f"{store.path}: the {split} split of benchmark {config.benchmark!r} is empty")
    frames, offset = torch.from_numpy(store.read_frames()), torch.from_numpy(store.offset)
    return Clips(
        frames=rearrange(frames[:, : config.bodies], "f m v c -> c f m v").contiguous().to(device),
        offset=offset[:-1].to(device),
        length=offset.diff().to(device),
        label=torch.from_numpy(store.table.label),
        is_train=is_train,
        dataset=store.dataset,
        config=config,
        stream=stream,
    )


def noise_clips(config: DataConfig, num: int, *, seed: int = 0) -> Clips:
    """Noise in `num` recordings of 40 to 159 frames, as long as most of NTU's: for benchmarks."""
    generator = torch.Generator().manual_seed(seed)
    length = torch.randint(40, 160, (num,), generator=generator)
    shape = (3, int(length.sum()), config.bodies, NTU_25.num_joints)
    return Clips(
        frames=torch.randn(shape, generator=generator),
        offset=length.cumsum(0) - length,
        length=length,
        label=torch.zeros(num, dtype=torch.long),
        is_train=torch.ones(num, dtype=torch.bool),
        dataset="noise",
        config=config,
        stream="joint",
    )
