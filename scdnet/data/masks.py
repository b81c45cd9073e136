"""Which joints and frames a training view keeps. Source: SCD-Net, sec. 3.4; docs/method.md 2."""

from functools import cache

import torch
from torch import Generator, Tensor

from scdnet.skeleton import Skeleton, neighbour_matrix


@cache
def _two_step_paths(skeleton: Skeleton) -> Tensor:
    """(V, V) number of paths of two steps, standing still included, between two joints: B = A A."""
    reach = torch.from_numpy(neighbour_matrix(skeleton))
    return (reach @ reach).double()


def draw_joint_masks(n: int, skeleton: Skeleton, *, seeds: int, masked: int, generator: Generator) -> Tensor:
    """(N, V) bool, False at `masked` joints around `seeds` joints drawn with replacement.

    A joint's score is the sum of the seeds' rows of B; the highest are masked. Ties are broken at random: the
    original's sort order favours some joints.
    """
    chosen = torch.randint(skeleton.num_joints, (n, seeds), generator=generator)
    score = _two_step_paths(skeleton)[chosen].sum(dim=1)  # whole numbers, so that less than 1 only breaks ties
    score += torch.rand(score.shape, generator=generator, dtype=score.dtype)
    return torch.ones(score.shape, dtype=torch.bool).scatter_(1, score.topk(masked).indices, False)


def draw_frame_masks(n: int, frames: int, *, segments: int, masked: int, generator: Generator) -> Tensor:
    """(N, T) bool, False in `masked` of `segments` equal segments of the T frames."""
    chosen = torch.rand(n, segments, generator=generator).topk(masked).indices
    keep = torch.ones(n, segments, dtype=torch.bool).scatter_(1, chosen, False)
    return keep.repeat_interleave(frames // segments, dim=1)
