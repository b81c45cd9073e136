import pytest
import torch

from scdnet.data.streams import STREAMS, to_bone, to_motion
from scdnet.skeleton import NTU_25


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
