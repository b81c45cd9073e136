"""Which joints and frames a training view keeps. Source: SCD-Net, sec. 3.4; docs/method.md 2."""

from functools import cache

import torch
from torch import Generator, Tensor

from scdnet.config import ViewsConfig
from scdnet.skeleton import Skeleton, neighbor_matrix


@cache
def _two_step_paths(skeleton: Skeleton) -> Tensor:
    """(V, V) number of paths of two steps, standing still included, between two joints: B = A A."""
    reach = torch.from_numpy(neighbor_matrix(skeleton))
    return (reach @ reach).double()


def num_masked_joints(views: ViewsConfig, skeleton: Skeleton) -> int:
    """Return how many joints of a skeleton the spatial mask hides."""
    return round(views.masked_joint_fraction * skeleton.num_joints)


def sample_structured_joints(
    n: int, views: ViewsConfig, skeleton: Skeleton, generator: Generator
) -> Tensor:
    """(N, V) bool, False at `masked_joint_fraction` joints around `seed_joint_fraction` joints drawn with replacement.

    A joint's score is the sum of the seeds' rows of B; the highest are masked. Ties are broken at random: the
    original's sort order favours some joints.
    """
    num_seeds = max(1, round(views.seed_joint_fraction * skeleton.num_joints))
    chosen = torch.randint(skeleton.num_joints, (n, num_seeds), generator=generator)
    score = _two_step_paths(skeleton)[chosen].sum(
        dim=1
    )  # whole numbers, so that less than 1 only breaks ties
    score += torch.rand(score.shape, generator=generator, dtype=score.dtype)
    return _without_largest(score, num_masked_joints(views, skeleton))


def sample_random_joints(
    n: int, views: ViewsConfig, skeleton: Skeleton, generator: Generator
) -> Tensor:
    """(N, V) bool, False at `masked_joint_fraction` joints, any as likely as any other."""
    return _without_largest(
        torch.rand(n, skeleton.num_joints, generator=generator), num_masked_joints(views, skeleton)
    )


def sample_segments(n: int, frames: int, views: ViewsConfig, generator: Generator) -> Tensor:
    """(N, T) bool, False in `num_masked_segments` of `segments` equal segments of the T frames."""
    keep = _without_largest(
        torch.rand(n, views.num_segments, generator=generator), views.num_masked_segments
    )
    return keep.repeat_interleave(frames // views.num_segments, dim=1)


def sample_frames(n: int, frames: int, views: ViewsConfig, generator: Generator) -> Tensor:
    """(N, T) bool, False in as many single frames as `num_masked_segments` of `segments` segments hold."""
    masked = frames * views.num_masked_segments // views.num_segments
    return _without_largest(torch.rand(n, frames, generator=generator), masked)


def _without_largest(score: Tensor, num: int) -> Tensor:
    """(N, K) -> (N, K) bool, False at the `num` largest of each row."""
    return torch.ones(score.shape, dtype=torch.bool).scatter_(1, score.topk(num).indices, False)


JOINT_MASKS = {  # by `data.views.spatial_mask`
    "structured": sample_structured_joints,
    "random": sample_random_joints,
    "none": lambda n, views, skeleton, generator: torch.ones(
        n, skeleton.num_joints, dtype=torch.bool
    ),
}
FRAME_MASKS = {  # by `data.views.temporal_mask`
    "segments": sample_segments,
    "frames": sample_frames,
    "none": lambda n, frames, views, generator: torch.ones(n, frames, dtype=torch.bool),
}
