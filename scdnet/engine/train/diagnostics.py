"""Diagnostics of a training step, computed on the device and not read there.

A step on a GPU is captured as a CUDA graph: fixed shapes, nothing that waits for a value.
"""

from collections.abc import Iterable, Sequence

import torch
from einops import einsum
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from scdnet.losses import Projections

FEATURE_STD = "feature_std"
MEASURES = ("alignment", "uniformity", FEATURE_STD)

# A feature_std below this is a collapse. Runs that end well may come down to 0.02 in their first
# epochs, wide models to 0.01; collapsed ones end far below 0.003.
COLLAPSED = 0.003


def diagnostic_names(projections: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the diagnostics of a step."""
    return (*(f"{measure}/{name}" for measure in MEASURES for name in projections), "grad_norm")


@torch.no_grad()
def step_diagnostics(
    query: Projections, key: Projections, parameters: Iterable[nn.Parameter]
) -> Tensor:
    """Compute what `diagnostic_names` names from projections (N, D) and the gradients.

    Projections have rows of unit length, N >= 2.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    grad_norm = get_total_norm(gradients)[None]
    if not query:
        return grad_norm
    queries = torch.stack(list(query.values()))  # (projections, N, D)
    keys = torch.stack(list(key.values()))  # (projections, N, D)
    return torch.cat(
        (alignment(queries, keys), uniformity(queries), feature_std(queries), grad_norm)
    )


def alignment(x: Tensor, y: Tensor) -> Tensor:
    """Compute the mean squared distance of positive pairs: 0 where equal, 2 where unrelated.

    `x`, `y`: (..., N, D), rows of unit length. Source: Wang & Isola 2020, sec. 4.1.1, alpha = 2.
    """
    return (x - y).square().sum(dim=-1).mean(dim=-1)


def uniformity(x: Tensor) -> Tensor:
    """Compute the log of the mean exp(-2 d^2) over all pairs of rows.

    0 where all rows are equal, about -4 + 8 / D where they are spread evenly. `x`: (..., N, D),
    rows of unit length. Source: Wang & Isola 2020, sec. 4.1.2, t = 2.
    """
    cosine = einsum(x, x, "... n d, ... m d -> ... n m")
    # The squared distance is 2 - 2 cosine.
    potential = (4 * cosine - 4).exp()
    # A row is not paired with itself.
    potential.diagonal(dim1=-2, dim2=-1).zero_()
    n = x.shape[-2]
    return (potential.sum(dim=(-2, -1)) / (n * (n - 1))).log()


def feature_std(x: Tensor) -> Tensor:
    """Compute the standard deviation over rows, averaged over dimensions, times sqrt(D).

    1 where rows are spread evenly, 0 in a collapse. `x`: (..., N, D), rows of unit length. Source:
    Chen & He 2021 (SimSiam), fig. 2.
    """
    return x.std(dim=-2).mean(dim=-1) * x.shape[-1] ** 0.5
