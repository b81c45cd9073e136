"""The stem's shapes and initial values; its numbers are compared in test_literal.py."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from scdnet.models.ctrgcn import GraphConv, Stem, TemporalConv
from scdnet.skeleton import NTU_25


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_relation_channels():
    assert GraphConv(3, 64, NTU_25).relation_weight.shape == (2, 3, 8, 3)  # r = 8 where C_in = 3
    assert GraphConv(256, 64, NTU_25).relation_weight.shape == (2, 3, 32, 256)  # else C_in / 8


def test_graph_conv_starts_as_its_skip_connection_without_refinement():
    gcn = GraphConv(16, 8, NTU_25).eval()
    x = torch.randn(2, 16, 25, 4)
    assert gcn.alpha.item() == 0
    assert torch.allclose(gcn(x), F.relu(gcn.skip(x)), atol=1e-4)  # the norm's weight is 1e-6


def test_first_unit_has_no_residual_and_the_others_change_the_width():
    first, second, third = Stem(8, 2, NTU_25).units
    assert first.residual is None
    assert [unit.residual[0].weight.shape[:2] for unit in (second, third)] == [(32, 8), (8, 32)]


class PassOn(nn.Module):
    def forward(self, x: torch.Tensor, count: torch.Tensor | None) -> torch.Tensor:
        return x


def test_input_norm_counts_body_then_joint_then_coordinate():
    stem = Stem(8, 2, NTU_25).eval()
    stem.units = nn.ModuleList([PassOn()])
    x = torch.zeros(1, 3, 4, 25, 2)
    stem.input_norm.bias.data = torch.arange(150.0)
    assert stem(x)[-1][1, 2, 7, 0].item() == 1 * 75 + 7 * 3 + 2  # body 1, joint 7, coordinate z


def test_initial_values():
    tcn, gcn = TemporalConv(64 * 4), GraphConv(256, 64, NTU_25)
    assert tcn.reduce.weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.05)  # fan out of one of 4 branches
    assert tcn.convs[0].weight.std().item() == pytest.approx((2 / (64 * 5)) ** 0.5, rel=0.05)
    assert gcn.value_weight[:, :-1].std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.05)  # of one of 3 subsets
    assert gcn.relation_weight.std().item() == pytest.approx((2 / 32) ** 0.5, rel=0.05)
    assert tcn.norm.weight.mean().item() == pytest.approx(1, abs=0.01)
    assert tcn.norm.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert tcn.reduce.bias.abs().max() == 0
