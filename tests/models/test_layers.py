"""Layers that are computed in another way than torch's own, against those."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scdnet.models.layers import (
    ConvNorm,
    WeightedBatchNorm2d,
    dropout,
    max_pool3,
    weighted_rows,
)

DROPPED = 0.1


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def gradients(y: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Return the gradients of a sum of squares, in which all of `y` has a part."""
    weight = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).view(y.shape)
    return torch.autograd.grad((y * weight).square().sum(), inputs)


def check_equal(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for own, other in zip(found, expected, strict=True):
        assert torch.allclose(own, other, rtol=1e-7, atol=1e-9)


def plain_skip(layer: ConvNorm) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """Return torch's layers with the weights of a skip connection."""
    conv, norm = layer
    own_conv = nn.Conv2d(conv.in_channels, conv.out_channels, 1)
    own_norm = nn.BatchNorm2d(conv.out_channels)
    own_conv.load_state_dict(conv.state_dict())
    own_norm.load_state_dict(norm.state_dict())
    return own_conv.double(), own_norm.double()


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize(("in_channels", "out_channels"), [(4, 6), (6, 4)])
def test_a_skip_connection_is_convolution_norm_sum_and_relu(
    in_channels: int, out_channels: int, training: bool
):
    layer = ConvNorm(in_channels, out_channels)
    for weight in layer.parameters():
        nn.init.uniform_(weight, 0.1, 0.9)
    conv, norm = plain_skip(layer)
    layer.double().train(training)
    norm.train(training)
    x = draw(5, in_channels, 3, 7)
    y = draw(5, out_channels, 3, 7)
    weights = [layer[0].weight, layer[1].weight, layer[1].bias]
    found = layer(x, y)
    expected = F.relu(norm(conv(x)) + y)
    assert torch.allclose(found, expected)
    check_equal(
        gradients(found, x, y, *weights),
        gradients(expected, x, y, conv.weight, norm.weight, norm.bias),
    )
    for key, value in norm.state_dict().items():
        assert torch.allclose(layer[1].state_dict()[key], value), key


@pytest.mark.parametrize(("in_channels", "out_channels"), [(4, 6), (6, 4)])
def test_the_bias_before_a_norm_has_a_gradient_of_exactly_zero(in_channels: int, out_channels: int):
    layer = ConvNorm(in_channels, out_channels)
    layer(torch.randn(5, in_channels, 3, 7), torch.zeros(5, out_channels, 3, 7)).sum().backward()
    assert layer[0].bias.grad.count_nonzero() == 0


def test_a_widening_skip_connection_counts_rows():
    layer = ConvNorm(4, 6).double()
    plain = ConvNorm(4, 6).double()
    plain.load_state_dict(layer.state_dict())
    x = draw(3, 4, 3, 7)
    y = draw(3, 6, 3, 7)
    rows = [0, 1, 1, 2]
    with weighted_rows(layer, torch.tensor([1.0, 2, 1], dtype=torch.float64)):
        found = layer(x, y)
    expected = plain(x[rows], y[rows])
    assert torch.allclose(found, expected[[0, 1, 3]])
    assert torch.allclose(layer[1].running_var, plain[1].running_var)
    # The row that stands for two gets the sum of their gradients.
    by_row = torch.tensor([1.0, 2, 1], dtype=torch.float64)[:, None, None, None]
    check_equal(
        torch.autograd.grad((by_row * found).sum(), (x, y)),
        torch.autograd.grad(expected.sum(), (x, y)),
    )


def test_statistics_do_not_suffer_from_a_large_mean():
    norm = WeightedBatchNorm2d(4)
    x = torch.randn(8, 4, 5, 3) + 1000
    expected = nn.BatchNorm2d(4).double()(x.double())
    assert torch.allclose(norm(x).double(), expected, atol=1e-3)


def test_the_gradient_of_a_maximum_goes_to_the_earliest_of_equal_frames():
    x = torch.randint(0, 3, (4, 2, 3, 9)).double().requires_grad_()
    found = max_pool3(x)
    expected = F.max_pool2d(x, (1, 3), stride=1, padding=(0, 1))
    assert torch.equal(found, expected)
    upstream = torch.rand(x.shape, dtype=x.dtype)
    own, other = (torch.autograd.grad((y * upstream).sum(), x)[0] for y in (found, expected))
    # At 0 the pooling's gradient may go to the padding; a relu before it stops both.
    assert torch.equal(own[x > 0], other[x > 0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dropout_keeps_the_mean_and_scales_what_it_keeps(dtype: torch.dtype):
    x = torch.ones(401, 501, dtype=dtype)
    y = dropout(x, DROPPED, training=True)
    kept = y[y != 0]
    assert torch.allclose(kept.double(), torch.tensor(1 / (1 - DROPPED)).double(), rtol=5e-3)
    num = x.numel()
    # Four standard deviations.
    tolerance = 4 * (DROPPED * (1 - DROPPED) / num) ** 0.5
    assert 1 - len(kept) / num == pytest.approx(DROPPED, abs=tolerance)
    # The numbers of a word of 64 bits do not depend on each other.
    together = (y.flatten()[:-1] == 0) & (y.flatten()[1:] == 0)
    assert together.double().mean().item() == pytest.approx(DROPPED**2, abs=2e-3)


def test_dropout_of_evaluation_changes_nothing():
    x = torch.randn(5, 3)
    assert torch.equal(dropout(x, DROPPED, training=False), x)
    assert torch.equal(dropout(x, 0, training=True), x)
