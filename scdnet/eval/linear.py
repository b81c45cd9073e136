"""The linear probe: one linear layer on stored features. Source: docs/evaluation.md.

The evaluation view is fixed and the encoder frozen, so the original, which runs the encoder in each
epoch, trains on the same features. Here the encoder has run once.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from scdnet.config import LinearConfig
from scdnet.engine.optim import make_optimizer, make_schedule
from scdnet.errors import ScdnetError
from scdnet.eval.features import Features
from scdnet.eval.logistic import logistic_scores
from scdnet.memory import memory_advice
from scdnet.models.heads import LinearClassifier
from scdnet.results.scores import BEST_ON_TEST, Outcome, topk_metrics

# The width of features from which on `auto` is `sgd`: the paper's rate is made for 4096 of them.
MIN_SGD_WIDTH = 1024


def resolve_probe(config: LinearConfig, width: int) -> LinearConfig:
    """Return the config with the kind of probe that `auto` is for features of this width."""
    if config.probe != "auto":
        return config
    return config.model_copy(update={"probe": "sgd" if width >= MIN_SGD_WIDTH else "logistic"})


@memory_advice("lower linear.batch_size or, if it is a GPU, use device=cpu")
def linear_probe(
    train: Features,
    test: Features,
    config: LinearConfig,
    *,
    num_classes: int,
    seed: int,
    device: torch.device,
) -> Outcome:
    """Train a probe on `train` and evaluate it on `test`. Raises ScdnetError if it diverges."""
    config = resolve_probe(config, train.x.shape[1])
    if config.probe == "logistic":
        scores = logistic_scores(train, test, num_classes=num_classes, seed=seed)
        return Outcome(topk_metrics(scores, test.y), scores)
    generator = torch.Generator().manual_seed(seed)
    classifier = LinearClassifier(train.x.shape[1], num_classes, generator=generator).to(device)
    optimizer = make_optimizer(classifier.parameters(), config.optim)
    schedule = make_schedule(optimizer, config.optim)
    x = train.x.to(device)
    y = train.y.to(device)
    test_x = test.x.to(device)
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
        metrics = topk_metrics(scores, test.y)
        best = max(best, metrics["top1"])
    if not scores.isfinite().all():
        raise ScdnetError(f"the linear probe diverged; lower linear.optim.lr ({config.optim.lr})")
    return Outcome({**metrics, BEST_ON_TEST: best}, scores)


def epoch_batches(num: int, batch_size: int, generator: Generator) -> tuple[Tensor, ...]:
    """Split the indices 0..num-1, in random order, into batches; the last may be smaller."""
    return torch.randperm(num, generator=generator).split(batch_size)
