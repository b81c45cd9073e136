"""The diagnostics of a step: by hand, by plain loops, and at their extremes."""

import math

import pytest
import torch
from torch.nn import functional as F

from scdnet.engine.train.diagnostics import (
    alignment,
    diagnostic_names,
    feature_std,
    step_diagnostics,
    uniformity,
)


def rows(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_alignment_by_hand():
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    y = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    # The squared distances are 0 and 2.
    assert alignment(x, y).item() == 1


def test_uniformity_by_hand():
    # The squared distances are 2, 2 and 4.
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert uniformity(x).item() == pytest.approx(math.log((2 * math.exp(-4) + math.exp(-8)) / 3))


def test_feature_std_by_hand():
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    # The deviations are sqrt(4 / 3) and 0.
    assert feature_std(x).item() == pytest.approx(math.sqrt(4 / 3) / 2 * math.sqrt(2))


def test_uniformity_is_that_of_the_pairs_one_by_one():
    x = rows(7, 5)
    pairs = [math.exp(-2 * (x[i] - x[j]).norm().item() ** 2) for i in range(7) for j in range(i)]
    assert uniformity(x).item() == pytest.approx(math.log(sum(pairs) / len(pairs)), rel=1e-5)


def test_spread_and_collapse_are_the_two_ends():
    spread = rows(500, 64)
    collapsed = rows(1, 64).expand(500, 64)
    assert feature_std(spread).item() == pytest.approx(1, abs=0.02)
    assert uniformity(spread).item() == pytest.approx(-4 + 8 / 64, abs=0.02)
    assert alignment(spread, rows(500, 64, seed=1)).item() == pytest.approx(2, abs=0.05)
    assert feature_std(collapsed).item() == pytest.approx(0, abs=1e-5)
    assert uniformity(collapsed).item() == pytest.approx(0, abs=1e-5)
    assert alignment(spread, spread).item() == 0


def test_the_diagnostics_of_a_step_have_their_names():
    names = ("temporal", "spatial", "instance")
    query, key = (dict(zip(names, rows(3, 6, 4, seed=seed), strict=True)) for seed in (0, 1))
    first, second, unused = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    first.grad = torch.tensor([3.0, 4.0])
    second.grad = torch.tensor([0.0, 12.0])
    values = step_diagnostics(query, key, [first, second, unused]).tolist()
    numbers = dict(zip(diagnostic_names(names), values, strict=True))
    assert numbers["grad_norm"] == 13
    for domain in names:
        own = query[domain]
        other = key[domain]
        assert numbers[f"alignment/{domain}"] == pytest.approx(alignment(own, other).item())
        assert numbers[f"uniformity/{domain}"] == pytest.approx(uniformity(own).item())
        assert numbers[f"feature_std/{domain}"] == pytest.approx(feature_std(own).item())
