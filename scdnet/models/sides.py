"""The side of the body that acts, and clips in which it is always the same one.

In many actions either hand or leg may act, and which one it is depends on the person: on UI-PRMD
that alone decides 18 of 100 nearest neighbors (docs/results.md). A body and its mirror image are
therefore shown to the encoder as the same body.
"""

import torch
from torch import Tensor

from scdnet.skeleton import Skeleton
from scdnet.streams import joint_index


def side_balance(clips: Tensor, skeleton: Skeleton) -> Tensor:
    """Return log(first side / second side) of how much the sides of clips (N, C, T, V, M) vary.

    The variation of a joint is its mean square deviation from its mean over time. The first side
    is the left one, where the names of joints say so. The balance (N,) of a mirrored clip is the
    negative of that of the clip.
    """
    coordinates = clips[:, : skeleton.dims]
    deviation = coordinates - coordinates.mean(dim=2, keepdim=True)
    by_joint = deviation.square().mean(dim=(1, 2, 4))  # (N, V)
    first, second = (
        by_joint[:, joint_index(side, clips.device)].sum(dim=1) for side in skeleton.sides
    )
    # Both are 0 where nothing moves.
    smallest = torch.finfo(clips.dtype).tiny
    return (first + smallest).log() - (second + smallest).log()


def mirror(clips: Tensor, skeleton: Skeleton) -> Tensor:
    """Return the mirror images of clips (N, C, T, V, M): -x, and left and right joints exchanged.

    In normalized sequences x points from shoulder to shoulder.
    """
    exchanged = clips[:, :, :, joint_index(skeleton.mirror, clips.device)]
    return torch.cat([-exchanged[:, :1], exchanged[:, 1:]], dim=1)


def align_sides(clips: Tensor, skeleton: Skeleton) -> Tensor:
    """Mirror those of the clips (N, C, T, V, M) in which the first side varies more."""
    is_first = side_balance(clips, skeleton) > 0
    return torch.where(is_first[:, None, None, None, None], mirror(clips, skeleton), clips)
