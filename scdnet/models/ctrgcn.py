"""The stem of each path: channel-wise topology refinement GCN and multi-branch TCN.

Source: Chen et al. 2021 (CTR-GCN) as docs/method.md 3 describes it. Inside the stem the layout is
(R, C, V, T), a row a body, time innermost: the aggregation over joints is then one matrix product on contiguous memory.
The 1x1 convolutions that read the same input are stored as one; the sums are the same as with one each.
"""

from itertools import pairwise

import torch
from einops import einsum, rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from scdnet.models.bodies import DistinctBodies
from scdnet.models.layers import (
    Conv1x1,
    ConvNorm,
    InputNorm,
    WeightedBatchNorm2d,
    conv_norm,
    expand_batch,
    kaiming,
    max_pool3,
)
from scdnet.skeleton import Skeleton, partition_graph

COORDINATES = 3  # C of the input: x y z
NUM_SUBSETS = 3  # self, inward, outward
NUM_BRANCHES = 4  # of the temporal convolution
MIN_RELATION_CHANNELS = 8
STEM_WIDTHS = (1, 4, 1)  # of its units, times b


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
        self.relation_weight = kaiming(2, NUM_SUBSETS, relation, in_channels, fan_out=relation)
        self.relation_bias = nn.Parameter(torch.zeros(2, NUM_SUBSETS, relation))
        self.topology_weight = kaiming(
            NUM_SUBSETS, out_channels, relation, fan_out=out_channels
        )  # conv4
        self.topology_bias = nn.Parameter(torch.zeros(NUM_SUBSETS, out_channels))
        # conv3 of all subsets, channels (c s); its bias is the weight of one more input channel, which is 1
        conv3 = Conv1x1(in_channels, out_channels * NUM_SUBSETS, parts=NUM_SUBSETS)
        self.value_weight = nn.Parameter(
            torch.cat([conv3.weight.flatten(1), conv3.bias[:, None]], dim=1).detach()
        )
        self.norm = WeightedBatchNorm2d(out_channels)
        nn.init.constant_(self.norm.weight, 1e-6)  # starts as the skip connection alone
        self.skip = ConvNorm(in_channels, out_channels)  # the width changes in every unit

    def topology(self, x: Tensor) -> Tensor:
        """(R, C, V, T) -> (R, C_out, S*V, U): the weight of joint v, by subset, in the sum for joint u.

        One product over all pairs of joints, [alpha conv4, 1, alpha bias] [tanh(q_u - k_v); A; 1], writes it in one go.
        """
        mean = x.mean(dim=3)  # conv1 and conv2 are linear, so the mean over time may come first
        relation = einsum(self.relation_weight, mean, "p s k c, r c v -> p r s k v")
        query, key = relation + rearrange(self.relation_bias, "p s k -> p 1 s k 1")
        affinity = torch.tanh(query[..., None, :] - key[..., :, None])  # (R, S, k, V, U)
        adjacency = rearrange(self.adjacency, "s u v -> s (v u)")
        pairs = [rearrange(affinity, "r s k v u -> r (s k) (v u)"), expand_batch(adjacency, x)]
        pairs.append(torch.ones_like(pairs[1][:, :1]))
        product = expand_batch(self._pair_weights(), x) @ torch.cat(pairs, dim=1)
        return rearrange(product, "r (c s) (v u) -> r c (s v) u", s=NUM_SUBSETS, v=x.shape[2])

    def _pair_weights(self) -> Tensor:
        """(C_out*S, S*k + S + 1): for each channel and subset, the weights of the subset's own numbers of a pair."""
        own = torch.eye(NUM_SUBSETS, dtype=self.alpha.dtype, device=self.alpha.device)
        refinement = einsum(
            self.alpha * self.topology_weight, own, "s c k, s z -> c s z k"
        ).flatten(2)
        bias = rearrange(self.alpha * self.topology_bias, "s c -> c s 1")
        return torch.cat([refinement, own.expand(len(refinement), -1, -1), bias], dim=2).flatten(
            0, 1
        )

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """(R, C, V, T) -> (R, C_out, V, T)."""
        channels = F.pad(x.flatten(2), (0, 0, 0, 1), value=1)
        values = expand_batch(self.value_weight, x) @ channels
        values = rearrange(values, "r (c s) (v t) -> r c (s v) t", s=NUM_SUBSETS, v=x.shape[2])
        return F.relu(
            self.norm(self.topology(x).transpose(2, 3) @ values, count) + self.skip(x, count)
        )


class TemporalConv(nn.Module):
    """Four branches over time: two convolutions of dilation 1 and 2, a maximum, and the frame itself.

    Source: Chen et al. 2021, sec. 3.3 (multi-scale temporal modeling).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // NUM_BRANCHES
        self.reduce = Conv1x1(
            channels, channels, parts=NUM_BRANCHES
        )  # the 1x1 convolutions of all branches
        self.reduce_norm = WeightedBatchNorm2d(channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(
                width, width, kernel_size=(1, 5), padding=(0, 2 * dilation), dilation=(1, dilation)
            )
            for dilation in (1, 2)
        )
        self.norm = WeightedBatchNorm2d(channels - width)  # of the two convolutions and the maximum
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, mode="fan_out")
            nn.init.zeros_(conv.bias)
        for norm in (self.reduce_norm, self.norm):
            nn.init.normal_(norm.weight, 1.0, 0.02)

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """(R, C, V, T) -> (R, C, V, T)."""
        short, long, peak, frame = conv_norm(self.reduce, self.reduce_norm, x, count).chunk(
            NUM_BRANCHES, dim=1
        )
        context = [
            conv(F.relu(branch)) for conv, branch in zip(self.convs, (short, long), strict=True)
        ]
        context.append(max_pool3(F.relu(peak)))
        return torch.cat([self.norm(torch.cat(context, dim=1), count), frame], dim=1)


class Unit(nn.Module):
    """relu(tcn(gcn(x)) + residual)."""

    def __init__(self, in_channels: int, out_channels: int, skeleton: Skeleton) -> None:
        super().__init__()
        self.gcn = GraphConv(in_channels, out_channels, skeleton)
        self.tcn = TemporalConv(out_channels)
        self.residual = None if in_channels == COORDINATES else ConvNorm(in_channels, out_channels)

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """(R, C, V, T) -> (R, C_out, V, T)."""
        out = self.tcn(self.gcn(x, count), count)
        return F.relu(out if self.residual is None else out + self.residual(x, count))


class Stem(nn.Module):
    """Batch norm over body, joint and coordinate, then three units of width b, 4b, b (STEM_WIDTHS)."""

    def __init__(self, base_channels: int, bodies: int, skeleton: Skeleton) -> None:
        super().__init__()
        self.input_norm = InputNorm(bodies * skeleton.num_joints * COORDINATES)
        widths = (COORDINATES, *(times * base_channels for times in STEM_WIDTHS))
        self.units = nn.ModuleList(Unit(c, d, skeleton) for c, d in pairwise(widths))

    def forward(
        self, clips: Tensor, bodies: DistinctBodies | None = None, num_units: int | None = None
    ) -> list[Tensor]:
        """Clips (N, C, T, V, M) -> what each of the first `num_units` (by default all) makes of them, (R, width, V, T).

        A row is one of the distinct bodies, or of all M*N in the order (m n).
        """
        _, c, _, v, m = clips.shape
        x = self.input_norm(rearrange(clips, "n c t v m -> n (m v c) t"))
        x = rearrange(x, "n (m v c) t -> (m n) c v t", m=m, v=v, c=c)
        if bodies is not None:
            x = x.index_select(0, bodies.index)
        outputs = []
        for unit in self.units[:num_units]:
            x = unit(x, None if bodies is None else bodies.count)
            outputs.append(x)
        return outputs
