"""The pretraining objective: pure functions of projections. Source: SCD-Net, sec. 3.3; docs/method.md 4."""

from typing import NamedTuple

import torch
from einops import einsum
from torch import Tensor
from torch.nn import functional as F


class Projections(NamedTuple):
    """One tensor per domain: of a batch (N, D), or of queues (K, D)."""

    temporal: Tensor
    spatial: Tensor
    instance: Tensor


CROSS_DOMAIN_PAIRS = (  # (query domain, key domain)
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


def scd_losses(query: Projections, key: Projections, negatives: Projections, temperature: float) -> Tensor:
    """(4,) the term of each pair in CROSS_DOMAIN_PAIRS; their sum is the objective."""
    return torch.stack(
        [
            info_nce(getattr(query, a), getattr(key, b), getattr(negatives, b), temperature)
            for a, b in CROSS_DOMAIN_PAIRS
        ]
    )
