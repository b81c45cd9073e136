import math

import pytest
import torch

from scdnet.config import LatentConfig
from scdnet.data.hiding import NUM_CANDIDATES, sample_blocks, sample_hidden, sample_parts
from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25, SKELETONS


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def runs_of(mask: list[bool]) -> list[int]:
    """Return the lengths of the runs of true values."""
    return [len(run) for run in "".join("x" if x else " " for x in mask).split()]


@pytest.mark.parametrize("num_frames", [8, 10, 16, 64])
@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75])
def test_hidden_frames_are_blocks_of_a_quarter_of_the_clip(num_frames: int, fraction: float):
    num_hidden = max(round(fraction * num_frames), math.ceil(num_frames / 4))
    blocks = sample_blocks(200, num_hidden, num_frames, generator())
    assert (blocks.sum(dim=1) == num_hidden).all()
    assert min(length for row in blocks.tolist() for length in runs_of(row)) >= num_frames / 4
    # Each frame is hidden in some clips; some frame is visible in others.
    assert blocks.any(dim=0).all() and not blocks.all(dim=0).all()


def test_less_than_a_quarter_is_hidden_as_one_block():
    blocks = sample_blocks(50, 3, 16, generator())
    assert all(runs_of(row) == [3] for row in blocks.tolist())


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_hidden_joints_are_at_most_two_connected_parts(skeleton: Skeleton):
    num_hidden = skeleton.num_joints // 2
    parts = sample_parts(50, num_hidden, skeleton, generator())
    assert (parts.sum(dim=1) == num_hidden).all()
    for mask in parts.tolist():
        bones = sum(mask[child] and mask[parent] for child, parent in skeleton.bones)
        # A forest has as many parts as it has more joints than bones.
        assert num_hidden - bones <= 2


def test_each_clip_draws_its_own_and_a_seed_draws_the_same():
    kwargs = {"latent": LatentConfig(), "skeleton": NTU_25}
    first, second, other = (
        sample_hidden(6, 16, generator=generator(seed), **kwargs) for seed in (0, 0, 1)
    )
    for own, same, different in zip(first, second, other, strict=True):
        assert torch.equal(own, same) and not torch.equal(own, different)
        assert len({tuple(row.flatten().tolist()) for row in own}) > 1
    assert first.joints.shape == (6, 1, 25) and first.frames.shape == (6, 1, 16)
    assert first.noise.shape == (6, 2, 1)


def test_motion_has_several_candidates_to_choose_from():
    draws = sample_hidden(
        6, 16, latent=LatentConfig(hide="motion"), skeleton=NTU_25, generator=generator()
    )
    assert draws.joints.shape == (6, NUM_CANDIDATES, 25)
    assert draws.noise.shape == (6, 2, NUM_CANDIDATES)
    assert draws.noise.isfinite().all()
