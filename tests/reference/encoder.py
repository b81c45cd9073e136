"""The reference implementation of SCD-Net: docs/method.md 3 and 4 one module after the other, slow.

Tests compare the encoder with it, `tools/bench/bench_*.py` time the encoder against it. Its weights
have the names of the authors' checkpoints (scdnet/engine/official.py), and it reproduces the golden
numbers by itself. Inside a stem tensors are (N*M, C, T, V).
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scdnet.models.encoder import EncoderSizes
from scdnet.skeleton import Skeleton, partition_graph
from scdnet.skeletons import NTU_25


class Relation(nn.Module):
    """One subset of the graph convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        r = 8 if in_channels in (3, 9) else in_channels // 8
        self.conv1 = nn.Conv2d(in_channels, r, 1)
        self.conv2 = nn.Conv2d(in_channels, r, 1)
        self.conv3 = nn.Conv2d(in_channels, out_channels, 1)
        self.conv4 = nn.Conv2d(r, out_channels, 1)

    def forward(self, x: Tensor, adjacency: Tensor, alpha: Tensor) -> Tensor:
        q = self.conv1(x).mean(dim=2)  # (N, r, V)
        k = self.conv2(x).mean(dim=2)  # (N, r, V)
        refined = self.conv4(torch.tanh(q[:, :, :, None] - k[:, :, None, :]))  # (N, C_out, U, V)
        return torch.einsum("ncuv,nctv->nctu", alpha * refined + adjacency, self.conv3(x))


class GraphConv(nn.Module):
    """Graph convolution over three subsets, with a skip connection."""

    def __init__(self, in_channels: int, out_channels: int, skeleton: Skeleton) -> None:
        super().__init__()
        self.PA = nn.Parameter(torch.from_numpy(partition_graph(skeleton)))
        self.alpha = nn.Parameter(torch.zeros(1))
        self.convs = nn.ModuleList(Relation(in_channels, out_channels) for _ in range(3))
        self.bn = nn.BatchNorm2d(out_channels)
        self.down = None
        if in_channels != out_channels:
            self.down = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = 0
        for conv, adjacency in zip(self.convs, self.PA, strict=True):
            y = y + conv(x, adjacency, self.alpha)
        return F.relu(self.bn(y) + (x if self.down is None else self.down(x)))


class ConvNorm(nn.Module):
    """A convolution and its batch norm."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.bn = nn.BatchNorm2d(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


def over_time(channels: int, dilation: int) -> ConvNorm:
    return ConvNorm(
        nn.Conv2d(channels, channels, (5, 1), padding=(2 * dilation, 0), dilation=(dilation, 1))
    )


class TemporalConv(nn.Module):
    """Four branches over time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // 4

        def entry() -> list[nn.Module]:
            return [nn.Conv2d(channels, quarter, 1), nn.BatchNorm2d(quarter)]

        pool = [nn.MaxPool2d((3, 1), stride=1, padding=(1, 0)), nn.BatchNorm2d(quarter)]
        self.branches = nn.ModuleList(
            [
                nn.Sequential(*entry(), nn.ReLU(), over_time(quarter, dilation=1)),
                nn.Sequential(*entry(), nn.ReLU(), over_time(quarter, dilation=2)),
                nn.Sequential(*entry(), nn.ReLU(), *pool),
                nn.Sequential(*entry()),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Unit(nn.Module):
    """y = relu(tcn(gcn(x)) + residual(x))."""

    def __init__(self, in_channels: int, out_channels: int, skeleton: Skeleton) -> None:
        super().__init__()
        self.gcn1 = GraphConv(in_channels, out_channels, skeleton)
        self.tcn1 = TemporalConv(out_channels)
        self.residual = (
            None if in_channels in (3, 9) else ConvNorm(nn.Conv2d(in_channels, out_channels, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn1(self.gcn1(x))
        return F.relu(y if self.residual is None else y + self.residual(x))


class Stem(nn.Module):
    """Batch norm, then three units."""

    def __init__(self, sizes: EncoderSizes, skeleton: Skeleton) -> None:
        super().__init__()
        b = sizes.base_channels
        c = 3 * sizes.num_streams
        self.data_bn = nn.BatchNorm1d(sizes.num_bodies * skeleton.num_joints * c)
        self.l1 = Unit(c, b, skeleton)
        self.l2 = Unit(b, 4 * b, skeleton)
        self.l3 = Unit(4 * b, b, skeleton)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, V, M) to (N, M, b, T, V)."""
        n, c, t, v, m = x.shape
        x = self.data_bn(x.permute(0, 4, 3, 1, 2).reshape(n, m * v * c, t))
        x = x.view(n, m, v, c, t).permute(0, 1, 3, 4, 2).reshape(n * m, c, t, v)
        return self.l3(self.l2(self.l1(x))).view(n, m, -1, t, v)


class Encoder(nn.Module):
    """Both paths: (N, C, T, V, M) to v_t, v_s, (N, D) each."""

    def __init__(self, sizes: EncoderSizes, skeleton: Skeleton = NTU_25) -> None:
        super().__init__()
        d = sizes.embed_dim
        b = sizes.base_channels

        def project(width: int) -> nn.Module:
            return nn.Sequential(nn.Linear(width, d), nn.LayerNorm(d), nn.ReLU(), nn.Linear(d, d))

        def transformer() -> nn.Module:
            layer = nn.TransformerEncoderLayer(
                d, sizes.num_heads, d, sizes.dropout, batch_first=True
            )
            return nn.TransformerEncoder(layer, sizes.num_layers, enable_nested_tensor=False)

        self.gcn_t = Stem(sizes, skeleton)
        self.gcn_s = Stem(sizes, skeleton)
        self.channel_t = project(sizes.num_bodies * skeleton.num_joints * b)
        self.channel_s = project(sizes.num_frames * b)
        self.t_encoder = transformer()
        self.s_encoder = transformer()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        t = self.gcn_t(x).permute(0, 3, 1, 4, 2).flatten(2)  # (N, T, M*V*b)
        s = self.gcn_s(x).permute(0, 1, 4, 3, 2).flatten(3).flatten(1, 2)  # (N, M*V, T*b)
        v_t = self.t_encoder(self.channel_t(t)).amax(dim=1)
        v_s = self.s_encoder(self.channel_s(s)).amax(dim=1)
        return v_t, v_s


class Side(nn.Module):
    """The encoder with its three heads: z_t, z_s, z_i of unit length."""

    def __init__(self, sizes: EncoderSizes, projection_dim: int, skeleton: Skeleton) -> None:
        super().__init__()
        d = sizes.embed_dim

        def head(width: int) -> nn.Module:
            return nn.Sequential(nn.Linear(width, d), nn.ReLU(), nn.Linear(d, projection_dim))

        self.encoder = Encoder(sizes, skeleton)
        self.t_proj = head(d)
        self.s_proj = head(d)
        self.i_proj = head(2 * d)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        t, s = self.encoder(x)
        return (
            F.normalize(self.t_proj(t), dim=1),
            F.normalize(self.s_proj(s), dim=1),
            F.normalize(self.i_proj(torch.cat([t, s], dim=1)), dim=1),
        )


class SCDNet(nn.Module):
    """Pretraining: both sides and the queues (D, K)."""

    def __init__(
        self,
        sizes: EncoderSizes,
        skeleton: Skeleton = NTU_25,
        *,
        projection_dim: int,
        queue_size: int,
        momentum: float,
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.encoder_q = Side(sizes, projection_dim, skeleton)
        self.encoder_k = copy.deepcopy(self.encoder_q).requires_grad_(False)
        for letter in "tsi":
            self.register_buffer(
                f"{letter}_queue", F.normalize(torch.randn(projection_dim, queue_size), dim=0)
            )
            self.register_buffer(f"{letter}_queue_ptr", torch.zeros(1, dtype=torch.long))

    def losses(self, query_view: Tensor, key_view: Tensor) -> Tensor:
        """Update the key encoder, return the four losses, push the keys into the queues."""
        with torch.no_grad():
            for key, query in zip(
                self.encoder_k.parameters(), self.encoder_q.parameters(), strict=True
            ):
                key.data = self.momentum * key.data + (1 - self.momentum) * query.data
            keys = dict(zip("tsi", self.encoder_k(key_view), strict=True))
        queries = dict(zip("tsi", self.encoder_q(query_view), strict=True))
        losses = []
        for a, b in ("ti", "si", "it", "is"):
            positive = torch.einsum("nd,nd->n", queries[a], keys[b])[:, None]
            negative = torch.einsum("nd,dk->nk", queries[a], getattr(self, f"{b}_queue").clone())
            logits = torch.cat([positive, negative], dim=1) / 0.2
            target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
            losses.append(F.cross_entropy(logits, target))
        with torch.no_grad():
            for letter, key in keys.items():
                queue = getattr(self, f"{letter}_queue")
                cursor = getattr(self, f"{letter}_queue_ptr")
                start = int(cursor)
                end = start + len(key)
                queue[:, start:end] = key.T
                cursor[0] = end % queue.shape[1]
        return torch.stack(losses)
