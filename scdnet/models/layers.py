"""Layers of the stem, among them batch norms whose rows may represent several equal bodies."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# Stacks the values (C,) of all processes: (C,) -> (processes, C).
Gather = Callable[[Tensor], Tensor]


def kaiming(*shape: int, fan_out: int) -> nn.Parameter:
    """Draw normal weights of variance 2 / fan_out."""
    return nn.Parameter(torch.randn(*shape) * (2 / fan_out) ** 0.5)


def expand_batch(matrix: Tensor, x: Tensor) -> Tensor:
    """Repeat a matrix for every row of `x`, without a copy."""
    return matrix.expand(x.shape[0], -1, -1)


class Conv1x1(nn.Conv2d):
    """A 1x1 convolution that holds `parts` equal ones side by side.

    Weights start as Kaiming fan out of one part, biases at 0.
    """

    bias: Tensor

    def __init__(self, in_channels: int, out_channels: int, *, parts: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)
        self.weight = kaiming(*self.weight.shape, fan_out=out_channels // parts)
        nn.init.zeros_(self.bias)


class WeightedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose rows may count several times, in means, variances and gradients."""

    momentum: float
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    gather: Gather | None = None
    # The number of equal rows that each row counts as; set by `weighted_rows`.
    row_count: Tensor | None = None  # (R,)
    # Whether training updates the running statistics; set by `fixed_statistics`.
    tracks: bool = True

    def forward(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
        """Normalize (R, C, V, T); in training, update the running statistics.

        `shift` (C,), in training only, is left out of `x`: it would change the running mean alone.
        Its gradient is 0 instead of absent, so that weight decay still acts on it.
        """
        if not self.training:
            return super().forward(x)
        if x.is_cuda and self.row_count is None and self.gather is None:
            return self._normalize_by_kernel(x, shift)
        share, n = row_shares(x, self.row_count)
        y, mean, var, n = _WeightedBatchNorm.apply(
            x, self.weight, self.bias, shift, share, n, self.eps, self.gather
        )
        self.track(mean if shift is None else mean + shift, var, n)
        return y

    def _normalize_by_kernel(self, x: Tensor, shift: Tensor | None) -> Tensor:
        """Call torch's batch norm: one kernel on a GPU, but on a CPU several times as slow."""
        weight: Tensor = self.weight
        if shift is not None:
            weight = weight + 0 * shift
        if not self.tracks:
            return F.batch_norm(x, None, None, weight, self.bias, True, self.momentum, self.eps)
        if shift is not None:
            # The update below leaves 1 - momentum of what is added here.
            pace = self.momentum / (1 - self.momentum)
            self.running_mean.add_(shift.detach(), alpha=pace)
        self.num_batches_tracked.add_(1)
        # Autograd keeps the statistics that it is given, and a second call would change them.
        mean = self.running_mean.clone()
        var = self.running_var.clone()
        y = F.batch_norm(x, mean, var, weight, self.bias, True, self.momentum, self.eps)
        self.running_mean.copy_(mean)
        self.running_var.copy_(var)
        return y

    @torch.no_grad()
    def track(self, mean: Tensor, var: Tensor, n: Tensor | int) -> None:
        """Update the running statistics with those (C,) of a batch of `n` numbers a channel."""
        if not self.tracks:
            return
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var * (n / (n - 1)), self.momentum)


def row_shares(x: Tensor, count: Tensor | None) -> tuple[Tensor, Tensor | int]:
    """Return the share (R,) of one number of each row in a mean, and the number of numbers.

    `count` (R,) is the number of equal rows that each row counts as, by default 1.
    """
    size = x[0, 0].numel()
    if count is not None:
        n = count.sum() * size
        return count / n, n
    dtype = torch.promote_types(x.dtype, torch.float32)
    num = len(x) * size
    return torch.full((len(x),), 1 / num, dtype=dtype, device=x.device), num


def synchronize_statistics(model: nn.Module, gather: Gather) -> None:
    """Let all batch norms of `model` train on the statistics of the batches of all processes.

    `gather` stacks the values (C,) of each process to (processes, C); all processes call it in the
    same order.
    """
    for module in model.modules():
        if isinstance(module, WeightedBatchNorm2d):
            module.gather = gather


@contextmanager
def norm_settings(model: nn.Module, **values: object) -> Iterator[None]:
    """Set attributes of all weighted batch norms of `model`, and restore them at the end."""
    norms = [module for module in model.modules() if isinstance(module, WeightedBatchNorm2d)]
    kept = [{name: getattr(norm, name) for name in values} for norm in norms]
    try:
        for norm in norms:
            for name, value in values.items():
                setattr(norm, name, value)
        yield
    finally:
        for norm, own in zip(norms, kept, strict=True):
            for name, value in own.items():
                setattr(norm, name, value)


def weighted_rows(model: nn.Module, count: Tensor) -> AbstractContextManager[None]:
    """Let row r count as `count[r]` equal rows in all weighted batch norms of `model`."""
    return norm_settings(model, row_count=count)


def fixed_statistics(model: nn.Module) -> AbstractContextManager[None]:
    """Let training leave the running statistics of all weighted batch norms of `model` as they are.

    They still normalize by the statistics of the batch.
    """
    return norm_settings(model, tracks=False)


class _WeightedBatchNorm(torch.autograd.Function):
    """Batch norm of rows (R, C, V, T) of which row r represents `count[r]` equal ones.

    The gradient that reaches row r is the sum over all rows that it represents, so only its share
    of the statistics differs from a plain batch norm. With `gather` the statistics are over the
    rows of all processes. The gradient of `x` is then that of the sum of their losses; the
    gradients of weight and bias are local: their mean over the processes is that of the mean loss,
    as with every other weight.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        shift: Tensor | None,
        share: Tensor,
        n: Tensor | int,
        eps: float,
        gather: Gather | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | int]:
        mean = _average(share, x.sum(dim=(2, 3), dtype=weight.dtype))
        centered = x - mean[:, None, None]
        var = _average(share, torch.linalg.vector_norm(centered, dim=(2, 3)).square_())
        if gather is not None:
            own_n = n
            mean, var, n = _pool_statistics(gather, mean, var, n)
            centered = x - mean[:, None, None]
            share = share * (own_n / n)
        scale = (var + eps).rsqrt_()
        slope = weight * scale
        ctx.gather = gather
        ctx.has_shift = shift is not None
        ctx.save_for_backward(centered, slope, scale, share)
        ctx.mark_non_differentiable(mean, var)
        # Two passes: `addcmul` of a vector and two tensors is slow on a CPU.
        y = (centered * slope[:, None, None]).add_(bias[:, None, None])
        return y.to(x.dtype), mean, var, n

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        centered, slope, scale, share = ctx.saved_tensors
        grad_bias = grad.sum(dim=(0, 2, 3), dtype=slope.dtype)
        along = _dot(grad, centered).sum(dim=0)
        all_bias = grad_bias
        all_along = along
        if ctx.gather is not None:
            all_bias, all_along = ctx.gather(torch.cat([grad_bias, along])).sum(dim=0).chunk(2)
        through_mean = torch.outer(share, slope * all_bias)
        through_var = torch.outer(share, slope * scale.square() * all_along)
        grad_x = grad * slope[:, None, None]
        grad_x.addcmul_(centered, through_var[:, :, None, None], value=-1)
        grad_x.sub_(through_mean[:, :, None, None])
        grad_shift = torch.zeros_like(scale) if ctx.has_shift else None
        grad_weight = along * scale
        return grad_x.to(grad.dtype), grad_weight, grad_bias, grad_shift, None, None, None, None


def _average(share: Tensor, x: Tensor) -> Tensor:
    """Sum the rows of x (R, C) by their shares (R,): (C,).

    A matrix product would be rounded under mixed precision.
    """
    return (share[:, None] * x).sum(dim=0)


def _dot(x: Tensor, y: Tensor) -> Tensor:
    """Sum x * y over joints and frames: (R, C, V, T) twice -> (R, C), in the precision of `y`."""
    return torch.linalg.vecdot(x.flatten(2).to(y.dtype), y.flatten(2))


def _pool_statistics(
    gather: Gather, mean: Tensor, var: Tensor, n: Tensor | int
) -> tuple[Tensor, Tensor, Tensor]:
    """Combine the means (C,), variances (C,) and counts () of all processes.

    Source: Chan et al. 1983, eq. 2.1.
    """
    own_n = n if isinstance(n, Tensor) else mean.new_full((), n)
    gathered = gather(torch.cat([mean, var, own_n[None]]))
    means, variances, counts = gathered.split([len(mean), len(mean), 1], dim=1)
    total = counts.sum()
    mean = (counts / total * means).sum(dim=0)
    var = (counts / total * (variances + (means - mean).square())).sum(dim=0)
    return mean, var, total


def conv_norm(conv: Conv1x1, norm: WeightedBatchNorm2d, x: Tensor) -> Tensor:
    """Compute norm(conv(x)) in fewer passes: (R, C, V, T) -> (R, C_out, V, T).

    This is one matrix product a row. In training it is without the bias that the norm would
    subtract again, in evaluation it contains the norm.
    """
    matrix = conv.weight[:, :, 0, 0]
    if not norm.training:
        matrix, bias = _fold(norm, matrix, norm.running_mean - conv.bias, norm.running_var)
        y = (expand_batch(matrix, x) @ x.flatten(2)).add_(bias[:, None])
        return y.unflatten(2, x.shape[2:])
    y = expand_batch(matrix, x) @ x.flatten(2)
    return norm(y.unflatten(2, x.shape[2:]), shift=conv.bias)


def _fold(
    norm: WeightedBatchNorm2d, matrix: Tensor, mean: Tensor, var: Tensor
) -> tuple[Tensor, Tensor]:
    """Return matrix and bias of norm(matrix x) with the statistics (C_out,) of matrix x."""
    scale = norm.weight * (var + norm.eps).rsqrt()
    return matrix * scale[:, None], norm.bias - mean * scale


class ConvNorm(nn.ModuleList):
    """1x1 convolution and batch norm: a skip connection that changes the width."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__([Conv1x1(in_channels, out_channels), WeightedBatchNorm2d(out_channels)])

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Compute relu(y + norm(conv(x))) of x (R, C, V, T) and y (R, C_out, V, T)."""
        conv, norm = self
        assert isinstance(conv, Conv1x1) and isinstance(norm, WeightedBatchNorm2d)
        folded = None
        is_wider = conv.out_channels > conv.in_channels
        if norm.training and is_wider and norm.gather is None and not x.is_cuda:
            folded = _fold_batch(conv, norm, x)
        if folded is None:
            return conv_norm(conv, norm, x).add_(y).relu_()
        matrix, bias = folded
        total = torch.baddbmm(y.flatten(2), expand_batch(matrix, x), x.flatten(2))
        return total.add_(bias[:, None]).relu_().unflatten(2, x.shape[2:])


def _fold_batch(
    conv: Conv1x1, norm: WeightedBatchNorm2d, x: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Return matrix and bias of norm(conv(x)) in training, without computing conv(x) before.

    The statistics of the output follow from mean and covariance of the input, which is narrower.
    Returns None where products are rounded to less than the precision of the weights.
    """
    matrix = conv.weight[:, :, 0, 0]
    share, n = row_shares(x, norm.row_count)
    mean = share @ x.sum(dim=(2, 3))
    centered = x.flatten(2) - mean[:, None]
    by_row = centered @ centered.mT  # (R, C, C)
    if by_row.dtype != matrix.dtype:
        return None
    covariance = (share @ by_row.flatten(1)).view(by_row.shape[1:])
    var = ((matrix @ covariance) * matrix).sum(dim=1)
    mean = matrix @ mean
    norm.track(mean + conv.bias, var, n)
    # The gradient of the bias is 0 instead of absent, as in `WeightedBatchNorm2d`.
    return _fold(norm, matrix, mean + 0 * conv.bias, var)


def max_pool3(x: Tensor) -> Tensor:
    """Take the maximum of each frame and its two neighbors: (R, C, V, T), numbers >= 0.

    The gradient goes to the earliest of equal ones, as with `max_pool2d`, which is many times
    slower on a CPU.
    """
    before, here, after = (F.pad(x, (1, 1))[..., i : i + x.shape[3]] for i in range(3))
    return _Maximum.apply(_Maximum.apply(before, here), after)


class _Maximum(torch.autograd.Function):
    """The larger of two numbers; where they are equal, the gradient goes to the first."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        largest = torch.maximum(first, second)
        # The mask is kept as numbers: a CPU is slow in arithmetic with booleans.
        ctx.save_for_backward(first.clone().eq_(largest))
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        (is_first,) = ctx.saved_tensors
        grad_first = grad * is_first
        return grad_first, grad - grad_first


def dropout(x: Tensor, probability: float, *, training: bool) -> Tensor:
    """Set numbers to 0 with a probability, to a precision of 2^-16, and scale up the others.

    On a CPU torch's own dropout draws a random number of 32 bits for each number, and takes ten
    times as long.
    """
    if x.is_cuda or not training or probability == 0:
        return F.dropout(x, probability, training)
    # Four numbers of 16 bits from one of 64.
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
    bits = words.random_(-(2**63), None).view(torch.int16)[: x.numel()]
    num_dropped = round(probability * 2**16)
    is_kept = bits.ge_(num_dropped - 2**15).to(x.dtype)
    return x * is_kept.mul_(2**16 / (2**16 - num_dropped)).view(x.shape)
