import math

import pytest
import torch
from torch import nn

from scdnet.config import OptimConfig
from scdnet.engine.optim import make_optimizer, make_schedule


def learning_rates(config: OptimConfig) -> list[float]:
    optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], config)
    schedule = make_schedule(optimizer, config)
    rates = []
    for epoch in range(config.epochs):
        schedule.step(epoch)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def test_paper_schedule_drops_at_epoch_351():
    rates = learning_rates(OptimConfig())
    assert len(rates) == 451
    # docs/method.md 4: epochs 0-350 and 351-450.
    assert rates[:351] == [0.01] * 351
    assert rates[351:] == pytest.approx([0.001] * 100)


def test_cosine_falls_from_lr_after_a_linear_warm_up():
    rates = learning_rates(OptimConfig(schedule="cosine", lr=0.4, epochs=20, warmup_epochs=3))
    # 0.2 is half of 0.4.
    cosine = [0.2 * (1 + math.cos(math.pi * epoch / 20)) for epoch in range(20)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, *cosine[3:]])


def test_warm_up_leaves_the_milestones_where_they_are():
    rates = learning_rates(OptimConfig(lr=1.0, epochs=10, warmup_epochs=3, milestones=(6,)))
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.1, 0.1, 0.1, 0.1])


def test_sgd_is_momentum_without_nesterov_and_decays_every_parameter():
    """By hand: g = grad + decay * p; v = 0.9 v + g; p = p - lr v; biases and norms decay too."""
    layer = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    for parameter in layer.parameters():
        nn.init.constant_(parameter, 1.0)
    optimizer = make_optimizer(layer.parameters(), OptimConfig(lr=0.1, weight_decay=0.01))
    value = 1.0
    velocity = 0.0
    for _ in range(2):
        for parameter in layer.parameters():
            parameter.grad = torch.full_like(parameter, 0.5)
        optimizer.step()
        velocity = 0.9 * velocity + 0.5 + 0.01 * value
        value -= 0.1 * velocity
    for parameter in layer.parameters():
        assert torch.allclose(parameter, torch.full_like(parameter, value), atol=1e-6)


def test_adamw_decays_every_parameter_too():
    optimizer = make_optimizer(
        nn.BatchNorm1d(2).parameters(), OptimConfig(name="adamw", weight_decay=0.3)
    )
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3]
    assert isinstance(optimizer, torch.optim.AdamW)
