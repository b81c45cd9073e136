"""The linear probe: one linear layer on stored features. Source: docs/method.md 5.

The evaluation view is fixed and the encoder frozen, so each epoch of the original runs the encoder on the same input to
the same end: here it has run once.
"""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Generator, Tensor
from torch.nn import functional as F

from scdnet.config import LinearConfig
from scdnet.engine.logs import say
from scdnet.engine.optim import make_optimizer, make_schedule
from scdnet.errors import ScdnetError
from scdnet.eval.classification import topk_metrics
from scdnet.eval.features import Features
from scdnet.models.heads import LinearClassifier

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # C of the logistic probe: the inverse of the regularisation
HELD_OUT = 0.2  # of the training sequences, to choose between them
LOGISTIC_STEPS = 1000  # at most


class Probe(NamedTuple):
    """What a probe gives the test sequences."""

    scores: Tensor  # (N, classes) float32 on the CPU, of the last epoch
    best_top1: float | None  # of all epochs, chosen on the test split; None where there are none


def linear_probe(
    train: Features, test: Features, config: LinearConfig, *, num_classes: int, seed: int, device: torch.device
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
        raise ScdnetError(f"the linear probe has diverged; lower linear.optim.lr ({config.optim.lr})")
    return Probe(scores, best)


def epoch_batches(num: int, batch_size: int, generator: Generator) -> tuple[Tensor, ...]:
    """Indices 0..num-1 in a drawn order, in batches; the last may be smaller."""
    return torch.randperm(num, generator=generator).split(batch_size)


def logistic_scores(train: Features, test: Features, *, num_classes: int, seed: int) -> Tensor:
    """Log-probabilities (N, classes) of a logistic regression on standardised features; -inf never: absent classes low.

    Its strength is the one of STRENGTHS that does best on a part of the training sequences which is held out, never the
    test split; then it is fitted to all of them.
    """
    x, y = train.x.numpy(), train.y.numpy()
    counts = train.y.bincount()
    stratify = y if counts[counts > 0].min() > 1 and HELD_OUT * len(y) >= len(counts[counts > 0]) else None
    fit_x, held_x, fit_y, held_y = train_test_split(x, y, test_size=HELD_OUT, random_state=seed, stratify=stratify)
    held_out = {strength: fit_logistic(fit_x, fit_y, strength).score(held_x, held_y) for strength in STRENGTHS}
    chosen = max(held_out, key=held_out.__getitem__)
    say(f"logistic probe: C = {chosen:g}, {100 * held_out[chosen]:.1f} % on held-out training sequences")
    model = fit_logistic(x, y, chosen)
    scores = torch.full((len(test.x), num_classes), -1e4)
    scores[:, torch.from_numpy(model.classes_)] = torch.from_numpy(model.predict_log_proba(test.x.numpy())).float()
    return scores.clamp(min=-1e4)


def fit_logistic(x: np.ndarray, y: np.ndarray, strength: float) -> Pipeline:
    """A logistic regression of classes (N,) on features (N, D), which it standardises; `strength` is one over L2's."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=LOGISTIC_STEPS)).fit(x, y)
