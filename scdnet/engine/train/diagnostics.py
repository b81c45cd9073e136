"""What tells how a training goes: numbers of a step, computed on the device and not read there.

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
# of feature_std. Runs that end well may come down to 0.02 in their first epochs, wide models to 0.01; a collapse ends
# below 0.003, mostly far below
COLLAPSED = 0.003


def diagnostic_names(projections: Sequence[str]) -> tuple[str, ...]:
    """The names of the numbers of a step."""
    return (*(f"{measure}/{name}" for measure in MEASURES for name in projections), "grad_norm")


@torch.no_grad()
def step_diagnostics(
    query: Projections, key: Projections, parameters: Iterable[nn.Parameter]
) -> Tensor:
    """The numbers that `diagnostic_names` names, of projections (N, D) of unit length, N >= 2, and of gradients."""
    queries, keys = (
        torch.stack(list(side.values())) for side in (query, key)
    )  # (projections, N, D)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    parts = (
        alignment(queries, keys),
        uniformity(queries),
        feature_std(queries),
        get_total_norm(gradients)[None],
    )
    return torch.cat(parts)


def alignment(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared distance of positive pairs: 0 where they agree, 2 where they have nothing to do with one another.

    `x`, `y`: (..., N, D), rows of unit length. Source: Wang & Isola 2020, sec. 4.1.1, with alpha = 2.
    """
    return (x - y).square().sum(dim=-1).mean(dim=-1)


def uniformity(x: Tensor) -> Tensor:
    """log of the mean exp(-2 d^2) over all pairs of rows: 0 where all are the same, about -4 + 8 / D where they spread.

    `x`: (..., N, D), rows of unit length. Source: Wang & Isola 2020, sec. 4.1.2, with t = 2.
    """
    cosine = einsum(x, x, "... n d, ... m d -> ... n m")
    potential = (4 * cosine - 4).exp()  # d^2 = 2 - 2 cosine
    potential.diagonal(dim1=-2, dim2=-1).zero_()  # of a row with itself
    n = x.shape[-2]
    return (potential.sum(dim=(-2, -1)) / (n * (n - 1))).log()


def feature_std(x: Tensor) -> Tensor:
    """Standard deviation over the rows, mean of all dimensions, times sqrt(D): 1 where rows spread, 0 in a collapse.

    `x`: (..., N, D), rows of unit length. Source: Chen & He 2021 (SimSiam), fig. 2.
    """
    return x.std(dim=-2).mean(dim=-1) * x.shape[-1] ** 0.5
