import pytest
import torch

from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25, SKELETONS
from scdnet.streams import STREAMS, stack_streams, to_bone, to_motion, to_stream
from tests.reference import views as reference

PLANAR = [skeleton for skeleton in SKELETONS.values() if skeleton.dims == 2]


def clips_of(skeleton: Skeleton) -> torch.Tensor:
    """Return clips (2, C, T, V, M) of random joints; scores of 2-D ones are in 0..1."""
    x = torch.randn(2, 3, 16, skeleton.num_joints, 2)
    if skeleton.dims == 2:
        x[:, 2] = torch.rand_like(x[:, 2])
    return x


def test_bone_is_the_joint_minus_its_parent():
    x = torch.randn(2, 3, 5, 25, 2)
    bone = to_bone(x, NTU_25)
    assert torch.equal(bone[:, :, :, 3], x[:, :, :, 3] - x[:, :, :, 2])  # head - neck
    assert torch.equal(bone[:, :, :, 22], x[:, :, :, 22] - x[:, :, :, 7])  # pair 23-8
    assert bone[:, :, :, 20].abs().max() == 0  # the root


def test_bones_do_not_see_where_the_body_stands():
    x = torch.randn(2, 3, 5, 25, 2)
    assert torch.allclose(to_bone(x + 7, NTU_25), to_bone(x, NTU_25), atol=1e-5)


def test_motion_is_the_step_to_the_next_frame_and_zero_at_the_end():
    x = torch.randn(1, 3, 5, 25, 2)
    motion = to_motion(x, NTU_25)
    assert torch.equal(motion[:, :, 1], x[:, :, 2] - x[:, :, 1])
    assert motion[:, :, -1].abs().max() == 0


@pytest.mark.parametrize("stream", STREAMS)
def test_streams_keep_the_shape(stream: str):
    x = torch.randn(2, 3, 5, 25, 1)
    assert STREAMS[stream](x, NTU_25).shape == x.shape


def test_all_streams_stacked_are_nine_channels():
    x = torch.randn(2, 3, 5, 25, 1)
    stacked = stack_streams(x, NTU_25)
    assert stacked.shape == (2, 9, 5, 25, 1)
    for part, convert in zip(stacked.chunk(3, dim=1), STREAMS.values(), strict=True):
        assert torch.equal(part, convert(x, NTU_25))


def test_views_of_all_streams_show_joints():
    x = torch.randn(2, 3, 5, 25, 1)
    assert torch.equal(to_stream(x, "all", NTU_25), x)
    assert torch.equal(to_stream(x, "bone", NTU_25), to_bone(x, NTU_25))


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("name", ["bone", "motion"])
def test_bone_and_motion_equal_the_reference_for_any_skeleton(skeleton: Skeleton, name: str):
    x = clips_of(skeleton)
    own = STREAMS[name](x, skeleton)
    for i, clip in enumerate(x):
        expected = torch.from_numpy(reference.stream(clip.numpy(), name, skeleton))
        assert torch.allclose(own[i], expected, atol=1e-6)


@pytest.mark.parametrize("skeleton", PLANAR, ids=lambda s: s.name)
def test_scores_of_differences_are_scores(skeleton: Skeleton):
    x = clips_of(skeleton)
    for name in ("bone", "motion"):
        score = STREAMS[name](x, skeleton)[:, 2]
        assert (score >= 0).all() and (score <= 1).all()
    # The root is its own parent, and the last frame its own successor.
    assert torch.equal(to_bone(x, skeleton)[:, 2, :, skeleton.root], x[:, 2, :, skeleton.root])
    assert torch.equal(to_motion(x, skeleton)[:, 2, -1], x[:, 2, -1])
