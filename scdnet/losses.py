"""The pretraining objectives: pure functions of projections and of tokens.

Source: SCD-Net, sec. 3.3; docs/method.md 4.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from einops import einsum
from torch import Tensor
from torch.nn import functional as F

# Projections by name: of a batch (N, D) each, or of queues (K, D).
Projections = Mapping[str, Tensor]
# The names of the projections that are the query and the key.
Pair = tuple[str, str]
# Stacks a tensor (...) of all processes: (processes, ...).
Gather = Callable[[Tensor], Tensor]
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


def info_nce(
    query: Tensor,
    positive: Tensor,
    negatives: Tensor,
    temperature: float,
    *,
    num_neighbors: int = 0,
) -> Tensor:
    """Return the mean cross-entropy of picking the positive among 1 + K candidates.

    `query`, `positive`: (N, D); `negatives`: (K, D); all rows of unit length. The `num_neighbors`
    negatives nearest to a positive count as positives too: the result is then the mean over all of
    them. Sources: van den Oord et al. 2018, eq. 4; for several positives Khosla et al. 2020, eq. 2,
    for neighbors Dwibedi et al. 2021 (NNCLR).
    """
    pos = einsum(query, positive, "n d, n d -> n")
    neg = einsum(query, negatives, "n d, k d -> n k")
    # The positive is candidate 0.
    logits = torch.cat([pos[:, None], neg], dim=1) / temperature  # (N, 1 + K)
    own = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    if num_neighbors == 0:
        return F.cross_entropy(logits, own)
    nearest = (positive @ negatives.mT).topk(num_neighbors, dim=1).indices
    columns = torch.cat([own[:, None], nearest + 1], dim=1)  # (N, 1 + k)
    return -logits.log_softmax(dim=1).gather(1, columns).mean()


def contrast_losses(
    pairs: Sequence[Pair],
    query: Projections,
    key: Projections,
    negatives: Projections,
    temperature: float,
    *,
    num_neighbors: int = 0,
) -> Tensor:
    """Return the InfoNCE of each pair, (pairs,)."""
    losses = [
        info_nce(query[a], key[b], negatives[b], temperature, num_neighbors=num_neighbors)
        for a, b in pairs
    ]
    return torch.stack(losses)


def positive_cosines(pairs: Sequence[Pair], query: Projections, key: Projections) -> Tensor:
    """Return the mean cosine of the positives of each pair, (pairs,), without gradient."""
    cosines = [einsum(query[a], key[b], "n d, n d -> n").mean() for a, b in pairs]
    return torch.stack(cosines).detach()


# The results of `latent_losses`.
LATENT_SPREAD = "latent_spread"
LATENT_MEASURES = ("latent_loss", "latent_mean_loss", LATENT_SPREAD)
# Added to variances before they are divided by.
EPSILON = 1e-6
# Distances (H, N) of predictions from targets (H, N, D). Sources: smooth L1, Baevski et al. 2022
# (data2vec), Assran et al. 2023 (the code of I-JEPA); cosine, Grill et al. 2020 (BYOL), eq. 2,
# halved.
DISTANCES = {
    "smooth_l1": lambda x, y: F.smooth_l1_loss(x, y, reduction="none").mean(dim=-1),
    "cosine": lambda x, y: 1 - F.cosine_similarity(x, y, dim=-1),
}


def latent_losses(
    predicted: Tensor,
    target: Tensor,
    *,
    rows: Tensor,
    weight: Tensor,
    norm: str,
    distance: str,
    gather: Gather,
) -> Tensor:
    """Compare predictions (H, N, D) of the tokens `rows` (H, N) with the targets (L, N, D).

    `weight` (L, N) is 0 for tokens that do not count. Returns (3,), as LATENT_MEASURES names them:
    the loss; the loss of predicting the mean over the batch at each position, which a prediction
    that knows nothing but positions cannot beat by much; and the spread of the targets over the
    batch at a fixed position, 0 if all clips are alike, at most 1. Only the loss has a gradient.
    Losses are means over a clip's tokens, then over clips, so that their mean over the processes is
    that of the whole batch.
    """
    measure = DISTANCES[distance]
    dtype = torch.promote_types(target.dtype, torch.float32)
    target = target.to(dtype)
    with torch.no_grad():
        mean, var, count = _position_statistics(target, weight, gather)
        spread = _spread(mean, var, count)
        target = _normalize_targets(target, weight, mean, var, norm=norm)
        mean = torch.zeros_like(mean)
        if norm != "batch":
            mean, _, _ = _position_statistics(target, weight, gather)
        wanted = torch.take_along_dim(target, rows[..., None], dim=0)  # (H, N, D)
        counts = torch.take_along_dim(weight, rows, dim=0)  # (H, N)
        mean_loss = _mean_by_clip(measure(mean[rows], wanted), counts)
    loss = _mean_by_clip(measure(predicted.to(dtype), wanted), counts)
    return torch.stack([loss, mean_loss, spread])


def _mean_by_clip(x: Tensor, weight: Tensor) -> Tensor:
    """Average (H, N) over the tokens that count, then over clips; a clip without one counts 0."""
    return ((x * weight).sum(dim=0) / weight.sum(dim=0).clamp(min=1)).mean()


def _position_statistics(
    x: Tensor, weight: Tensor, gather: Gather
) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (L, D), variance (L, D) and count (L,) of tokens (L, N, D) over all clips."""
    count = gather(weight.sum(dim=1)).sum(dim=0)
    share = weight / count.clamp(min=1)[:, None]
    mean = gather(einsum(x, share, "l n d, l n -> l d")).sum(dim=0)
    squares = (x - mean[:, None]).square()
    return mean, gather(einsum(squares, share, "l n d, l n -> l d")).sum(dim=0), count


def _spread(mean: Tensor, var: Tensor, count: Tensor) -> Tensor:
    """Return the share of the variance over the batch in the mean square of tokens, its root."""
    by_clip = einsum(var, count, "l d, l -> ")
    square = einsum(var + mean.square(), count, "l d, l -> ")
    return (by_clip / square.clamp(min=torch.finfo(square.dtype).tiny)).sqrt()


def _normalize_targets(
    x: Tensor, weight: Tensor, mean: Tensor, var: Tensor, *, norm: str
) -> Tensor:
    """Normalize tokens (L, N, D) over the batch, given its statistics, or over those of a clip."""
    if norm == "none":
        return x
    if norm == "batch":
        return (x - mean[:, None]) * (var + EPSILON).rsqrt()[:, None]
    # Source: Baevski et al. 2022 (data2vec), instance normalization.
    share = weight / weight.sum(dim=0).clamp(min=1)
    centered = x - einsum(x, share, "l n d, l n -> n d")
    by_clip = einsum(centered.square(), share, "l n d, l n -> n d")
    return centered * (by_clip + EPSILON).rsqrt()
