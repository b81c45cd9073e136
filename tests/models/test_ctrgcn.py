"""The stem's shapes and initial values; its numbers are compared in test_reference.py."""

import pytest
import torch
from torch import nn

from scdnet.models.ctrgcn import GraphConv, Stem, TemporalConv
from scdnet.models.layers import WeightedBatchNorm2d, synchronize_statistics, weighted_rows
from scdnet.skeletons import NTU_25


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_relation_channels():
    # r is 8 if C_in = 3, otherwise C_in / 8.
    assert GraphConv(3, 64, NTU_25).relation_weight.shape == (2, 3, 8, 3)
    assert GraphConv(256, 64, NTU_25).relation_weight.shape == (2, 3, 32, 256)


def test_graph_conv_starts_as_its_skip_connection_without_refinement():
    gcn = GraphConv(16, 8, NTU_25).eval()
    x = torch.randn(2, 16, 25, 4)
    assert gcn.alpha.item() == 0
    # The norm's weight is 1e-6.
    assert torch.allclose(gcn(x), gcn.skip(x, torch.zeros(2, 8, 25, 4)), atol=1e-4)


def test_first_unit_has_no_residual_and_the_others_change_the_width():
    first, second, third = Stem(8, 2, NTU_25).units
    assert first.residual is None
    assert [unit.residual[0].weight.shape[:2] for unit in (second, third)] == [(32, 8), (8, 32)]


class PassOn(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_input_norm_counts_body_then_joint_then_coordinate():
    stem = Stem(8, 2, NTU_25).eval()
    stem.units = nn.ModuleList([PassOn()])
    x = torch.zeros(1, 3, 4, 25, 2)
    stem.input_norm.bias.data = torch.arange(150.0)
    # Body 1, joint 7, coordinate z.
    assert stem(x)[-1][1, 2, 7, 0].item() == 1 * 75 + 7 * 3 + 2


def normalize(norm: WeightedBatchNorm2d, x: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    with weighted_rows(norm, count):
        return norm(x)


def test_a_row_that_counts_twice_is_two_equal_rows():
    x = torch.randn(3, 4, 5, 3)
    count = torch.tensor([1.0, 2, 1])
    weighted = WeightedBatchNorm2d(4)
    plain = WeightedBatchNorm2d(4)
    found = normalize(weighted, x, count)
    expected = plain(x[[0, 1, 1, 2]])
    assert torch.allclose(found, expected[[0, 1, 3]], atol=1e-5)
    assert torch.allclose(weighted.running_var, plain.running_var, atol=1e-5)


def test_rows_count_once_again_after_an_error():
    norm = WeightedBatchNorm2d(4)
    with pytest.raises(RuntimeError):
        normalize(norm, torch.randn(3, 5, 5, 3), torch.ones(3))
    assert norm.row_count is None


def test_a_norm_takes_its_statistics_from_the_rows_of_all_processes():
    """Two processes, one after the other: the values that they would gather are noted before."""
    x = torch.randn(6, 4, 5, 3) * 3 + 100
    count = torch.tensor([1.0, 1, 1, 5, 1, 2])
    whole = WeightedBatchNorm2d(4)
    parts = [WeightedBatchNorm2d(4) for _ in range(2)]
    expected = normalize(whole, x, count)
    halves = list(zip(x.split(3), count.split(3), strict=True))
    noted: list[torch.Tensor] = []

    def note(own: torch.Tensor) -> torch.Tensor:
        noted.append(own)
        return own[None]

    for norm, half in zip(parts, halves, strict=True):
        norm.gather = note
        normalize(norm, *half)
        norm.reset_running_stats()
        norm.gather = lambda own: torch.stack(noted)
    found = [normalize(norm, *half) for norm, half in zip(parts, halves, strict=True)]
    assert torch.allclose(torch.cat(found), expected, atol=1e-5)
    for norm in parts:
        assert torch.allclose(norm.running_mean, whole.running_mean, atol=1e-5)
        assert torch.allclose(norm.running_var, whole.running_var, atol=1e-5)
    apart = normalize(WeightedBatchNorm2d(4), *halves[0])
    assert not torch.allclose(apart, expected[:3], atol=1e-2)


def test_every_batch_norm_can_share_its_statistics():
    stem = Stem(8, 2, NTU_25)
    synchronize_statistics(stem, torch.Tensor)
    kind = nn.modules.batchnorm._BatchNorm
    norms = [module for module in stem.modules() if isinstance(module, kind)]
    assert len(norms) == 1 + 3 * 4 + 2
    assert all(norm.gather is torch.Tensor for norm in norms)


def test_initial_values():
    tcn = TemporalConv(64 * 4)
    gcn = GraphConv(256, 64, NTU_25)
    # The fan out of one of 4 branches.
    assert tcn.reduce.weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.05)
    assert tcn.convs[0].weight.std().item() == pytest.approx((2 / (64 * 5)) ** 0.5, rel=0.05)
    # The fan out of one of 3 subsets.
    assert gcn.value_weight[:, :-1].std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.05)
    assert gcn.relation_weight.std().item() == pytest.approx((2 / 32) ** 0.5, rel=0.05)
    assert tcn.norm.weight.mean().item() == pytest.approx(1, abs=0.01)
    assert tcn.norm.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert tcn.reduce.bias.abs().max() == 0


def test_both_orders_of_the_sum_over_joints_are_equal():
    gcn = GraphConv(8, 32, NTU_25).double()
    nn.init.constant_(gcn.alpha, 0.7)
    x = torch.randn(3, 8, 25, 6, dtype=torch.float64)
    pairs = gcn._pairs(x)
    values_first = gcn._topology(pairs).mT @ gcn._values(x)
    assert gcn._aggregates_first
    assert torch.allclose(gcn._mix(x, pairs), values_first)
    assert torch.allclose(gcn._aggregate(x), values_first)
    assert not GraphConv(16, 64, NTU_25)._aggregates_first


def test_a_convolution_over_time_is_the_same_as_a_matrix_product(monkeypatch: pytest.MonkeyPatch):
    tcn = TemporalConv(16).double()
    for conv in tcn.convs:
        nn.init.normal_(conv.bias)
    x = torch.randn(3, 8, 5, 12, dtype=torch.float64)
    product = tcn._convolve(x)
    monkeypatch.setattr("scdnet.models.ctrgcn.MAX_BAND", 0)
    assert torch.allclose(product, tcn._convolve(x))
    assert torch.allclose(product[:, 4:], tcn.convs[1](x[:, 4:]))


def test_training_may_follow_an_evaluation_of_the_same_size():
    tcn = TemporalConv(16)
    # No other test has this number of frames, so the constants are made here.
    x = torch.randn(3, 16, 5, 13)
    with torch.inference_mode():
        tcn(x)
    tcn(x).sum().backward()
    assert tcn.convs[0].weight.grad.isfinite().all()
