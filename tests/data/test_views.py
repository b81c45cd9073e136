"""Views against docs/method.md 2, clip by clip, and their invariants."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from scdnet.config import ViewsConfig
from scdnet.data.views import (
    FRAME_MASKS,
    JOINT_MASKS,
    PAIR_SPECS,
    AugmentParams,
    augment,
    evaluation_crop,
    resample,
    sample_augment_params,
    sample_pair_params,
    sample_rotations,
    training_crop,
)
from scdnet.skeleton import Skeleton, neighbor_matrix
from scdnet.skeletons import NTU_25, SKELETONS, mirrored_name
from scdnet.streams import STREAMS
from tests.reference import views as reference

ALWAYS = ViewsConfig(rotate_prob=1, flip_prob=1, shear_prob=1, joint_mask_prob=1, frame_mask_prob=1)
NEVER = ViewsConfig(rotate_prob=0, flip_prob=0, shear_prob=0, joint_mask_prob=0, frame_mask_prob=0)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def sample(n: int, views: ViewsConfig) -> AugmentParams:
    return sample_augment_params(n, 64, views=views, skeleton=NTU_25, generator=generator())


def test_evaluation_views_equal_the_authors(shared: Path):
    cases = np.load(shared / "golden/ntu_cases.npz")
    names = sorted({key.split(".")[0] for key in cases.files})
    for name in names:
        num_frames = int(cases[f"{name}.num_frame"])
        sequence = torch.from_numpy(cases[f"{name}.normalised"][:, :num_frames]).float()
        frames = sequence.permute(0, 1, 3, 2).contiguous()
        crop = evaluation_crop(torch.tensor([num_frames]))
        view = resample(frames, crop.start, crop.length, num_frames=64)
        for stream, convert in STREAMS.items():
            expected = torch.from_numpy(cases[f"{name}.eval_{stream}"])
            assert torch.allclose(convert(view, NTU_25)[0], expected, atol=1e-5), (name, stream)


@pytest.mark.parametrize("crop", [1, 2, 31, 64, 150])
@pytest.mark.parametrize("num_frames", [16, 64])
def test_resample_equals_torch_interpolate(crop: int, num_frames: int):
    frames = torch.randn(3, 200, 2, 25, generator=generator())
    own = resample(frames, torch.tensor([7]), torch.tensor([crop]), num_frames=num_frames)
    flat = frames[:, 7 : 7 + crop].permute(0, 2, 3, 1).reshape(1, 150, crop)  # (1, C*M*V, crop)
    expected = F.interpolate(flat, size=num_frames, mode="linear", align_corners=False)
    assert torch.allclose(
        own[0], expected[0].view(3, 2, 25, num_frames).permute(0, 3, 2, 1), atol=1e-5
    )


def test_training_crop_follows_its_formula():
    length = torch.arange(1, 400)
    params = sample(len(length), NEVER)
    crop = training_crop(length, params, 64)
    for n, rho, own in zip(
        length.tolist(), params.crop_fraction.tolist(), crop.length.tolist(), strict=True
    ):
        assert own == min(max(math.floor(n * rho), 64), n)
    assert (crop.start >= 0).all()
    assert (crop.start + crop.length <= length).all()


def test_every_legal_start_is_drawn():
    length = torch.full((2000,), 67)
    crop = training_crop(length, sample(2000, NEVER), 64)
    assert set(crop.start[crop.length == 64].tolist()) == {0, 1, 2, 3}


def test_evaluation_crop_leaves_a_margin():
    crop = evaluation_crop(torch.tensor([10, 40, 100, 300]))
    # int(0.05 * length / 2).
    assert crop.start.tolist() == [0, 1, 2, 7]
    assert crop.length.tolist() == [10, 38, 96, 286]


def largest_angle_deg(rotations: torch.Tensor) -> float:
    trace = rotations.diagonal(dim1=1, dim2=2).sum(dim=1).clamp(max=3)
    return torch.rad2deg(torch.arccos((trace - 1) / 2)).max().item()


def test_rotations_are_one_large_and_two_small_angles():
    matrices = sample_rotations(5000, ViewsConfig(), 3, generator()).double()
    identity = torch.eye(3).double().expand(5000, 3, 3)
    assert torch.allclose(matrices @ matrices.mT, identity, atol=1e-5)
    assert 28 < largest_angle_deg(matrices) < 31
    # The main axis has the largest of the three off-diagonal differences.
    difference = matrices - matrices.mT
    sines = torch.stack([difference[:, 1, 2], difference[:, 2, 0], difference[:, 0, 1]])
    fraction = torch.bincount(sines.argmax(dim=0), minlength=3) / 5000
    assert (fraction - 1 / 3).abs().max() < 0.03


def test_rotation_turns_in_the_written_sense():
    # A rotation about x by 90 degrees, R_x = [[1,0,0],[0,0,1],[0,-1,0]], takes +y to -z.
    x_only = ViewsConfig(max_angle_deg=90, max_minor_angle_deg=0)
    matrices = sample_rotations(100, x_only, 3, generator())
    about_x = matrices[(matrices[:, 0, 0] == 1) & (matrices[:, 1, 1] < 0.999)]
    assert len(about_x) > 10
    assert (about_x @ torch.tensor([0.0, 1.0, 0.0]))[:, 2].max() < 0


def test_rotation_composes_x_then_y_then_z(monkeypatch: pytest.MonkeyPatch):
    angle = math.radians(30)
    c = math.cos(angle)
    s = math.sin(angle)
    about_x = torch.tensor([[1, 0, 0], [0, c, s], [0, -s, c]])
    about_y = torch.tensor([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    about_z = torch.tensor([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    # Every angle is at its largest.
    monkeypatch.setattr(torch, "rand", lambda *shape, generator: torch.ones(*shape))
    drawn = sample_rotations(
        1, ViewsConfig(max_angle_deg=30, max_minor_angle_deg=30), 3, generator()
    )
    assert torch.allclose(drawn[0], about_z @ about_y @ about_x, atol=1e-6)


def test_augmentation_equals_the_reference_implementation():
    x = torch.randn(40, 3, 64, 25, 2, generator=generator())
    params = sample(40, ViewsConfig())
    check_augmentation(x, params, NTU_25)


def check_augmentation(x: torch.Tensor, params: AugmentParams, skeleton: Skeleton) -> None:
    """Compare the augmented clips (N, C, T, V, M) with those of the reference implementation."""
    own = augment(x, params, skeleton)
    for i, clip in enumerate(x):
        expected = reference.augment(
            clip.numpy(),
            rotation=params.rotation[i].numpy(),
            flip=bool(params.flip[i]),
            shear=params.shear[i].numpy(),
            keep_joints=params.keep_joints[i].numpy(),
            keep_frames=params.keep_frames[i].numpy(),
            skeleton=skeleton,
        )
        assert torch.allclose(own[i], torch.from_numpy(expected), atol=1e-5)


def test_shear_has_ones_on_its_diagonal_and_stays_in_range():
    shear = sample(500, ALWAYS).shear
    assert (shear.diagonal(dim1=1, dim2=2) == 1).all()
    beside = shear[:, ~torch.eye(3, dtype=torch.bool)]
    assert -1 <= beside.min() < -0.95
    assert 0.95 < beside.max() <= 1


AUGMENTATIONS = ("rotate", "flip", "shear", "joint_mask", "frame_mask")
PROBABILITIES = tuple(f"{name}_prob" for name in AUGMENTATIONS)


def applied_augmentations(n: int, views: ViewsConfig) -> torch.Tensor:
    """Return which of the AUGMENTATIONS each of n views has, (5, n) bool."""
    params = sample(n, views)
    identity = torch.eye(3)
    rotated = (params.rotation != identity).any(dim=(1, 2))
    sheared = (params.shear != identity).any(dim=(1, 2))
    masked = (~keep.all(dim=1) for keep in (params.keep_joints, params.keep_frames))
    return torch.stack([rotated, params.flip, sheared, *masked])


def test_each_augmentation_happens_half_of_the_time_and_apart_from_the_others():
    happened = applied_augmentations(4000, ViewsConfig()).double()
    # 4 standard errors.
    assert (happened.mean(dim=1) - 0.5).abs().max() < 0.03
    off_diagonal = torch.corrcoef(happened) - torch.eye(5)
    assert off_diagonal.abs().max() < 0.07


@pytest.mark.parametrize("probability", [0, 1])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_of_probability_0_never_happens_and_one_of_1_always(
    name: str, probability: int
):
    """The four others have the other probability."""
    values = dict.fromkeys(PROBABILITIES, 1 - probability)
    values[f"{name}_prob"] = probability
    happened = applied_augmentations(500, ViewsConfig(**values))
    expected = torch.full((5, 500), probability == 0)
    expected[AUGMENTATIONS.index(name)] = probability == 1
    assert torch.equal(happened, expected)


def test_without_augmentation_a_clip_stays_as_it_is():
    x = torch.randn(4, 3, 64, 25, 2)
    assert torch.equal(augment(x, sample(4, NEVER), NTU_25), x)


def pairs(kind: str, n: int = 400, views: ViewsConfig = ALWAYS):
    params = sample_pair_params(
        n, 64, PAIR_SPECS[kind], views=views, skeleton=NTU_25, generator=generator()
    )
    return tuple(
        type(params)(*(x[half] for x in params)) for half in (slice(0, n), slice(n, 2 * n))
    )


@pytest.mark.parametrize(
    ("kind", "shared"),
    [
        ("scd", set()),
        ("spatial", {"rotation", "flip", "shear", "keep_joints"}),
        ("temporal", {"crop_fraction", "crop_position", "keep_frames"}),
    ],
)
def test_the_views_of_a_pair_share_what_their_task_says(kind: str, shared: set[str]):
    first, second = pairs(kind, views=ViewsConfig(joint_mask_prob=1, frame_mask_prob=1))
    same = {
        field
        for field in first._fields
        if torch.equal(getattr(first, field), getattr(second, field))
    }
    assert same == shared


def test_what_a_pair_shares_is_still_drawn_for_each_sequence():
    first, _ = pairs("spatial")
    for matrices in (first.rotation, first.shear):
        assert len(matrices.flatten(1).unique(dim=0)) == 400


def test_the_spatial_task_turns_and_shears_half_as_much_and_hides_no_joint():
    first, second = pairs("spatial")
    strong, _ = pairs("scd")
    assert first.keep_joints.all() and not first.keep_frames.all()
    assert not torch.equal(first.keep_frames, second.keep_frames)
    off_diagonal = ~torch.eye(3, dtype=torch.bool)
    weak_shear, strong_shear = (d.shear[:, off_diagonal].abs().max() for d in (first, strong))
    assert 0.45 < weak_shear <= 0.5 < strong_shear
    assert 14 < largest_angle_deg(first.rotation) < 15.5 < largest_angle_deg(strong.rotation)


def test_the_temporal_task_hides_no_frame_but_joints_of_each_view():
    first, second = pairs("temporal")
    assert first.keep_frames.all() and not torch.equal(first.keep_joints, second.keep_joints)


def draw_joint_masks(n: int, kind: str = "structured", **values: object) -> torch.Tensor:
    return JOINT_MASKS[kind](n, ViewsConfig(**values), NTU_25, generator())


def draw_frame_masks(n: int, kind: str, num: int = 64, **values: object) -> torch.Tensor:
    return FRAME_MASKS[kind](n, num, ViewsConfig(**values), generator())


def test_joint_mask_hides_the_joints_of_highest_score():
    """The masked joints of one seed have the most paths of two steps to it, ties apart."""
    reach = neighbor_matrix(NTU_25)
    score = reach @ reach
    keep = draw_joint_masks(200, seed_joint_fraction=1 / 25).numpy()
    for row in keep:
        lowest_hidden = [score[seed][~row].min() >= score[seed][row].max() for seed in range(25)]
        # It holds for the seed that was drawn.
        assert any(lowest_hidden)


@pytest.mark.parametrize("masked", [0, 1, 8, 24])
@pytest.mark.parametrize("kind", ["structured", "random"])
def test_joint_masks_hide_as_many_as_asked(kind: str, masked: int):
    keep = draw_joint_masks(50, kind, masked_joint_fraction=masked / 25)
    assert (~keep).sum(dim=1).tolist() == [masked] * 50


def test_ties_of_the_joint_mask_favor_no_side():
    keep = draw_joint_masks(20_000)
    hidden = (~keep).float().mean(dim=0)
    difference = hidden - hidden[list(NTU_25.mirror)]
    # 5 standard errors of 0.5 / sqrt(20,000) = 0.0035.
    assert difference.abs().max() < 0.02


def test_frame_mask_hides_whole_segments():
    keep = draw_frame_masks(300, "segments")
    segments = keep.view(300, 16, 4)
    assert (segments.all(dim=2) | ~segments.any(dim=2)).all()
    assert (~segments.any(dim=2)).sum(dim=1).tolist() == [6] * 300
    # Every segment is masked about as often.
    assert (keep.float().mean(dim=0) - 10 / 16).abs().max() < 0.15


def test_masks_depend_on_the_generator_alone():
    assert torch.equal(draw_joint_masks(9), draw_joint_masks(9))


def test_random_joint_masks_hide_any_joints():
    keep = draw_joint_masks(5000, "random", masked_joint_fraction=10 / 25)
    assert (~keep).sum(dim=1).tolist() == [10] * 5000
    # 5 standard errors of 0.007.
    assert (keep.float().mean(dim=0) - 15 / 25).abs().max() < 0.035


def test_frame_masks_hide_as_many_single_frames_as_the_segments_contain():
    keep = draw_frame_masks(500, "frames")
    # 6 of 16 segments of 4 frames.
    assert (~keep).sum(dim=1).tolist() == [24] * 500
    share = keep.view(500, 16, 4).float().mean(dim=2)
    assert not ((share == 0) | (share == 1)).all(dim=1).any()


@pytest.mark.parametrize(
    ("segments", "masked"), [(16, 0), (16, 1), (16, 6), (16, 15), (2, 1), (64, 13)]
)
def test_single_frames_and_segments_hide_as_many_frames(segments: int, masked: int):
    hidden = {
        kind: ~draw_frame_masks(50, kind, num_segments=segments, num_masked_segments=masked)
        for kind in ("segments", "frames")
    }
    expected = [masked * 64 // segments] * 50
    for mask in hidden.values():
        assert mask.sum(dim=1).tolist() == expected


@pytest.mark.parametrize(("masked", "expected"), [(0, 0), (1, 1), (6, 11), (15, 28)])
def test_single_frames_need_no_whole_segments(masked: int, expected: int):
    """Each segment counts as 30 / 16 frames; the sum is rounded down."""
    keep = draw_frame_masks(50, "frames", 30, num_masked_segments=masked)
    assert (~keep).sum(dim=1).tolist() == [expected] * 50


def test_none_hides_nothing():
    assert draw_joint_masks(5, "none").all() and draw_frame_masks(5, "none").all()


PLANAR = [skeleton for skeleton in SKELETONS.values() if skeleton.dims == 2]
in_all = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
in_2d = pytest.mark.parametrize("skeleton", PLANAR, ids=lambda s: s.name)


def clips_of(skeleton: Skeleton, n: int = 20) -> torch.Tensor:
    """Return clips (N, C, T, V, M) of random joints; scores of 2-D ones are in 0..1."""
    x = torch.randn(n, 3, 16, skeleton.num_joints, 2, generator=generator())
    if skeleton.dims == 2:
        x[:, 2] = x[:, 2].abs().clamp(max=1)
    return x


def params_of(skeleton: Skeleton, views: ViewsConfig, n: int = 20) -> AugmentParams:
    return sample_augment_params(n, 16, views=views, skeleton=skeleton, generator=generator())


@in_all
@pytest.mark.parametrize("views", [ALWAYS, ViewsConfig()], ids=["always", "as usual"])
def test_augmentation_equals_the_reference_for_any_skeleton(skeleton: Skeleton, views: ViewsConfig):
    check_augmentation(clips_of(skeleton), params_of(skeleton, views), skeleton)


@in_2d
def test_2d_joints_are_rotated_in_their_plane_alone(skeleton: Skeleton):
    rotation = params_of(skeleton, ALWAYS, n=3000).rotation
    flat = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]) > 0
    assert (rotation[:, ~flat] == 0).all() and (rotation[:, 2, 2] == 1).all()
    angle_deg = torch.rad2deg(torch.atan2(rotation[:, 0, 1], rotation[:, 0, 0]))
    # The large angle of 3-D, drawn evenly.
    assert angle_deg.min() >= 0 and angle_deg.max() <= 30.001
    assert angle_deg.mean().item() == pytest.approx(15, abs=0.6)
    c, s = torch.deg2rad(angle_deg).cos(), torch.deg2rad(angle_deg).sin()
    about_z = torch.stack([torch.stack([c, s], dim=1), torch.stack([-s, c], dim=1)], dim=1)
    assert torch.allclose(rotation[:, :2, :2], about_z, atol=1e-5)


@in_2d
def test_2d_joints_are_sheared_in_x_and_y_alone(skeleton: Skeleton, monkeypatch):
    numbers = torch.rand(3000, 3, 3, generator=generator())
    rand = torch.rand
    with monkeypatch.context() as patch:
        patch.setattr(
            torch,
            "rand",
            lambda *shape, **how: numbers if shape == (3000, 3, 3) else rand(*shape, **how),
        )
        shear = params_of(skeleton, ALWAYS, n=3000).shear
    for own, drawn in zip(shear[:50], numbers, strict=False):
        expected = reference.shear_of(drawn.numpy(), ALWAYS.max_shear, skeleton.dims)
        np.testing.assert_allclose(own.numpy(), expected, atol=1e-6)
    # Where there is nothing to shear is where the score would take part.
    assert (shear[:, 2] == torch.tensor([0.0, 0, 1])).all()
    assert (shear[:, :2, 2] == 0).all() and (shear[:, [0, 1], [1, 0]] != 0).all()


@in_2d
def test_augmentation_moves_scores_with_their_joints_and_changes_none(skeleton: Skeleton):
    x = clips_of(skeleton)
    unmasked = ViewsConfig(
        rotate_prob=1, flip_prob=0, shear_prob=1, joint_mask_prob=0, frame_mask_prob=0
    )
    y = augment(x, params_of(skeleton, unmasked), skeleton)
    # Equal but for the rounding of a product of matrices with 0 and 1 in it.
    assert torch.equal(y[:, 2], x[:, 2]) and not torch.allclose(y[:, :2], x[:, :2], atol=0.01)
    flipped = unmasked.model_copy(update={"flip_prob": 1})
    y = augment(x, params_of(skeleton, flipped), skeleton)
    assert torch.equal(y[:, 2], x[:, 2][:, :, list(skeleton.mirror)])


@in_all
def test_a_flip_exchanges_left_and_right_joints(skeleton: Skeleton):
    x = clips_of(skeleton)
    flip = ViewsConfig(
        rotate_prob=0, flip_prob=1, shear_prob=0, joint_mask_prob=0, frame_mask_prob=0
    )
    y = augment(x, params_of(skeleton, flip), skeleton)
    for joint, name in enumerate(skeleton.joints):
        other = skeleton.joints.index(mirrored_name(name))
        assert torch.equal(y[:, :, :, joint], x[:, :, :, other]), name


# 0.32 and 0.2 of V, rounded to the nearest.
MASKED = {15: 5, 17: 5, 20: 6, 24: 8, 25: 8, 26: 8, 32: 10, 33: 11}
SEEDS = {15: 3, 17: 3, 20: 4, 24: 5, 25: 5, 26: 5, 32: 6, 33: 7}


@in_all
@pytest.mark.parametrize("kind", ["structured", "random"])
def test_masks_hide_the_same_fraction_of_any_skeleton(skeleton: Skeleton, kind: str):
    keep = JOINT_MASKS[kind](200, ViewsConfig(), skeleton, generator())
    assert keep.shape == (200, skeleton.num_joints)
    assert (~keep).sum(dim=1).tolist() == [MASKED[skeleton.num_joints]] * 200
    # Every joint is hidden at times.
    assert not keep.all(dim=0).any()


@in_all
def test_structured_masks_grow_from_a_fraction_of_the_joints(skeleton: Skeleton, monkeypatch):
    shapes = []
    randint = torch.randint
    monkeypatch.setattr(
        torch,
        "randint",
        lambda high, shape, **how: shapes.append(shape) or randint(high, shape, **how),
    )
    JOINT_MASKS["structured"](7, ViewsConfig(), skeleton, generator())
    assert shapes == [(7, SEEDS[skeleton.num_joints])]
