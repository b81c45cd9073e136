"""Draw parts of bodies and blocks of frames that are hidden from an encoder, to be predicted.

As with the other random parameters of views, these are drawn on the CPU, so that a seed hides the
same on every device. Source: docs/objectives.md.
"""

import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from scdnet.config import LatentConfig
from scdnet.skeleton import Skeleton, neighbor_matrix

# The parts of the body that are hidden grow around so many joints.
NUM_SEEDS = 2
# A block of hidden frames is at least this fraction of a clip, unless less is hidden in all: what
# is shorter can be interpolated.
MIN_BLOCK = 0.25
# The choices among which motion selects.
NUM_CANDIDATES = 4


class HiddenDraws(NamedTuple):
    """Candidates of what is hidden from N clips, R for each.

    All candidates hide the same number of joints and of frames.
    """

    joints: Tensor  # (N, R, V) bool, True where hidden
    frames: Tensor  # (N, R, T) bool, True where hidden
    # Gumbel noise for the choice of joints and that of frames.
    noise: Tensor  # (N, 2, R)


def sample_hidden(
    n: int, num_frames: int, *, latent: LatentConfig, skeleton: Skeleton, generator: Generator
) -> HiddenDraws:
    """Draw what is hidden from `n` clips of T frames; `generator` is on the CPU."""
    num_candidates = NUM_CANDIDATES if latent.hide == "motion" else 1
    num = n * num_candidates
    num_joints, num_hidden_frames = latent.num_hidden(skeleton.num_joints, num_frames)
    joints = sample_parts(num, num_joints, skeleton, generator)
    frames = sample_blocks(num, num_hidden_frames, num_frames, generator)
    uniform = torch.rand(n, 2, num_candidates, generator=generator)
    smallest = torch.finfo(uniform.dtype).tiny
    return HiddenDraws(
        joints.unflatten(0, (n, num_candidates)),
        frames.unflatten(0, (n, num_candidates)),
        -(-uniform.clamp(min=smallest).log()).clamp(min=smallest).log(),
    )


def sample_parts(n: int, num_hidden: int, skeleton: Skeleton, generator: Generator) -> Tensor:
    """Draw masks (N, V) bool, True at the joints nearest to a few seed joints along the bones."""
    seeds = torch.randint(skeleton.num_joints, (n, NUM_SEEDS), generator=generator)
    distance = _bone_distances(skeleton)[seeds].amin(dim=1)  # (N, V)
    # Distances are whole numbers, so that less than 1 only breaks ties.
    distance = distance + torch.rand(distance.shape, generator=generator)
    nearest = distance.topk(num_hidden, largest=False).indices
    return torch.zeros(distance.shape, dtype=torch.bool).scatter_(1, nearest, True)


def sample_blocks(n: int, num_hidden: int, num_frames: int, generator: Generator) -> Tensor:
    """Draw masks (N, T) bool, True in blocks of frames; all their places are equally likely.

    There are as many blocks as can have MIN_BLOCK of the frames each; two of them may touch.
    """
    num_blocks = max(1, num_hidden // math.ceil(MIN_BLOCK * num_frames))
    # The blocks lie among the visible frames like so many marks among their gaps.
    num_visible = num_frames - num_hidden
    places = torch.rand(n, num_visible + num_blocks, generator=generator)
    marks = places.argsort(dim=1)[:, :num_blocks].sort(dim=1).values
    before = marks - torch.arange(num_blocks)  # (N, blocks), visible frames before each block
    ends = torch.arange(1, num_blocks + 1) * num_hidden // num_blocks
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    frame = torch.arange(num_frames)
    first = (before + starts)[..., None]
    is_within = (frame >= first) & (frame < (before + ends)[..., None])  # (N, blocks, T)
    return is_within.any(dim=1)


@cache
def _bone_distances(skeleton: Skeleton) -> Tensor:
    """Return the number of bones between every two joints, (V, V) float32."""
    reach = torch.from_numpy(neighbor_matrix(skeleton)).float()
    distance = torch.full(reach.shape, float("inf"))
    reached = torch.eye(len(reach))
    for steps in range(len(reach)):
        distance = torch.where((reached > 0) & distance.isinf(), float(steps), distance)
        reached = ((reached @ reach) > 0).float()
    return distance
