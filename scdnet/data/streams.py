"""What is taken from the joints: positions, bones or motion. Source: docs/method.md 2."""

import torch
from torch import Tensor

from scdnet.data.transfer import joint_index
from scdnet.skeleton import Skeleton


def to_joint(x: Tensor, _: Skeleton) -> Tensor:
    """(N, C, T, V, M) joints as they are."""
    return x


def to_bone(x: Tensor, skeleton: Skeleton) -> Tensor:
    """(N, C, T, V, M) joints -> (N, C, T, V, M) vectors from the parent joint (root: 0)."""
    return x - x[:, :, :, joint_index(skeleton.parents, x.device)]


def to_motion(x: Tensor, _: Skeleton) -> Tensor:
    """(N, C, T, V, M) joints -> (N, C, T, V, M) step to the next frame (last frame: 0)."""
    return torch.diff(x, dim=2, append=x[:, :, -1:])


STREAMS = {"joint": to_joint, "bone": to_bone, "motion": to_motion}
