"""One training step, and the names of the numbers that it reports."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.optim import Optimizer

from scdnet.engine.distributed import all_gather, average_gradients
from scdnet.engine.train.diagnostics import diagnostic_names, step_diagnostics
from scdnet.losses import (
    LATENT_MEASURES,
    Projections,
    contrast_losses,
    latent_losses,
    positive_cosines,
)
from scdnet.models.latent import Latent, Prediction
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
        *(f"{measure}/{path}" for measure in LATENT_MEASURES for path in objective.predicted_paths),
        "loss",
    )


def train_step(
    model: SCDNet,
    optimizer: Optimizer,
    *inputs: Tensor,
    temperature: float,
    precision: Callable[[], AbstractContextManager[object]],
    num_neighbors: int = 0,
) -> Tensor:
    """Update the model once from the inputs of `SCDNet.forward`.

    Returns the metrics that `metric_names` names, (R,), on the device: reading them would force a
    host-device synchronization. Each rank has its rows of the batch; weights, queues and metrics
    are those of the whole batch.
    """
    model.update_momentum()
    with precision():
        query, key, predictions = model(*inputs)
    objective = model.objective
    weights = model.loss_weights()
    losses = weights
    if objective.pairs:
        losses = contrast_losses(
            objective.pairs,
            query,
            key,
            model.negatives(),
            temperature,
            num_neighbors=num_neighbors,
        )
    latent = measure_predictions(predictions, objective.latent, like=losses)
    optimizer.zero_grad(set_to_none=True)
    _total(objective, weights, losses, latent).backward()
    average_gradients(model.trained_parameters())
    if objective.pairs:
        query, key = _gather_projections(query, key)
    diagnostics = step_diagnostics(query, key, model.trained_parameters())
    optimizer.step()
    if objective.pairs:
        model.loss_weights.update_ema(positive_cosines(objective.pairs, query, key))
        model.enqueue(key)
    losses = all_gather(losses).mean(dim=0)
    latent = all_gather(latent).mean(dim=0)
    loss = _total(objective, weights, losses, latent)
    varying = weights[len(weights) - model.loss_weights.num_weighted :]
    return torch.cat([losses, varying, diagnostics, latent.T.flatten(), loss[None]])


def _total(objective: Objective, weights: Tensor, losses: Tensor, latent: Tensor) -> Tensor:
    """Add up the losses of pairs (pairs,), with their weights, and those of predictions."""
    total = (weights * losses).sum()
    if objective.latent is None:
        return total
    return total + objective.latent.config.loss_weight * latent[:, 0].sum()


def _gather_projections(
    query: Projections, key: Projections
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the projections of all ranks, without gradient."""
    gathered = all_gather(torch.stack([*query.values(), *key.values()]))
    # (ranks, projections, N, D) -> (projections, N of all ranks, D)
    gathered = gathered.transpose(0, 1).flatten(1, 2)
    first, second = (dict(zip(query, half, strict=True)) for half in gathered.chunk(2))
    return first, second


def measure_predictions(
    predictions: Mapping[str, Prediction], latent: Latent | None, *, like: Tensor
) -> Tensor:
    """Return what `latent_losses` measures of each path, (paths, 3), on the device of `like`."""
    if latent is None:
        return like.new_zeros(0, len(LATENT_MEASURES))
    config = latent.config
    measures = [
        latent_losses(
            own.predicted,
            own.target,
            rows=own.rows,
            weight=own.weight,
            norm=config.target_norm,
            distance=config.loss,
            gather=all_gather,
        )
        for own in predictions.values()
    ]
    return torch.stack(measures)
