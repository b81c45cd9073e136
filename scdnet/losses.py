"""The pretraining objectives: pure functions of projections.

Source: SCD-Net, sec. 3.3; docs/method.md 4.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from einops import einsum
from torch import Tensor
from torch.nn import functional as F

# Projections by name: of a batch (N, D) each, or of queues (K, D).
Projections = Mapping[str, Tensor]
# The names of the projections that are the query and the key.
Pair = tuple[str, str]
Domain = Literal["temporal", "spatial", "instance"]

CROSS_DOMAIN_PAIRS: tuple[tuple[Domain, Domain], ...] = (
    ("temporal", "instance"),
    ("spatial", "instance"),
    ("instance", "temporal"),
    ("instance", "spatial"),
)


def chance_loss(num_pairs: int, queue_size: int) -> float:
    """Return the loss where no positive is told from the negatives of a queue."""
    return num_pairs * math.log(1 + queue_size)


def info_nce(query: Tensor, positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Return the mean cross-entropy of picking the positive among 1 + K candidates.

    `query`, `positive`: (N, D); `negatives`: (K, D); all rows of unit length.
    Source: van den Oord et al. 2018, eq. 4.
    """
    pos = einsum(query, positive, "n d, n d -> n")
    neg = einsum(query, negatives, "n d, k d -> n k")
    # The positive is candidate 0.
    logits = torch.cat([pos[:, None], neg], dim=1) / temperature  # (N, 1 + K)
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


def contrast_losses(
    pairs: Sequence[Pair],
    query: Projections,
    key: Projections,
    negatives: Projections,
    temperature: float,
) -> Tensor:
    """Return the InfoNCE of each pair, (pairs,)."""
    return torch.stack([info_nce(query[a], key[b], negatives[b], temperature) for a, b in pairs])


def positive_cosines(pairs: Sequence[Pair], query: Projections, key: Projections) -> Tensor:
    """Return the mean cosine of the positives of each pair, (pairs,), without gradient."""
    cosines = [einsum(query[a], key[b], "n d, n d -> n").mean() for a, b in pairs]
    return torch.stack(cosines).detach()
