"""The stem against a literal writing of docs/method.md 3, in float64."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scdnet.models.ctrgcn import GraphConv, Stem, TemporalConv, Unit
from scdnet.skeleton import NTU_25


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def randomised(module: nn.Module) -> nn.Module:
    """The module in float64 eval mode, every weight and statistic with a value that matters."""
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.2, 0.8)
    return module.double().eval()


def conv1x1(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(N, C, V, T) -> (N, C_out, V, T), summed channel by channel."""
    return sum(weight[:, c, None, None] * x[:, c, None] for c in range(x.shape[1])) + bias[:, None, None]


def literal_graph_conv(gcn: GraphConv, x: Tensor) -> Tensor:
    total = 0
    for s in range(3):
        q, k = (
            conv1x1(x, gcn.relation_weight[p, s], gcn.relation_bias[p, s]).mean(dim=3)  # 1x1 first, then mean over T
            for p in (0, 1)
        )
        values = conv1x1(x, gcn.values.weight[s::3, :, 0, 0], gcn.values.bias[s::3])
        for u in range(25):
            for v in range(25):
                affinity = torch.tanh(q[:, :, u] - k[:, :, v])  # (N, r)
                refined = affinity @ gcn.topology_weight[s].T + gcn.topology_bias[s]  # (N, C_out)
                weight = gcn.alpha * refined + gcn.adjacency[s, u, v]
                onto_u = torch.zeros(25, dtype=x.dtype).index_fill_(0, torch.tensor(u), 1.0)
                total = total + (weight[:, :, None] * values[:, :, v])[:, :, None] * onto_u[:, None]
    return F.relu(gcn.norm(total) + gcn.skip(x))


@pytest.mark.parametrize(("in_channels", "out_channels"), [(3, 8), (16, 16)])
def test_graph_conv_equals_the_sum_over_subsets_and_joints(in_channels: int, out_channels: int):
    gcn = randomised(GraphConv(in_channels, out_channels, NTU_25))
    x = torch.randn(2, in_channels, 25, 4, dtype=torch.float64)
    assert torch.allclose(gcn(x), literal_graph_conv(gcn, x), atol=1e-10)


def test_relation_channels():
    assert GraphConv(3, 64, NTU_25).relation_weight.shape == (2, 3, 8, 3)  # r = 8 where C_in = 3
    assert GraphConv(256, 64, NTU_25).relation_weight.shape == (2, 3, 32, 256)  # else C_in / 8


def test_graph_conv_starts_as_its_skip_connection_without_refinement():
    gcn = GraphConv(16, 16, NTU_25).eval()
    x = torch.randn(2, 16, 25, 4)
    assert gcn.alpha.item() == 0
    assert torch.allclose(gcn(x), F.relu(x), atol=1e-4)  # the norm's weight is 1e-6


def literal_branch(tcn: TemporalConv, x: Tensor, branch: int) -> Tensor:
    width = x.shape[1] // 4
    own = slice(branch * width, (branch + 1) * width)

    def norm(y: Tensor, bn: nn.BatchNorm2d) -> Tensor:
        statistics = (bn.running_mean[own], bn.running_var[own], bn.weight[own], bn.bias[own])
        return F.batch_norm(y, *statistics, training=False, eps=bn.eps)

    y = norm(conv1x1(x, tcn.reduce.weight[own, :, 0, 0], tcn.reduce.bias[own]), tcn.reduce_norm)
    if branch == 3:
        return y
    y, frames = F.relu(y), x.shape[3]
    if branch == 2:  # the maximum of each frame and its neighbours
        y = torch.stack([y[..., max(t - 1, 0) : t + 2].amax(dim=-1) for t in range(frames)], dim=-1)
        return norm(y, tcn.norm)
    conv, dilation = tcn.convs[branch], branch + 1
    out = torch.zeros_like(y)
    for t in range(frames):
        for tap in range(5):
            source = t + (tap - 2) * dilation
            if 0 <= source < frames:
                out[..., t] += torch.einsum("oi,niv->nov", conv.weight[:, :, 0, tap], y[..., source])
    return norm(out + conv.bias[:, None, None], tcn.norm)


def test_temporal_conv_equals_its_four_branches():
    tcn = randomised(TemporalConv(8))
    x = torch.randn(2, 8, 25, 9, dtype=torch.float64)
    expected = torch.cat([literal_branch(tcn, x, branch) for branch in range(4)], dim=1)
    assert torch.allclose(tcn(x), expected, atol=1e-10)


def test_first_unit_has_no_residual_and_the_others_change_the_width():
    first, second, third = Stem(8, 2, NTU_25).units
    assert first.residual is None
    assert [unit.residual[0].weight.shape[:2] for unit in (second, third)] == [(32, 8), (8, 32)]


def test_unit_adds_the_residual_before_the_relu():
    unit = randomised(Unit(8, 16, NTU_25))
    x = torch.randn(2, 8, 25, 4, dtype=torch.float64)
    assert torch.equal(unit(x), F.relu(unit.tcn(unit.gcn(x)) + unit.residual(x)))


def test_input_norm_counts_body_then_joint_then_coordinate():
    stem = Stem(8, 2, NTU_25).eval()
    stem.units = nn.Identity()
    x = torch.zeros(1, 3, 4, 25, 2)
    stem.input_norm.bias.data = torch.arange(150.0)
    assert stem(x)[1, 2, 7, 0].item() == 1 * 75 + 7 * 3 + 2  # body 1, joint 7, coordinate z


def test_initial_values():
    tcn, gcn = TemporalConv(64 * 4), GraphConv(256, 64, NTU_25)
    assert tcn.reduce.weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.05)  # fan out of one of 4 branches
    assert tcn.convs[0].weight.std().item() == pytest.approx((2 / (64 * 5)) ** 0.5, rel=0.05)
    assert gcn.values.weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.05)  # of one of 3 subsets
    assert gcn.relation_weight.std().item() == pytest.approx((2 / 32) ** 0.5, rel=0.05)
    assert tcn.norm.weight.mean().item() == pytest.approx(1, abs=0.01)
    assert tcn.norm.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert tcn.reduce.bias.abs().max() == 0
