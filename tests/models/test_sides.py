import pytest
import torch

from scdnet.models.sides import align_sides, mirror, side_balance
from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25, SKELETONS

in_all = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)


def random_clips(skeleton: Skeleton, num_bodies: int = 1) -> torch.Tensor:
    """Return clips (20, C, T, V, M) of random joints; those of 2-D have scores in 0..1."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 3, 8, skeleton.num_joints, num_bodies, generator=generator)
    if skeleton.dims == 2:
        x[:, 2] = x[:, 2].abs().clamp(max=1)
    return x


@in_all
def test_the_mirror_image_of_a_mirror_image_is_the_clip(skeleton: Skeleton):
    x = random_clips(skeleton)
    assert not torch.equal(mirror(x, skeleton), x)
    assert torch.equal(mirror(mirror(x, skeleton), skeleton), x)


@in_all
@pytest.mark.parametrize("num_bodies", [1, 2])
def test_the_balance_of_a_mirror_image_is_the_negative(skeleton: Skeleton, num_bodies: int):
    x = random_clips(skeleton, num_bodies)
    balance = side_balance(x, skeleton)
    assert balance.abs().min() > 1e-4
    assert torch.allclose(side_balance(mirror(x, skeleton), skeleton), -balance, atol=1e-5)


@in_all
def test_a_clip_and_its_mirror_image_are_aligned_to_the_same_clip(skeleton: Skeleton):
    x = random_clips(skeleton)
    aligned = align_sides(x, skeleton)
    assert torch.equal(align_sides(mirror(x, skeleton), skeleton), aligned)
    assert torch.equal(align_sides(aligned, skeleton), aligned)
    is_kept = (aligned == x).flatten(1).all(dim=1)
    assert 0 < is_kept.sum() < len(x)
    assert torch.equal(is_kept, side_balance(x, skeleton) <= 0)


def test_the_left_hand_is_on_the_first_side():
    x = torch.zeros(1, 3, 8, 25, 1)
    hand = NTU_25.joints.index("left hand")
    x[0, 1, :, hand] = torch.arange(8.0)[:, None]
    assert side_balance(x, NTU_25) > 1
    other = align_sides(x, NTU_25)
    assert other[0, :, :, hand].abs().max() == 0
    assert torch.equal(other[0, 1, :, NTU_25.mirror[hand]], x[0, 1, :, hand])


def test_the_balance_does_not_see_where_the_camera_stands():
    x = random_clips(NTU_25)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))
    turned = torch.einsum("ij,njtvm->nitvm", turn, x) + torch.randn(20, 3, 1, 1, 1)
    assert torch.allclose(side_balance(turned, NTU_25), side_balance(x, NTU_25), atol=1e-4)


def test_a_body_at_rest_is_as_it_was():
    x = torch.randn(2, 3, 1, 25, 1).expand(2, 3, 8, 25, 1)
    still = torch.zeros(2, 3, 8, 25, 1)
    assert torch.equal(side_balance(still, NTU_25), torch.zeros(2))
    assert side_balance(x, NTU_25).isfinite().all()
    assert torch.equal(align_sides(still, NTU_25), still)


def test_scores_of_joints_do_not_count():
    skeleton = next(s for s in SKELETONS.values() if s.dims == 2)
    x = random_clips(skeleton)
    other = x.clone()
    other[:, 2] = torch.rand_like(other[:, 2])
    assert torch.equal(side_balance(x, skeleton), side_balance(other, skeleton))
    assert torch.equal(mirror(x, skeleton)[:, 2], x[:, 2, :, list(skeleton.mirror)])
