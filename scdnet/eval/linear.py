"""The linear probe: one linear layer on stored features. Source: docs/method.md 5.

The evaluation view is fixed and the encoder frozen, so each epoch of the original runs the encoder on the same input to
the same end: here it has run once.
"""

from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from scdnet.config import LinearConfig
from scdnet.engine.optim import make_optimizer, make_schedule
from scdnet.errors import ScdnetError
from scdnet.eval.features import Features
from scdnet.eval.logistic import logistic_scores
from scdnet.models.heads import LinearClassifier
from scdnet.results.scores import topk_metrics


class Probe(NamedTuple):
    """What a probe gives the test sequences."""

    scores: Tensor  # (N, classes) float32 on the CPU, of the last epoch
    best_top1: float | None  # of all epochs, chosen on the test split; None where there are none


def linear_probe(
    train: Features,
    test: Features,
    config: LinearConfig,
    *,
    num_classes: int,
    seed: int,
    device: torch.device,
) -> Probe:
    """Train a probe on `train`, apply it to `test`. Raises ScdnetError if it diverges."""
    if config.probe == "logistic":
        return Probe(logistic_scores(train, test, num_classes=num_classes, seed=seed), None)
    generator = torch.Generator().manual_seed(seed)
    classifier = LinearClassifier(train.x.shape[1], num_classes, generator=generator).to(device)
    optimizer = make_optimizer(classifier.parameters(), config.optim)
    schedule = make_schedule(optimizer, config.optim)
    x, y, test_x = train.x.to(device), train.y.to(device), test.x.to(device)
    best = 0.0
    for epoch in range(config.optim.epochs):
        schedule.step(epoch)
        for batch in epoch_batches(len(y), config.batch_size, generator):
            loss = F.cross_entropy(classifier(x[batch]), y[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        with torch.inference_mode():
            scores = classifier(test_x).cpu()
        best = max(best, topk_metrics(scores, test.y)["top1"])
    if not scores.isfinite().all():
        raise ScdnetError(
            f"the linear probe has diverged; lower linear.optim.lr ({config.optim.lr})"
        )
    return Probe(scores, best)


def epoch_batches(num: int, batch_size: int, generator: Generator) -> tuple[Tensor, ...]:
    """Indices 0..num-1 in a drawn order, in batches; the last may be smaller."""
    return torch.randperm(num, generator=generator).split(batch_size)
