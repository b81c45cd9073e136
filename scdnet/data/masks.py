"""The joints and frames that a training view keeps.

Source: SCD-Net, sec. 3.4; docs/method.md 2.
"""

from functools import cache

import torch
from torch import Generator, Tensor

from scdnet.config import ViewsConfig
from scdnet.skeleton import Skeleton, neighbor_matrix


@cache
def _two_step_paths(skeleton: Skeleton) -> Tensor:
    """Count the paths of two steps, standing still included, between joints: B = A A, (V, V)."""
    reach = torch.from_numpy(neighbor_matrix(skeleton))
    return (reach @ reach).double()


def num_masked_joints(views: ViewsConfig, skeleton: Skeleton) -> int:
    """Return how many joints of a skeleton the spatial mask hides."""
    return round(views.masked_joint_fraction * skeleton.num_joints)


def sample_structured_joints(
    n: int, views: ViewsConfig, skeleton: Skeleton, generator: Generator
) -> Tensor:
    """Draw masks (N, V) bool, False at joints around a few seed joints, drawn with replacement.

    A joint's score is the sum of the seeds' rows of B; the highest are masked. Ties are broken at
    random: the original's sort order favors some joints.
    """
    num_seeds = max(1, round(views.seed_joint_fraction * skeleton.num_joints))
    seeds = torch.randint(skeleton.num_joints, (n, num_seeds), generator=generator)
    score = _two_step_paths(skeleton)[seeds].sum(dim=1)
    # Scores are whole numbers, so that less than 1 only breaks ties.
    score += torch.rand(score.shape, generator=generator, dtype=score.dtype)
    return _mask_largest(score, num_masked_joints(views, skeleton))


def sample_random_joints(
    n: int, views: ViewsConfig, skeleton: Skeleton, generator: Generator
) -> Tensor:
    """Draw masks (N, V) bool, False at as many joints, all equally likely."""
    score = torch.rand(n, skeleton.num_joints, generator=generator)
    return _mask_largest(score, num_masked_joints(views, skeleton))


def sample_segments(n: int, num_frames: int, views: ViewsConfig, generator: Generator) -> Tensor:
    """Draw masks (N, T) bool, False in some of the equal segments of T frames."""
    score = torch.rand(n, views.num_segments, generator=generator)
    keep = _mask_largest(score, views.num_masked_segments)
    return keep.repeat_interleave(num_frames // views.num_segments, dim=1)


def sample_frames(n: int, num_frames: int, views: ViewsConfig, generator: Generator) -> Tensor:
    """Draw masks (N, T) bool, False in as many single frames as the masked segments contain."""
    num_masked = num_frames * views.num_masked_segments // views.num_segments
    return _mask_largest(torch.rand(n, num_frames, generator=generator), num_masked)


def _mask_largest(score: Tensor, num: int) -> Tensor:
    """Map scores (N, K) to masks (N, K) bool, False at the `num` largest of each row."""
    return torch.ones(score.shape, dtype=torch.bool).scatter_(1, score.topk(num).indices, False)


# The values of `data.views.spatial_mask`.
JOINT_MASKS = {
    "structured": sample_structured_joints,
    "random": sample_random_joints,
    "none": lambda n, _views, skeleton, _: torch.ones(n, skeleton.num_joints, dtype=torch.bool),
}
# The values of `data.views.temporal_mask`.
FRAME_MASKS = {
    "segments": sample_segments,
    "frames": sample_frames,
    "none": lambda n, num_frames, _views, _: torch.ones(n, num_frames, dtype=torch.bool),
}
