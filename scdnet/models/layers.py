"""Layers of the stem. Their batch is of bodies; a row may stand for several equal ones, which `count` (R,) tells."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

Gather = Callable[[Tensor], Tensor]  # (C,) of this process -> (processes, C)


def kaiming(*shape: int, fan_out: int) -> nn.Parameter:
    """Normal weights of variance 2 / fan_out."""
    return nn.Parameter(torch.randn(*shape) * (2 / fan_out) ** 0.5)


def expand_batch(matrix: Tensor, x: Tensor) -> Tensor:
    """The same matrix for every row of `x`, without a copy."""
    return matrix.expand(len(x), -1, -1)


class Conv1x1(nn.Conv2d):
    """A 1x1 convolution that stands for `parts` equal ones side by side: Kaiming fan out of one part, zero bias."""

    def __init__(self, in_channels: int, out_channels: int, *, parts: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)
        self.weight = kaiming(*self.weight.shape, fan_out=out_channels // parts)
        nn.init.zeros_(self.bias)


class WeightedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm in which row r weighs as much as `count[r]` equal rows, in means, variances and gradients."""

    gather: Gather | None = None

    def forward(
        self, x: Tensor, count: Tensor | None = None, shift: Tensor | None = None
    ) -> Tensor:
        """(R, C, V, T) -> the same; without `count` every row counts once.

        `shift` (C,), in training only: numbers that were to be added to `x`, which change nothing but the running mean.
        """
        if not self.training:
            return super().forward(x)
        weight, mean, var, pace = self.weight, self.running_mean, self.running_var, self.momentum
        if shift is not None:
            weight = weight + 0 * shift  # its gradient is 0, not absent: weight decay goes on
            mean.add_(
                shift.detach(), alpha=pace / (1 - pace)
            )  # the update below leaves 1 - pace of it
        self.num_batches_tracked.add_(1)
        if count is None and self.gather is None:
            moved = (
                mean.clone(),
                var.clone(),
            )  # autograd keeps these, and a second call moves the others
            y = F.batch_norm(x, *moved, weight, self.bias, True, pace, self.eps)
            mean.copy_(moved[0])
            var.copy_(moved[1])
            return y
        return _normalize(self, x, weight, count)


class InputNorm(nn.BatchNorm1d):
    """Batch norm of (N, C, T)."""

    gather: Gather | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T) -> the same."""
        if not self.training or self.gather is None:
            return super().forward(x)
        self.num_batches_tracked.add_(1)
        return _normalize(self, x[..., None], self.weight, None)[..., 0]


def synchronize_statistics(model: nn.Module, gather: Gather) -> None:
    """Let all batch norms of `model` normalize, in training, by the batches of all processes together.

    `gather` stacks what each of them gives, (C,) -> (processes, C); each calls it at the same places.
    """
    for module in model.modules():
        if isinstance(module, WeightedBatchNorm2d | InputNorm):
            module.gather = gather


def _normalize(
    norm: WeightedBatchNorm2d | InputNorm, x: Tensor, weight: Tensor, count: Tensor | None
) -> Tensor:
    """(R, C, V, T) -> the same, of training; moves the running statistics."""
    if count is None:
        count = torch.ones_like(x[:, 0, 0, 0], dtype=weight.dtype)
    y, mean, var, n = _WeightedBatchNorm.apply(x, weight, norm.bias, count, norm.eps, norm.gather)
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(var * (n / (n - 1)), norm.momentum)
    return y


class _WeightedBatchNorm(torch.autograd.Function):
    """The gradient that reaches row r is that of all rows it stands for, so only its share of the statistics is new.

    With `gather` the statistics are of the rows of all processes. The gradient of `x` is then that of the sum of
    their losses, those of weight and bias are of this process alone: their mean over the processes is that of the mean
    of the losses, as with every other weight.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        count: Tensor,
        eps: float,
        gather: Gather | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        n = count.sum() * x[0, 0].numel()
        share = (count / n)[:, None]  # of a number of row r among all numbers
        mean = (share * x.sum(dim=(2, 3), dtype=weight.dtype)).sum(dim=0)
        centred = x - mean[:, None, None]
        var = _mean_square(centred, share)
        if gather is not None:
            means, variances, counts = gather(torch.cat([mean, var, n[None]])).split(
                [len(mean), len(mean), 1], dim=1
            )
            n, own_n = counts.sum(), n
            mean = (counts / n * means).sum(dim=0)
            var = (counts / n * (variances + (means - mean).square())).sum(
                dim=0
            )  # Chan et al. 1983, eq. 2.1
            centred, share = x - mean[:, None, None], share * (own_n / n)
        scale = (var + eps).rsqrt()
        ctx.gather = gather
        ctx.save_for_backward(centred, weight, scale, share)
        ctx.mark_non_differentiable(mean, var, n)
        y = torch.addcmul(bias[:, None, None], centred, (weight * scale)[:, None, None])
        return y.to(x.dtype), mean, var, n

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        centred, weight, scale, share = ctx.saved_tensors
        grad_bias = grad.sum(dim=(0, 2, 3), dtype=weight.dtype)
        along = (grad * centred).sum(dim=(0, 2, 3))
        all_bias, all_along = grad_bias, along
        if ctx.gather is not None:
            all_bias, all_along = ctx.gather(torch.cat([grad_bias, along])).sum(dim=0).chunk(2)
        slope = weight * scale
        through_mean = -share * slope * all_bias
        through_var = -share * slope * scale.square() * all_along
        grad_x = grad * slope[:, None, None]
        grad_x.addcmul_(centred, through_var[:, :, None, None]).add_(through_mean[:, :, None, None])
        return grad_x.to(grad.dtype), along * scale, grad_bias, None, None, None


def _mean_square(x: Tensor, share: Tensor) -> Tensor:
    """(C,) of (R, C, V, T): the mean of the squares, a number of row r weighing `share[r]` (R, 1)."""
    return (share * torch.linalg.vector_norm(x, dim=(2, 3)).square()).sum(dim=0)


def conv_norm(
    conv: Conv1x1, norm: WeightedBatchNorm2d, x: Tensor, count: Tensor | None = None
) -> Tensor:
    """norm(conv(x)) in fewer passes: (R, C, V, T) -> (R, C_out, V, T).

    In training one matrix product a row, whose bias the norm takes away again; else a convolution with the norm in it.
    """
    if norm.training:
        y = expand_batch(conv.weight[:, :, 0, 0], x) @ x.flatten(2)
        return norm(y.unflatten(2, x.shape[2:]), count, shift=conv.bias)
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    bias = (conv.bias - norm.running_mean) * scale + norm.bias
    return F.conv2d(x, conv.weight * scale[:, None, None, None], bias)


class ConvNorm(nn.Sequential):
    """1x1 convolution and batch norm: how a skip connection changes the width."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(Conv1x1(in_channels, out_channels), WeightedBatchNorm2d(out_channels))

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """(R, C, V, T) -> (R, C_out, V, T)."""
        return conv_norm(*self, x, count)


def max_pool3(x: Tensor) -> Tensor:
    """(R, C, V, T) -> the same: the maximum of each frame and its two neighbours, of numbers that are not negative.

    The gradient goes to the earliest of equal ones, as with `max_pool2d`, which is many times slower on a CPU.
    """
    before, here, after = (F.pad(x, (1, 1))[..., i : i + x.shape[3]] for i in range(3))
    largest = torch.where(here > before, here, before)
    return torch.where(after > largest, after, largest)
