"""Views of sequences: clips of T frames, cut and augmented for a whole batch, on any device.

Source: SCD-Net, sec. 3.4 and 4.1; docs/method.md 2. Random parameters (`sample_augment_params`, on
the CPU) are drawn apart from what is computed with them (`augment`), so that a seed gives the same
views on every device.
"""

import math
from functools import cache
from typing import NamedTuple

import torch
from einops import rearrange, repeat
from torch import Generator, Tensor
from torch.nn import functional as F

from scdnet.config import ViewsConfig
from scdnet.skeleton import Skeleton, neighbor_matrix
from scdnet.streams import joint_index

# The fraction of the frames that evaluation leaves out, half of them at each end.
TRIMMED_FRACTION = 0.05


class Crop(NamedTuple):
    """The frames of each sequence that a view is made of; all (N,) int64."""

    # The first frame, counted from the sequence's first.
    start: Tensor
    # The number of frames.
    length: Tensor


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


class AugmentParams(NamedTuple):
    """The random parameters of N training views."""

    # rho, the length of the crop as a fraction of the sequence.
    crop_fraction: Tensor  # (N,)
    # The position of the crop among the legal starts, in [0, 1).
    crop_position: Tensor  # (N,)
    # The identity where a view is not rotated.
    rotation: Tensor  # (N, 3, 3)
    flip: Tensor  # (N,) bool
    # The identity where a view is not sheared.
    shear: Tensor  # (N, 3, 3)
    keep_joints: Tensor  # (N, V) bool
    keep_frames: Tensor  # (N, T) bool


def sample_augment_params(
    n: int, num_frames: int, *, views: ViewsConfig, skeleton: Skeleton, generator: Generator
) -> AugmentParams:
    """Draw the parameters of `n` training views of T frames; `generator` is on the CPU."""
    fraction = torch.rand(n, generator=generator, dtype=torch.float64)
    position = torch.rand(n, generator=generator, dtype=torch.float64)
    rotate = _sample_bernoulli(n, views.rotate_prob, generator)
    flip = _sample_bernoulli(n, views.flip_prob, generator)
    shear = _sample_bernoulli(n, views.shear_prob, generator)
    mask_joints = _sample_bernoulli(n, views.joint_mask_prob, generator)
    mask_frames = _sample_bernoulli(n, views.frame_mask_prob, generator)
    identity = torch.eye(3)
    rotations = sample_rotations(n, views, skeleton.dims, generator)
    off_diagonal = (torch.rand(n, 3, 3, generator=generator) * 2 - 1) * views.max_shear
    # The score of a 2-D joint takes no part in it.
    off_diagonal[:, skeleton.dims :] = 0
    off_diagonal[:, :, skeleton.dims :] = 0
    shears = torch.where(identity > 0, identity, off_diagonal)
    keep_joints = JOINT_MASKS[views.spatial_mask](n, views, skeleton, generator)
    keep_frames = torch.ones(n, num_frames, dtype=torch.bool)
    # The number of segments has to divide the frames only if frames are masked.
    if views.frame_mask_prob:
        keep_frames = FRAME_MASKS[views.temporal_mask](n, num_frames, views, generator)
    return AugmentParams(
        crop_fraction=views.min_crop_fraction + (1 - views.min_crop_fraction) * fraction,
        crop_position=position,
        rotation=torch.where(rotate[:, None, None], rotations, identity),
        flip=flip,
        shear=torch.where(shear[:, None, None], shears, identity),
        keep_joints=keep_joints | ~mask_joints[:, None],
        keep_frames=keep_frames | ~mask_frames[:, None],
    )


def _sample_bernoulli(n: int, probability: float, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator) < probability


class PairSpec(NamedTuple):
    """The views of a training pair: the parameters that they share, their strength and number."""

    # Fields of AugmentParams that are drawn once for both.
    shared: tuple[str, ...] = ()
    # Masks that neither view has.
    unmasked: tuple[str, ...] = ()
    # A factor on the angles and the shear.
    strength: float = 1
    # The number of views; what is predicted needs no second one.
    copies: int = 2


# The pairs of each task. Source: docs/objectives.md.
PAIR_SPECS = {
    "scd": PairSpec(),
    "spatial": PairSpec(
        shared=("rotation", "flip", "shear"), unmasked=("keep_joints",), strength=0.5
    ),
    "temporal": PairSpec(shared=("crop_fraction", "crop_position"), unmasked=("keep_frames",)),
    "latent": PairSpec(copies=1),
}


def sample_pair_params(
    n: int,
    num_frames: int,
    spec: PairSpec,
    *,
    views: ViewsConfig,
    skeleton: Skeleton,
    generator: Generator,
) -> AugmentParams:
    """Draw the views of `n` pairs: the first views, then the second ones, (copies*N, ...)."""
    scaled = {
        key: spec.strength * getattr(views, key)
        for key in ("max_angle_deg", "max_minor_angle_deg", "max_shear")
    }
    views = views.model_copy(update=scaled)
    params = sample_augment_params(
        spec.copies * n, num_frames, views=views, skeleton=skeleton, generator=generator
    )
    shared = {key: torch.cat([getattr(params, key)[:n]] * spec.copies) for key in spec.shared}
    unmasked = {key: torch.ones_like(getattr(params, key)) for key in spec.unmasked}
    return params._replace(**shared, **unmasked)


def sample_rotations(n: int, views: ViewsConfig, dims: int, generator: Generator) -> Tensor:
    """Draw (N, 3, 3) R = R_z R_y R_x for p' = R p: a large angle about one axis, two small ones.

    R_x = [[1,0,0],[0,c,s],[0,-s,c]], R_y = [[c,0,-s],[0,1,0],[s,0,c]],
    R_z = [[c,s,0],[-s,c,0],[0,0,1]]. In 2-D there is R_z alone, with the large angle.
    """
    is_main = torch.randint(3, (n, 1), generator=generator) == torch.arange(3)
    largest = torch.where(is_main, views.max_angle_deg, views.max_minor_angle_deg)
    if dims == 2:
        largest = torch.tensor([0.0, 0.0, views.max_angle_deg]).expand(n, 3)
    angle_rad = torch.rand(n, 3, generator=generator) * largest * (math.pi / 180)
    cx, cy, cz = angle_rad.cos().T
    sx, sy, sz = angle_rad.sin().T
    one = torch.ones(n)
    zero = torch.zeros(n)
    about_x = torch.stack([one, zero, zero, zero, cx, sx, zero, -sx, cx], dim=1)
    about_y = torch.stack([cy, zero, -sy, zero, one, zero, sy, zero, cy], dim=1)
    about_z = torch.stack([cz, sz, zero, -sz, cz, zero, zero, zero, one], dim=1)
    x, y, z = (matrix.view(n, 3, 3) for matrix in (about_x, about_y, about_z))
    return z @ y @ x


def training_crop(length: Tensor, params: AugmentParams, min_crop_frames: int) -> Crop:
    """Return the crop of sequences of `length` (N,) frames that the parameters give."""
    wanted = (length * params.crop_fraction).long().clamp(min=min_crop_frames)
    crop = torch.minimum(wanted, length)
    return Crop(start=((length - crop + 1) * params.crop_position).long(), length=crop)


def evaluation_crop(length: Tensor) -> Crop:
    """Return the crop of sequences of `length` (N,) frames without a margin at both ends."""
    start = (TRIMMED_FRACTION * length.double() / 2).long()
    return Crop(start=start, length=length - 2 * start)


def resample(frames: Tensor, first: Tensor, length: Tensor, *, num_frames: int) -> Tensor:
    """Cut `length` (N,) frames from frame `first` (N,) of `frames` (C, F, M, V), resize them to T.

    Linear, half-pixel centers, clamped at the edges, as `interpolate(mode="linear",
    align_corners=False)`. Returns (N, C, T, V, M) float32.
    """
    before, after, weight = neighbor_frames(length, num_frames=num_frames)
    rows = first[:, None, None] + torch.stack([before, after], dim=2)  # (N, T, 2)
    return _blend(frames, rows, torch.stack([1 - weight, weight], dim=2))


def neighbor_frames(length: Tensor, *, num_frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return between which frames of crops of `length` (N,) frames each of T frames lies.

    Returns the frame before, the frame after, counted from the crop's first, and the weight of the
    latter, all (N, T).
    """
    last = (length - 1)[:, None]
    center = torch.arange(num_frames, device=length.device) + 0.5
    # Positions are counted in frames of the crop.
    position = center * (length / num_frames)[:, None] - 0.5
    position = position.clamp(min=0).minimum(last)
    before = position.long()
    after = (before + 1).minimum(last)
    return before, after, position - before


def _blend(frames: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Average the frames `rows` (N, T, 2) with `weights` (N, T, 2)."""
    c, f, m, v = frames.shape
    # C planes of F rows of M*V numbers each.
    table = frames.view(c * f, m * v)
    planes = torch.arange(c, device=frames.device)[:, None, None] * f
    bags = rearrange(rows[:, None] + planes, "n c t two -> (n c t) two")
    weights = repeat(weights, "n t two -> (n c t) two", c=c)
    if frames.dtype == torch.float32:
        # One pass over the memory: each average is a bag of two embeddings.
        clips = F.embedding_bag(bags, table, per_sample_weights=weights, mode="sum")
    else:
        # A bag of float16 would round the weights and the average as well.
        before, after = table[bags].float().unbind(dim=1)
        clips = torch.lerp(before, after, weights[:, 1:])
    return rearrange(clips, "(n c t) (m v) -> n c t v m", n=len(rows), c=c, m=m)


def augment(x: Tensor, params: AugmentParams, skeleton: Skeleton) -> Tensor:
    """Rotate, flip, shear and mask clips (N, C, T, V, M).

    Rotation and shear act on coordinates, flip and joint mask on joints, so these two pairs
    commute; the latter are one matrix of joints.
    """
    joints = torch.eye(skeleton.num_joints, device=x.device)
    mirrored = joints[:, joint_index(skeleton.mirror, x.device)]
    # joints[n, v, u] is 1 where joint v moves to joint u.
    joints = torch.where(params.flip[:, None, None], mirrored, joints)
    joints = joints * params.keep_joints[:, None, :]
    _, c, _, _, m = x.shape
    x = (params.shear @ params.rotation) @ rearrange(x, "n c t v m -> n c (t m v)")
    x = rearrange(x, "n c (t m v) -> n (c t m) v", m=m, v=skeleton.num_joints) @ joints
    x = rearrange(x, "n (c t m) v -> n c t v m", c=c, m=m)
    return x * params.keep_frames[:, None, :, None, None]
