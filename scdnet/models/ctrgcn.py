"""The stem of each path: channel-wise topology refinement GCN and multi-branch TCN.

Source: Chen et al. 2021 (CTR-GCN) as docs/method.md 3 describes it. Inside the stem the layout is
(R, C, V, T), a row a body, time innermost: the aggregation over joints is then one matrix product
on contiguous memory. The 1x1 convolutions that read the same input are stored as one; the sums are
the same as with one each.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from einops import einsum, rearrange
from torch import Tensor, nn
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

# C of the input: x y z, or x y and a score.
COORDINATES = 3
# The subsets of the graph: self, inward, outward.
NUM_SUBSETS = 3
# The branches of the temporal convolution.
NUM_BRANCHES = 4
# The widths of the units, times b.
STEM_WIDTHS = (1, 4, 1)


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
        relation = 8 if in_channels == COORDINATES else in_channels // 8
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
        self.norm = WeightedBatchNorm2d(out_channels)
        # The layer starts as its skip connection alone.
        nn.init.constant_(self.norm.weight, 1e-6)
        # The width changes in every unit, so the skip connection is never the identity.
        self.skip = ConvNorm(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, V, T) to (R, C_out, V, T)."""
        values = self._values(x)
        z = self.topology(x) @ values
        return F.relu(self.norm(z) + self.skip(x))

    def topology(self, x: Tensor) -> Tensor:
        """Compute R, (R, C_out, U, S*V): the weight of joint v, by subset, in the sum for joint u.

        One matrix product writes it at once: [alpha conv4, 1, alpha bias] [tanh(q_u - k_v); A; 1].
        """
        query, key = self._relations(x)
        affinity = torch.tanh(query[..., None, :] - key[..., :, None])  # (R, S, k, V, U)
        affinity = rearrange(affinity, "r s k v u -> r (s k) (v u)")
        adjacency = expand_batch(rearrange(self.adjacency, "s u v -> s (v u)"), x)
        ones = torch.ones_like(adjacency[:, :1])
        pairs = torch.cat([affinity, adjacency, ones], dim=1)
        product = expand_batch(self._pair_weights(), x) @ pairs
        by_joint = rearrange(product, "r (c s) (v u) -> r c (s v) u", s=NUM_SUBSETS, v=x.shape[2])
        return by_joint.transpose(2, 3)

    def _relations(self, x: Tensor) -> Tensor:
        """Compute the means over time of conv1(x) and conv2(x): (2, R, S, k, V)."""
        # Both convolutions are linear, so the mean over time may come first.
        mean = x.mean(dim=3)
        relations = einsum(self.relation_weight, mean, "p s k c, r c v -> p r s k v")
        return relations + rearrange(self.relation_bias, "p s k -> p 1 s k 1")

    def _pair_weights(self) -> Tensor:
        """Arrange alpha conv4, ones and alpha bias by channel and subset: (C_out*S, S*k + S + 1).

        A subset's rows are zero at the numbers of the other subsets.
        """
        own = torch.eye(NUM_SUBSETS, dtype=self.alpha.dtype, device=self.alpha.device)
        weight = einsum(self.alpha * self.topology_weight, own, "s c k, s z -> c s z k")
        bias = rearrange(self.alpha * self.topology_bias, "s c -> c s 1")
        adjacency = own.expand(len(weight), -1, -1)
        return torch.cat([weight.flatten(2), adjacency, bias], dim=2).flatten(0, 1)

    def _values(self, x: Tensor) -> Tensor:
        """Compute conv3(x), (R, C_out, S*V, T)."""
        channels = F.pad(x.flatten(2), (0, 0, 0, 1), value=1)
        values = expand_batch(self.value_weight, x) @ channels
        return rearrange(values, "r (c s) (v t) -> r c (s v) t", s=NUM_SUBSETS, v=x.shape[2])


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
            nn.Conv2d(width, width, (1, 5), padding=(0, 2 * dilation), dilation=(1, dilation))
            for dilation in (1, 2)
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
        short, long, peak, frame = reduced.chunk(NUM_BRANCHES, dim=1)
        short_conv, long_conv = self.convs
        context = [short_conv(F.relu(short)), long_conv(F.relu(long)), max_pool3(F.relu(peak))]
        return torch.cat([self.norm(torch.cat(context, dim=1)), frame], dim=1)


class Unit(nn.Module):
    """y = relu(tcn(gcn(x)) + residual(x))."""

    def __init__(self, in_channels: int, out_channels: int, skeleton: Skeleton) -> None:
        super().__init__()
        self.gcn = GraphConv(in_channels, out_channels, skeleton)
        self.tcn = TemporalConv(out_channels)
        self.residual = None if in_channels == COORDINATES else ConvNorm(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, V, T) to (R, C_out, V, T)."""
        y = self.tcn(self.gcn(x))
        return F.relu(y if self.residual is None else y + self.residual(x))


class Stem(nn.Module):
    """Batch norm over body, joint and coordinate, then three units of width b, 4b, b."""

    def __init__(self, base_channels: int, num_bodies: int, skeleton: Skeleton) -> None:
        super().__init__()
        self.input_norm = WeightedBatchNorm2d(num_bodies * skeleton.num_joints * COORDINATES)
        widths = (COORDINATES, *(times * base_channels for times in STEM_WIDTHS))
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
