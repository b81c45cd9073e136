"""The streams: joint positions, bones and motion. Source: docs/method.md 2."""

from functools import cache

import torch
from torch import Tensor

from scdnet.skeleton import Skeleton


@cache
def joint_index(joints: tuple[int, ...], device: torch.device) -> Tensor:
    """Return `joints` as an index (V,) int64 on `device`, copied there once.

    To index with a list would copy it each time, and force a host-device synchronization.
    """
    return torch.tensor(joints, device=device)


def to_joint(x: Tensor, _: Skeleton) -> Tensor:
    """Return joints (N, C, T, V, M) as they are."""
    return x


def to_bone(x: Tensor, skeleton: Skeleton) -> Tensor:
    """Map joints (N, C, T, V, M) to the vectors from their parents (root: 0)."""
    return x - x[:, :, :, joint_index(skeleton.parents, x.device)]


def to_motion(x: Tensor, _: Skeleton) -> Tensor:
    """Map joints (N, C, T, V, M) to their steps to the next frame (last frame: 0)."""
    return torch.diff(x, dim=2, append=x[:, :, -1:])


STREAMS = {"joint": to_joint, "bone": to_bone, "motion": to_motion}
