"""One training step, and the names of the numbers that it reports."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.optim import Optimizer

from scdnet.engine.distributed import all_gather, average_gradients
from scdnet.engine.train.diagnostics import diagnostic_names, step_diagnostics
from scdnet.losses import contrast_losses, positive_cosines
from scdnet.models.objective import Objective
from scdnet.models.scdnet import SCDNet


def metric_names(objective: Objective) -> tuple[str, ...]:
    """Return the names of the metrics of a step; the total loss comes last."""
    names = [a if a == b else f"{a}-{b}" for a, b in objective.pairs]
    weighted = [name for name, level in zip(names, objective.levels, strict=True) if level]
    return (
        *(f"loss/{name}" for name in names),
        *(f"loss_weight/{name}" for name in weighted),
        *diagnostic_names(objective.projections),
        "loss",
    )


def train_step(
    model: SCDNet,
    optimizer: Optimizer,
    *views: Tensor,
    temperature: float,
    precision: Callable[[], AbstractContextManager[object]],
) -> Tensor:
    """Update the model once from two views (N, C, T, V, M) for each task.

    Returns the metrics that `metric_names` names, (R,), on the device: reading them would force a
    host-device synchronization. Each rank has its rows of the batch; weights, queues and metrics
    are those of the whole batch.
    """
    model.update_momentum()
    with precision():
        query, key = model(*views)
    pairs = model.objective.pairs
    weights = model.loss_weights()
    losses = contrast_losses(pairs, query, key, model.negatives(), temperature)
    optimizer.zero_grad(set_to_none=True)
    (weights * losses).sum().backward()
    average_gradients(model.query.parameters())
    gathered = all_gather(torch.stack([*query.values(), *key.values()]))
    # (ranks, projections, N, D) -> (projections, N of all ranks, D)
    gathered = gathered.transpose(0, 1).flatten(1, 2)
    query, key = (dict(zip(query, half, strict=True)) for half in gathered.chunk(2))
    diagnostics = step_diagnostics(query, key, model.query.parameters())
    optimizer.step()
    model.loss_weights.update_ema(positive_cosines(pairs, query, key))
    model.enqueue(key)
    losses = all_gather(losses).mean(dim=0)
    varying = weights[len(weights) - model.loss_weights.num_weighted :]
    return torch.cat([losses, varying, diagnostics, (weights * losses).sum()[None]])
