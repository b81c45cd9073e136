"""Views of recordings: clips of T frames, cut and augmented for a whole batch at once, on any device.

Source: SCD-Net, sec. 3.4 and 4.1; docs/method.md 2. Chance (`sample_augment_params`, on the CPU) is kept apart from what is
computed with it (`augment`), so that a seed gives the same views on every device.
"""

import math
from typing import NamedTuple

import torch
from einops import rearrange, repeat
from torch import Generator, Tensor
from torch.nn import functional as F

from scdnet.config import ViewsConfig
from scdnet.data.masks import FRAME_MASKS, JOINT_MASKS
from scdnet.data.transfer import joint_index
from scdnet.skeleton import Skeleton

EVALUATION_MARGIN = (
    0.05  # share of a recording that the evaluation view leaves out, half at each end
)


class Crop(NamedTuple):
    """A stretch of each recording; all (N,) int64."""

    start: Tensor  # its first frame, counted from the recording's first
    length: Tensor  # its number of frames


class AugmentParams(NamedTuple):
    """What chance decides about N training views."""

    crop_fraction: Tensor  # (N,) rho, share of the recording
    crop_place: Tensor  # (N,) in [0, 1): where among the legal starts
    rotation: Tensor  # (N, 3, 3), the identity where there is none
    flip: Tensor  # (N,) bool
    shear: Tensor  # (N, 3, 3), the identity where there is none
    keep_joints: Tensor  # (N, V) bool
    keep_frames: Tensor  # (N, T) bool


def sample_augment_params(
    n: int, frames: int, *, views: ViewsConfig, skeleton: Skeleton, generator: Generator
) -> AugmentParams:
    """Draw everything that `n` training views of `frames` frames need; `generator` is one of the CPU."""

    def happens(probability: float) -> Tensor:
        return torch.rand(n, generator=generator) < probability

    fraction = torch.rand(n, generator=generator, dtype=torch.float64)
    place = torch.rand(n, generator=generator, dtype=torch.float64)
    rotate, flip, shear, hide_joints, hide_frames = (
        happens(p)
        for p in (
            views.rotate_prob,
            views.flip_prob,
            views.shear_prob,
            views.joint_mask_prob,
            views.frame_mask_prob,
        )
    )
    identity = torch.eye(3)
    rotation = sample_rotations(n, views, generator)
    shearing = torch.where(
        identity > 0,
        identity,
        (torch.rand(n, 3, 3, generator=generator) * 2 - 1) * views.max_shear,
    )
    keep_joints = JOINT_MASKS[views.spatial_mask](n, views, skeleton, generator)
    keep_frames = torch.ones(n, frames, dtype=torch.bool)
    if views.frame_mask_prob:  # else the number of segments need not divide the frames
        keep_frames = FRAME_MASKS[views.temporal_mask](n, frames, views, generator)
    return AugmentParams(
        crop_fraction=views.min_crop_fraction + (1 - views.min_crop_fraction) * fraction,
        crop_place=place,
        rotation=torch.where(rotate[:, None, None], rotation, identity),
        flip=flip,
        shear=torch.where(shear[:, None, None], shearing, identity),
        keep_joints=keep_joints | ~hide_joints[:, None],
        keep_frames=keep_frames | ~hide_frames[:, None],
    )


class PairSpec(NamedTuple):
    """What the two views of a training pair have in common, and how strong their augmentations are."""

    shared: tuple[str, ...] = ()  # fields of AugmentParams that are drawn once for both
    unmasked: tuple[str, ...] = ()  # masks that neither has
    strength: float = 1  # times the angles and the shear


PAIR_SPECS = {  # by the task that the pair is for. Source: docs/methods.md
    "scd": PairSpec(),
    "spatial": PairSpec(
        shared=("rotation", "flip", "shear"), unmasked=("keep_joints",), strength=0.5
    ),
    "temporal": PairSpec(shared=("crop_fraction", "crop_place"), unmasked=("keep_frames",)),
}


def sample_pair_params(
    n: int,
    frames: int,
    kind: PairSpec,
    *,
    views: ViewsConfig,
    skeleton: Skeleton,
    generator: Generator,
) -> AugmentParams:
    """Draw the two views of `n` pairs: the first views, then the second ones, (2N, ...)."""
    angles = {
        key: kind.strength * getattr(views, key)
        for key in ("max_angle_deg", "max_minor_angle_deg", "max_shear")
    }
    weaker = views.model_copy(update=angles)
    draws = sample_augment_params(
        2 * n, frames, views=weaker, skeleton=skeleton, generator=generator
    )
    shared = {
        key: getattr(draws, key)[:n].repeat(2, *[1] * (getattr(draws, key).dim() - 1))
        for key in kind.shared
    }
    unmasked = {key: torch.ones_like(getattr(draws, key)) for key in kind.unmasked}
    return draws._replace(**shared, **unmasked)


def sample_rotations(n: int, views: ViewsConfig, generator: Generator) -> Tensor:
    """(N, 3, 3) R = R_z R_y R_x for p' = R p: a large angle about one axis, small ones about the others.

    R_x = [[1,0,0],[0,c,s],[0,-s,c]], R_y = [[c,0,-s],[0,1,0],[s,0,c]], R_z = [[c,s,0],[-s,c,0],[0,0,1]].
    """
    main = torch.randint(3, (n, 1), generator=generator) == torch.arange(3)
    largest = torch.where(main, views.max_angle_deg, views.max_minor_angle_deg)
    angle_rad = torch.rand(n, 3, generator=generator) * largest * (math.pi / 180)
    (cx, cy, cz), (sx, sy, sz) = angle_rad.cos().T, angle_rad.sin().T
    one, zero = torch.ones(n), torch.zeros(n)
    about_x = torch.stack([one, zero, zero, zero, cx, sx, zero, -sx, cx], dim=1)
    about_y = torch.stack([cy, zero, -sy, zero, one, zero, sy, zero, cy], dim=1)
    about_z = torch.stack([cz, sz, zero, -sz, cz, zero, zero, zero, one], dim=1)
    x, y, z = (matrix.view(n, 3, 3) for matrix in (about_x, about_y, about_z))
    return z @ y @ x


def training_crop(length: Tensor, draws: AugmentParams, min_crop_frames: int) -> Crop:
    """The drawn stretch of recordings of `length` (N,) frames."""
    wanted = (length * draws.crop_fraction).long().clamp(min=min_crop_frames)
    crop = torch.minimum(wanted, length)
    return Crop(start=((length - crop + 1) * draws.crop_place).long(), length=crop)


def evaluation_crop(length: Tensor) -> Crop:
    """The stretch of recordings of `length` (N,) frames without a small margin at both ends."""
    start = (EVALUATION_MARGIN * length.double() / 2).long()
    return Crop(start=start, length=length - 2 * start)


def resample(frames: Tensor, first: Tensor, length: Tensor, *, num_frames: int) -> Tensor:
    """Cut `length` (N,) frames from frame `first` (N,) of `frames` (C, F, M, V) and resize them to T.

    Linear, half-pixel centres, clamped at the edges, as `interpolate(mode="linear", align_corners=False)`.
    Returns (N, C, T, V, M) float32.
    """
    last = (length - 1)[:, None]
    centre = torch.arange(num_frames, device=frames.device) + 0.5
    position = centre * (length / num_frames)[:, None] - 0.5  # (N, T) in frames of the crop
    position = position.clamp(min=0).minimum(last)
    before = position.long()
    after = (before + 1).minimum(last)
    weight = position - before
    rows = first[:, None, None] + torch.stack([before, after], dim=2)  # (N, T, 2)
    return _blend(frames, rows, torch.stack([1 - weight, weight], dim=2))


def _blend(frames: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Means of the frames `rows` (N, T, 2), weighted by `weights` (N, T, 2)."""
    c, f, m, v = frames.shape
    table = frames.view(c * f, m * v)  # C planes of F rows of M*V numbers each
    planes = torch.arange(c, device=frames.device)[:, None, None] * f
    bags = rearrange(rows[:, None] + planes, "n c t two -> (n c t) two")
    weights = repeat(weights, "n t two -> (n c t) two", c=c)
    if (
        frames.dtype == torch.float32
    ):  # in one pass over the memory: each mean a bag of two embeddings
        clips = F.embedding_bag(bags, table, per_sample_weights=weights, mode="sum")
    else:  # a bag of float16 would round the weights and the mean as well
        before, after = table[bags].float().unbind(dim=1)
        clips = torch.lerp(before, after, weights[:, 1:])
    return rearrange(clips, "(n c t) (m v) -> n c t v m", n=len(rows), c=c, m=m)


def augment(x: Tensor, draws: AugmentParams, skeleton: Skeleton) -> Tensor:
    """Rotate, flip, shear and mask clips (N, C, T, V, M) as drawn.

    Rotation and shear act on coordinates, flip and joint mask on joints, so these two pairs commute; the latter are
    one matrix of joints.
    """
    joints = torch.eye(skeleton.num_joints, device=x.device)
    mirrored = joints[:, joint_index(skeleton.mirror, x.device)]
    joints = torch.where(draws.flip[:, None, None], mirrored, joints)  # [n, v, u]: v moves to u
    joints = joints * draws.keep_joints[:, None, :]
    c, m = x.shape[1], x.shape[4]
    x = (draws.shear @ draws.rotation) @ rearrange(x, "n c t v m -> n c (t m v)")
    x = rearrange(x, "n c (t m v) -> n (c t m) v", m=m, v=skeleton.num_joints) @ joints
    x = rearrange(x, "n (c t m) v -> n c t v m", c=c, m=m)
    return x * draws.keep_frames[:, None, :, None, None]
