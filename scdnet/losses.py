"""The pretraining objectives: pure functions of projections. Source: SCD-Net, sec. 3.3; docs/method.md 4."""

from collections.abc import Mapping, Sequence

import torch
from einops import einsum
from torch import Tensor
from torch.nn import functional as F

Projections = Mapping[
    str, Tensor
]  # by the name of what is projected: of a batch (N, D), or of queues (K, D)
Pair = tuple[str, str]  # of a query with a key, by these names

CROSS_DOMAIN_PAIRS: tuple[Pair, ...] = (
    ("temporal", "instance"),
    ("spatial", "instance"),
    ("instance", "temporal"),
    ("instance", "spatial"),
)


def info_nce(query: Tensor, positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy of picking the positive among 1 + K candidates. Source: van den Oord et al. 2018, eq. 4.

    `query`, `positive`: (N, D); `negatives`: (K, D); all rows of unit length.
    """
    pos = einsum(query, positive, "n d, n d -> n")
    neg = einsum(query, negatives, "n d, k d -> n k")
    logits = torch.cat([pos[:, None], neg], dim=1) / temperature  # (N, 1 + K), the positive first
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


def contrast_losses(
    pairs: Sequence[Pair],
    query: Projections,
    key: Projections,
    negatives: Projections,
    temperature: float,
) -> Tensor:
    """(pairs,) the InfoNCE of each pair."""
    return torch.stack([info_nce(query[a], key[b], negatives[b], temperature) for a, b in pairs])


def positive_cosines(pairs: Sequence[Pair], query: Projections, key: Projections) -> Tensor:
    """(pairs,) the mean cosine of the positives of each pair; no gradient."""
    return torch.stack(
        [einsum(query[a], key[b], "n d, n d -> n").mean() for a, b in pairs]
    ).detach()
