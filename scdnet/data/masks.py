"""Which joints and frames a training view keeps. Source: SCD-Net, sec. 3.4; docs/method.md 2."""

from functools import cache

import torch
from torch import Generator, Tensor

from scdnet.config import ViewsConfig
from scdnet.skeleton import Skeleton, neighbour_matrix


@cache
def _two_step_paths(skeleton: Skeleton) -> Tensor:
    """(V, V) number of paths of two steps, standing still included, between two joints: B = A A."""
    reach = torch.from_numpy(neighbour_matrix(skeleton))
    return (reach @ reach).double()


def draw_structured_joints(
    n: int, views: ViewsConfig, skeleton: Skeleton, generator: Generator
) -> Tensor:
    """(N, V) bool, False at `masked_joints` joints around `seed_joints` joints drawn with replacement.

    A joint's score is the sum of the seeds' rows of B; the highest are masked. Ties are broken at random: the
    original's sort order favours some joints.
    """
    chosen = torch.randint(skeleton.num_joints, (n, views.seed_joints), generator=generator)
    score = _two_step_paths(skeleton)[chosen].sum(
        dim=1
    )  # whole numbers, so that less than 1 only breaks ties
    score += torch.rand(score.shape, generator=generator, dtype=score.dtype)
    return _without_largest(score, views.masked_joints)


def draw_random_joints(
    n: int, views: ViewsConfig, skeleton: Skeleton, generator: Generator
) -> Tensor:
    """(N, V) bool, False at `masked_joints` joints, any as likely as any other."""
    return _without_largest(
        torch.rand(n, skeleton.num_joints, generator=generator), views.masked_joints
    )


def draw_segments(n: int, frames: int, views: ViewsConfig, generator: Generator) -> Tensor:
    """(N, T) bool, False in `masked_segments` of `segments` equal segments of the T frames."""
    keep = _without_largest(
        torch.rand(n, views.segments, generator=generator), views.masked_segments
    )
    return keep.repeat_interleave(frames // views.segments, dim=1)


def draw_frames(n: int, frames: int, views: ViewsConfig, generator: Generator) -> Tensor:
    """(N, T) bool, False in as many single frames as `masked_segments` of `segments` segments hold."""
    masked = frames * views.masked_segments // views.segments
    return _without_largest(torch.rand(n, frames, generator=generator), masked)


def _without_largest(score: Tensor, num: int) -> Tensor:
    """(N, K) -> (N, K) bool, False at the `num` largest of each row."""
    return torch.ones(score.shape, dtype=torch.bool).scatter_(1, score.topk(num).indices, False)


JOINT_MASKS = {  # by `data.views.spatial_mask`
    "structured": draw_structured_joints,
    "random": draw_random_joints,
    "none": lambda n, views, skeleton, generator: torch.ones(
        n, skeleton.num_joints, dtype=torch.bool
    ),
}
FRAME_MASKS = {  # by `data.views.temporal_mask`
    "segments": draw_segments,
    "frames": draw_frames,
    "none": lambda n, frames, views, generator: torch.ones(n, frames, dtype=torch.bool),
}
