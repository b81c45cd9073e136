"""The stem of each path: channel-wise topology refinement GCN and multi-branch TCN.

Source: Chen et al. 2021 (CTR-GCN) as docs/method.md 3 describes it. Inside the stem the layout is
(N, C, V, T), time innermost: the aggregation over joints is then one matrix product on contiguous memory.
The 1x1 convolutions that read the same input are stored as one; the sums are the same as with one each.
"""

from itertools import pairwise

import torch
from einops import einsum, rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from scdnet.skeleton import Skeleton, partition_graph

COORDINATES = 3  # C of the input: x y z
NUM_SUBSETS = 3  # self, inward, outward
NUM_BRANCHES = 4  # of the temporal convolution
MIN_RELATION_CHANNELS = 8


def _kaiming(*shape: int, fan_out: int) -> nn.Parameter:
    """Normal weights of variance 2 / fan_out."""
    return nn.Parameter(torch.randn(*shape) * (2 / fan_out) ** 0.5)


def _conv1x1(in_channels: int, out_channels: int, *, parts: int = 1) -> nn.Conv2d:
    """A 1x1 convolution that stands for `parts` equal ones side by side: Kaiming fan out of one part, zero bias."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=1)
    conv.weight = _kaiming(*conv.weight.shape, fan_out=out_channels // parts)
    nn.init.zeros_(conv.bias)
    return conv


def _conv1x1_norm(in_channels: int, out_channels: int) -> nn.Sequential:
    """How a skip connection changes the width."""
    return nn.Sequential(_conv1x1(in_channels, out_channels), nn.BatchNorm2d(out_channels))


class GraphConv(nn.Module):
    """Sum over joints whose weights are learned per channel and refined per clip.

    y_u = sum over subsets and joints v of R_uv conv3(x)_v with R = alpha * conv4(tanh(q_u - k_v)) + A.
    Source: Chen et al. 2021, sec. 3.2.
    """

    def __init__(self, in_channels: int, out_channels: int, skeleton: Skeleton) -> None:
        super().__init__()
        relation = MIN_RELATION_CHANNELS if in_channels == COORDINATES else in_channels // 8
        self.adjacency = nn.Parameter(torch.from_numpy(partition_graph(skeleton)))  # A: (S, U, V)
        self.alpha = nn.Parameter(torch.zeros(1))
        # conv1 and conv2 of all subsets, applied to the mean over time: (query or key, subset, channel)
        self.relation_weight = _kaiming(2, NUM_SUBSETS, relation, in_channels, fan_out=relation)
        self.relation_bias = nn.Parameter(torch.zeros(2, NUM_SUBSETS, relation))
        self.topology_weight = _kaiming(NUM_SUBSETS, out_channels, relation, fan_out=out_channels)  # conv4
        self.topology_bias = nn.Parameter(torch.zeros(NUM_SUBSETS, out_channels))
        self.values = _conv1x1(in_channels, out_channels * NUM_SUBSETS, parts=NUM_SUBSETS)  # conv3, channels (c s)
        self.norm = nn.BatchNorm2d(out_channels)
        nn.init.constant_(self.norm.weight, 1e-6)  # starts as the skip connection alone
        self.skip = nn.Identity() if in_channels == out_channels else _conv1x1_norm(in_channels, out_channels)

    def topology(self, x: Tensor) -> Tensor:
        """(N, C, V, T) -> R (N, C_out, S*V, U): the weight of joint v, by subset, in the sum for joint u."""
        mean = x.mean(dim=3)  # conv1 and conv2 are linear, so the mean over time may come first
        relation = einsum(self.relation_weight, mean, "p s r c, n c v -> p n s r v")
        query, key = relation + rearrange(self.relation_bias, "p s r -> p 1 s r 1")
        affinity = torch.tanh(query[..., None, :] - key[..., :, None])  # (N, S, r, V, U)
        # alpha goes into the small factors, so that R is written once and added to once
        refined = (self.alpha * self.topology_weight) @ rearrange(affinity, "n s r v u -> n s r (v u)")
        base = rearrange(self.alpha * self.topology_bias, "s c -> s c 1 1") + rearrange(
            self.adjacency, "s u v -> s 1 v u"
        )
        refined = refined + rearrange(base, "s c v u -> s c (v u)")
        return rearrange(refined, "n s c (v u) -> n c (s v) u", v=x.shape[2])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, V, T) -> (N, C_out, V, T)."""
        values = rearrange(self.values(x), "n (c s) v t -> n c (s v) t", s=NUM_SUBSETS)
        return F.relu(self.norm(self.topology(x).transpose(2, 3) @ values) + self.skip(x))


class TemporalConv(nn.Module):
    """Four branches over time: two convolutions of dilation 1 and 2, a maximum, and the frame itself.

    Source: Chen et al. 2021, sec. 3.3 (multi-scale temporal modeling).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // NUM_BRANCHES
        self.reduce = _conv1x1(channels, channels, parts=NUM_BRANCHES)  # the 1x1 convolutions of all branches
        self.reduce_norm = nn.BatchNorm2d(channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, kernel_size=(1, 5), padding=(0, 2 * dilation), dilation=(1, dilation))
            for dilation in (1, 2)
        )
        self.norm = nn.BatchNorm2d(channels - width)  # of the two convolutions and the maximum
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, mode="fan_out")
            nn.init.zeros_(conv.bias)
        for norm in (self.reduce_norm, self.norm):
            nn.init.normal_(norm.weight, 1.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, V, T) -> (N, C, V, T)."""
        short, long, peak, frame = self.reduce_norm(self.reduce(x)).chunk(NUM_BRANCHES, dim=1)
        context = [conv(F.relu(branch)) for conv, branch in zip(self.convs, (short, long), strict=True)]
        context.append(F.max_pool2d(F.relu(peak), kernel_size=(1, 3), stride=1, padding=(0, 1)))
        return torch.cat([self.norm(torch.cat(context, dim=1)), frame], dim=1)


class Unit(nn.Module):
    """relu(tcn(gcn(x)) + residual)."""

    def __init__(self, in_channels: int, out_channels: int, skeleton: Skeleton) -> None:
        super().__init__()
        self.gcn = GraphConv(in_channels, out_channels, skeleton)
        self.tcn = TemporalConv(out_channels)
        self.residual = None if in_channels == COORDINATES else _conv1x1_norm(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, V, T) -> (N, C_out, V, T)."""
        out = self.tcn(self.gcn(x))
        return F.relu(out if self.residual is None else out + self.residual(x))


class Stem(nn.Module):
    """Batch norm over body, joint and coordinate, then three units of width b, 4b, b."""

    def __init__(self, base_channels: int, bodies: int, skeleton: Skeleton) -> None:
        super().__init__()
        self.input_norm = nn.BatchNorm1d(bodies * skeleton.num_joints * COORDINATES)
        widths = (COORDINATES, base_channels, 4 * base_channels, base_channels)
        self.units = nn.Sequential(*(Unit(c, d, skeleton) for c, d in pairwise(widths)))

    def forward(self, x: Tensor) -> Tensor:
        """Clips (N, C, T, V, M) -> features (N*M, b, V, T)."""
        _, c, _, v, m = x.shape
        x = self.input_norm(rearrange(x, "n c t v m -> n (m v c) t"))
        return self.units(rearrange(x, "n (m v c) t -> (n m) c v t", m=m, v=v, c=c))
