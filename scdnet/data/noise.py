"""Recordings of noise, for benchmarks and tests."""

import numpy as np
import torch

from scdnet.config import DataConfig
from scdnet.data.clips import Clips
from scdnet.data.recordings import CachedRecordings
from scdnet.skeleton import NTU_25

CPU = torch.device("cpu")


def noise_clips(
    config: DataConfig,
    num: int,
    *,
    two_person: float = 1,
    device: torch.device = CPU,
    seed: int = 0,
) -> Clips:
    """Fill `num` recordings of 40 to 159 frames, as long as most of NTU's, with noise.

    The fraction `two_person` of them, evenly spread, has a second body.
    """
    generator = torch.Generator().manual_seed(seed)
    length = torch.randint(40, 160, (num,), generator=generator)
    shape = (3, int(length.sum()), config.num_bodies, NTU_25.num_joints)
    frames = torch.randn(shape, generator=generator)
    is_alone = (torch.arange(1, num + 1) * two_person).floor().diff(prepend=torch.zeros(1)) == 0
    frames[:, is_alone.repeat_interleave(length), 1:] = 0
    return Clips(
        recordings=CachedRecordings(frames.to(device), length),
        cache_summary="noise",
        device=device,
        label=torch.zeros(num, dtype=torch.long),
        is_train=torch.ones(num, dtype=torch.bool),
        name=np.array([f"noise{i:09}" for i in range(num)]),
        class_names=("noise",),
        dataset="noise",
        config=config,
        stream="joint",
    )
