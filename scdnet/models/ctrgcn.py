"""The stem of each path: channel-wise topology refinement GCN and multi-branch TCN.

Source: Chen et al. 2021 (CTR-GCN) as docs/method.md 3 describes it. Inside the stem the layout is
(R, C, V, T), a row a body, time innermost: the aggregation over joints is then one matrix product
on contiguous memory. The 1x1 convolutions that read the same input are stored as one; the sums are
the same as with one each.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from einops import einsum, rearrange
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from scdnet.models.layers import (
    Conv1x1,
    ConvNorm,
    WeightedBatchNorm2d,
    conv_norm,
    expand_batch,
    kaiming,
    max_pool3,
    weighted_rows,
)
from scdnet.skeleton import Skeleton, partition_graph
from scdnet.streams import STREAMS

# C of the input: x y z, or x y and a score; of all streams as channels, as many for each.
COORDINATES = 3
INPUT_CHANNELS = (COORDINATES, COORDINATES * len(STREAMS))
# The subsets of the graph: self, inward, outward.
NUM_SUBSETS = 3
# The branches of the temporal convolution.
NUM_BRANCHES = 4
# The convolutions over time.
NUM_TAPS = 5
DILATIONS = (1, 2)
# The widths of the units, times b.
STEM_WIDTHS = (1, 4, 1)
# The most channels times frames for which a convolution over time is a matrix product: beyond it,
# the zeros of the matrix cost more than torch's convolution.
MAX_BAND = 256


@dataclass(frozen=True)
class DistinctBodies:
    """The bodies of N clips as R rows: all first bodies, the second ones present, one absent.

    Most clips show one person. After the input's batch norm all absent second bodies are the same
    tensor, and they stay equal through a whole stem: one of them represents all.
    """

    # The body that each row is, among the M*N bodies in the order (m n).
    index: Tensor  # (R,)
    # The number of bodies that each row represents.
    count: Tensor  # (R,)
    # The row of each clip's second body, counted from the first row of a second body.
    row: Tensor  # (N,)


def find_distinct_bodies(clips: Tensor) -> DistinctBodies | None:
    """Find the absent second bodies of clips (N, C, T, V, M); None if fewer than two are absent."""
    n = clips.shape[0]
    if clips.shape[4] == 1:
        return None
    is_absent = (clips[..., 1] == 0).flatten(1).all(dim=1)
    present = (~is_absent).nonzero()[:, 0]
    absent = is_absent.nonzero()[:, 0]
    if len(absent) < 2:
        return None
    first = torch.arange(n, device=clips.device)
    count = clips.new_ones(n + len(present) + 1)
    count[-1] = len(absent)
    row = torch.where(is_absent, len(present), (~is_absent).cumsum(dim=0) - 1)
    return DistinctBodies(torch.cat([first, n + present, n + absent[:1]]), count, row)


class GraphConv(nn.Module):
    """Sum over joints whose weights are learned per channel and refined per clip.

    z_u = sum over subsets s and joints v of R_suv conv3_s(x)_v
    R_suv = alpha * conv4_s(tanh(conv1_s(x)_u - conv2_s(x)_v)) + A_suv
    y = relu(norm(z) + skip(x))
    Source: Chen et al. 2021, sec. 3.2.
    """

    def __init__(self, in_channels: int, out_channels: int, skeleton: Skeleton) -> None:
        super().__init__()
        relation = 8 if in_channels in INPUT_CHANNELS else in_channels // 8
        # A: (S, U, V)
        self.adjacency = nn.Parameter(torch.from_numpy(partition_graph(skeleton)))
        self.alpha = nn.Parameter(torch.zeros(1))
        # conv1 and conv2: (query or key, subset, channel, input channel)
        self.relation_weight = kaiming(2, NUM_SUBSETS, relation, in_channels, fan_out=relation)
        self.relation_bias = nn.Parameter(torch.zeros(2, NUM_SUBSETS, relation))
        # conv4: (subset, channel, input channel)
        self.topology_weight = kaiming(NUM_SUBSETS, out_channels, relation, fan_out=out_channels)
        self.topology_bias = nn.Parameter(torch.zeros(NUM_SUBSETS, out_channels))
        # conv3, output channels (c s). Its bias is the weight of one more input channel, of ones.
        conv3 = Conv1x1(in_channels, out_channels * NUM_SUBSETS, parts=NUM_SUBSETS)
        value_weight = torch.cat([conv3.weight.flatten(1), conv3.bias[:, None]], dim=1)
        self.value_weight = nn.Parameter(value_weight.detach())
        # A wide refinement has many pairs for each input channel.
        self._aggregates_first = relation == 1
        self.norm = WeightedBatchNorm2d(out_channels)
        # The layer starts as its skip connection alone.
        nn.init.constant_(self.norm.weight, 1e-6)
        # The width changes in every unit, so the skip connection is never the identity.
        self.skip = ConvNorm(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, V, T) to (R, C_out, V, T)."""
        return self.skip(x, self.norm(self._aggregate(x)))

    def _aggregate(self, x: Tensor) -> Tensor:
        """Compute z, (R, C_out, U, T).

        z_ou = sum over g, v and i of mix_ogi pairs_gvu x_iv, in the order that takes less work.
        """
        pairs = self._pairs(x)
        if self._aggregates_first:
            return self._mix(x, pairs)
        return _AggregateJoints.apply(self._topology(pairs), self._values(x))

    def _pairs(self, x: Tensor) -> Tensor:
        """Compute what the topology is a sum of, (R, G, V, U): affinities by subset, A and ones."""
        query, key = self._relations(x).chunk(2, dim=1)
        # tanh(y) = 2 sigmoid(2 y) - 1; a sigmoid is three times as fast on a CPU.
        affinity = (query[..., None, :] - key[..., :, None]).sigmoid()  # (R, S*k, V, U)
        adjacency = self.adjacency.mT.expand(x.shape[0], -1, -1, -1)
        ones = torch.ones_like(adjacency[:, :1])
        return torch.cat([affinity, adjacency, ones], dim=1)

    def _relations(self, x: Tensor) -> Tensor:
        """Compute the means over time of 2 conv1(x), then 2 conv2(x): (R, 2*S*k, V)."""
        # Both convolutions are linear, so the mean over time may come first. The gradient of a sum
        # is a view where that of a mean would be a tensor of the size of x.
        mean = x.sum(dim=3) * (2 / x.shape[3])
        relations = expand_batch(self.relation_weight.flatten(0, 2), x) @ mean
        return relations + 2 * self.relation_bias.flatten()[:, None]

    def _pair_weights(self) -> Tensor:
        """Arrange 2 alpha conv4, ones and alpha bias by channel and subset: (C_out, S, G).

        A subset's rows are zero at the numbers of the other subsets.
        """
        own = torch.eye(NUM_SUBSETS, dtype=self.alpha.dtype, device=self.alpha.device)
        conv4 = self.alpha * self.topology_weight
        weight = (2 * conv4).transpose(0, 1)[:, :, None] * own[..., None]
        # The bias takes in the -1 of each tanh.
        bias = self.alpha * self.topology_bias - conv4.sum(dim=2)
        adjacency = own.expand(len(weight), -1, -1)
        return torch.cat([weight.flatten(2), adjacency, bias.T[..., None]], dim=2)

    def _topology(self, pairs: Tensor) -> Tensor:
        """Compute R, (R, C_out, S*V, U): the weight of joint v, by subset, in the sum for joint u.

        One matrix product writes it at once: [2 alpha conv4, 1, alpha bias] [sigmoid; A; 1].
        """
        weights = self._pair_weights().flatten(0, 1)
        product = expand_batch(weights, pairs) @ pairs.flatten(2)
        return rearrange(product, "r (c s) (v u) -> r c (s v) u", s=NUM_SUBSETS, v=pairs.shape[2])

    def _values(self, x: Tensor) -> Tensor:
        """Compute conv3(x), (R, C_out, S*V, T)."""
        values = expand_batch(self.value_weight[:, :-1], x) @ x.flatten(2)
        values = values.add_(self.value_weight[:, -1:])
        return rearrange(values, "r (c s) (v t) -> r c (s v) t", s=NUM_SUBSETS, v=x.shape[2])

    def _mix(self, x: Tensor, pairs: Tensor) -> Tensor:
        """Compute z from sums over joints of the input, (R, C_out, U, T)."""
        matrix = rearrange(pairs, "r g v u -> r (g u) v")
        sums = matrix @ rearrange(_append_ones(x), "r i v t -> r v (i t)")
        sums = rearrange(sums, "r (g u) (i t) -> r (g i) (u t)", u=x.shape[2], t=x.shape[3])
        conv3 = self.value_weight.unflatten(0, (-1, NUM_SUBSETS))
        weights = einsum(self._pair_weights(), conv3, "c s g, c s i -> c g i").flatten(1)
        return (expand_batch(weights, x) @ sums).unflatten(2, x.shape[2:])


def _append_ones(x: Tensor) -> Tensor:
    """Append a channel of ones, whose weight is a bias: (R, C, V, T) -> (R, C + 1, V, T)."""
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)


class _AggregateJoints(torch.autograd.Function):
    """Sum values (R, C, S*V, T) over joints with weights (R, C, S*V, U): (R, C, U, T).

    Autograd itself would compute the gradient of the weights transposed, and copy it.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor, values: Tensor) -> Tensor:
        ctx.save_for_backward(weights, values)
        return weights.mT @ values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        weights, values = ctx.saved_tensors
        return values @ grad.mT, weights @ grad


class TemporalConv(nn.Module):
    """Four branches over time: convolutions of dilation 1 and 2, a maximum, and the frame itself.

    y = [norm([conv(relu(a)), conv(relu(b)), max(relu(c))]), d] with [a, b, c, d] = norm(reduce(x))
    Source: Chen et al. 2021, sec. 3.3 (multi-scale temporal modeling).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // NUM_BRANCHES
        # The 1x1 convolutions of all branches and their norms.
        self.reduce = Conv1x1(channels, channels, parts=NUM_BRANCHES)
        self.reduce_norm = WeightedBatchNorm2d(channels)
        convs = [
            nn.Conv2d(
                width,
                width,
                kernel_size=(1, NUM_TAPS),
                padding=(0, dilation * (NUM_TAPS // 2)),
                dilation=(1, dilation),
            )
            for dilation in DILATIONS
        ]
        self.convs = nn.ModuleList(convs)
        # The norms of the two convolutions and of the maximum.
        self.norm = WeightedBatchNorm2d(channels - width)
        for conv in convs:
            nn.init.kaiming_normal_(conv.weight, mode="fan_out")
            nn.init.zeros_(conv.get_parameter("bias"))
        for norm in (self.reduce_norm, self.norm):
            nn.init.normal_(norm.weight, 1.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, V, T) to (R, C, V, T)."""
        reduced = conv_norm(self.reduce, self.reduce_norm, x)
        width = reduced.shape[1] // NUM_BRANCHES
        to_conv, peak, frame = reduced.split([2 * width, width, width], dim=1)
        context = [self._convolve(F.relu(to_conv)), max_pool3(F.relu(peak))]
        return torch.cat([self.norm(torch.cat(context, dim=1)), frame], dim=1)

    def _convolve(self, x: Tensor) -> Tensor:
        """Convolve the branches' channels over time: (R, 2 width, V, T) -> (R, 2 width, V, T).

        On a CPU few channels and frames of a joint are one row of a matrix product instead.
        """
        width = x.shape[1] // len(self.convs)
        if x.is_cuda or width * x.shape[3] > MAX_BAND:
            parts = zip(self.convs, x.chunk(len(self.convs), dim=1), strict=True)
            return torch.cat([conv(part) for conv, part in parts], dim=1)
        weights = torch.stack([conv.get_parameter("weight")[:, :, 0] for conv in self.convs])
        biases = torch.stack([conv.get_parameter("bias") for conv in self.convs])
        taps = _find_taps(x.shape[3], weights.dtype, weights.device)
        bands = einsum(weights, taps, "b d c k, b k t u -> b c t d u").flatten(3).flatten(1, 2)
        rows = rearrange(x, "r (b c) v t -> b (r v) (c t)", b=len(self.convs))
        y = rearrange(rows @ bands, "b (r v) (c t) -> r b c v t", r=x.shape[0], c=width)
        return (y + biases[:, :, None, None]).flatten(1, 2)


@cache
# A tensor made in inference mode could not be used in training later.
@torch.inference_mode(mode=False)
def _find_taps(num_frames: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Mark with 1 where tap k of output frame u reads frame t, by dilation: (2, k, t, u)."""
    frame = torch.arange(num_frames, device=device)
    offset = torch.arange(NUM_TAPS, device=device) - NUM_TAPS // 2
    reads = [frame[:, None] == frame + d * offset[:, None, None] for d in DILATIONS]
    return torch.stack(reads).to(dtype)


class Unit(nn.Module):
    """y = relu(tcn(gcn(x)) + residual(x))."""

    def __init__(self, in_channels: int, out_channels: int, skeleton: Skeleton) -> None:
        super().__init__()
        self.gcn = GraphConv(in_channels, out_channels, skeleton)
        self.tcn = TemporalConv(out_channels)
        is_first = in_channels in INPUT_CHANNELS
        self.residual = None if is_first else ConvNorm(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, V, T) to (R, C_out, V, T)."""
        y = self.tcn(self.gcn(x))
        return F.relu(y) if self.residual is None else self.residual(x, y)


class Stem(nn.Module):
    """Batch norm over body, joint and coordinate, then three units of width b, 4b, b."""

    def __init__(
        self, base_channels: int, num_bodies: int, skeleton: Skeleton, *, num_streams: int = 1
    ) -> None:
        super().__init__()
        in_channels = num_streams * COORDINATES
        self.input_norm = WeightedBatchNorm2d(num_bodies * skeleton.num_joints * in_channels)
        widths = (in_channels, *(times * base_channels for times in STEM_WIDTHS))
        self.units = nn.ModuleList(Unit(c, d, skeleton) for c, d in pairwise(widths))

    def forward(
        self, clips: Tensor, bodies: DistinctBodies | None = None, num_units: int | None = None
    ) -> list[Tensor]:
        """Return the outputs (R, width, V, T) of the first `num_units` units, by default of all.

        The rows are the distinct bodies of the clips (N, C, T, V, M), by default all M*N bodies in
        the order (m n).
        """
        _, c, _, v, m = clips.shape
        x = self.input_norm(rearrange(clips, "n c t v m -> n (m v c) t 1"))
        x = rearrange(x, "n (m v c) t 1 -> (m n) c v t", m=m, v=v, c=c)
        if bodies is None:
            return self._apply_units(x, num_units)
        with weighted_rows(self, bodies.count):
            return self._apply_units(x.index_select(0, bodies.index), num_units)

    def _apply_units(self, x: Tensor, num_units: int | None) -> list[Tensor]:
        outputs = []
        for unit in self.units[:num_units]:
            x = unit(x)
            outputs.append(x)
        return outputs
