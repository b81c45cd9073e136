"""The streams: what a clip of joints can be converted to before it is encoded.

Source: docs/method.md 2.
"""

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


def to_bone(x: Tensor, skeleton: Skeleton) -> Tensor:
    """Map joints (N, C, T, V, M) to the vectors from their parents (root: 0)."""
    return _difference(x, x[:, :, :, joint_index(skeleton.parents, x.device)], skeleton)


def to_motion(x: Tensor, skeleton: Skeleton) -> Tensor:
    """Map joints (N, C, T, V, M) to their steps to the next frame (last frame: 0)."""
    return _difference(torch.cat([x[:, :, 1:], x[:, :, -1:]], dim=2), x, skeleton)


def _difference(x: Tensor, y: Tensor, skeleton: Skeleton) -> Tensor:
    """Return x - y of joints (N, C, T, V, M); the score of a 2-D difference is their mean."""
    if skeleton.dims == 3:
        return x - y
    score = (x[:, 2:] + y[:, 2:]) / 2
    return torch.cat([x[:, :2] - y[:, :2], score], dim=1)


# Maps of joints (N, C, T, V, M), of the same shape.
STREAMS = {"joint": lambda x, _skeleton: x, "bone": to_bone, "motion": to_motion}
# The stream of what uses all of them.
ALL_STREAMS = "all"


def visible_values(visible: Tensor, stream: str, skeleton: Skeleton) -> Tensor:
    """Return which values of a stream show nothing of hidden joints.

    `visible` (N, T, V) bool are the joints that may be seen, by frame. Returns (N, S, T, V) bool
    for each of the S streams that an encoder stacks. A bone is hidden if either of its ends is, a
    motion if either of its frames is: the other end or frame would give it away.
    """
    names = STREAMS if stream == ALL_STREAMS else (stream,)
    return torch.stack([_VISIBLE[name](visible, skeleton) for name in names], dim=1)


def _visible_bones(visible: Tensor, skeleton: Skeleton) -> Tensor:
    return visible & visible[:, :, joint_index(skeleton.parents, visible.device)]


def _visible_motion(visible: Tensor, _skeleton: Skeleton) -> Tensor:
    return visible & torch.cat([visible[:, 1:], visible[:, -1:]], dim=1)


_VISIBLE = {
    "joint": lambda visible, _skeleton: visible,
    "bone": _visible_bones,
    "motion": _visible_motion,
}


def to_stream(joints: Tensor, stream: str, skeleton: Skeleton) -> Tensor:
    """Convert joints (N, C, T, V, M) to what views of a stream show.

    Views of all streams show joints. The encoder takes bones and motion from them itself, so that
    these follow from joints that are augmented already.
    """
    return joints if stream == ALL_STREAMS else STREAMS[stream](joints, skeleton)


def stack_streams(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """Return joints (N, C, T, V, M), their bones and their motion as channels, (N, 3C, T, V, M)."""
    return torch.cat([convert(joints, skeleton) for convert in STREAMS.values()], dim=1)
