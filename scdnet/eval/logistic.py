"""Logistic regression on stored features, as a regularized probe. Source: docs/evaluation.md."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.eval.features import Features

# Values of C, the inverse of the regularization, to choose from.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
# The fraction of the training sequences on which the choice is made.
HELD_OUT = 0.2
MAX_STEPS = 1000
# The score of a class without training sequences, and the lowest one of others.
LOWEST_SCORE = -1e4


def logistic_scores(train: Features, test: Features, *, num_classes: int, seed: int) -> Tensor:
    """Fit a logistic regression to standardized features; return log-probabilities (N, classes).

    All scores are finite. Raises ScdnetError as `fit_probe` does.
    """
    model = fit_probe(train, seed=seed)
    scores = torch.full((len(test.x), num_classes), LOWEST_SCORE)
    log_probabilities = torch.from_numpy(model.predict_log_proba(test.x.numpy()))
    scores[:, torch.from_numpy(model.classes_)] = log_probabilities.float()
    return scores.clamp(min=LOWEST_SCORE)


def fit_probe(train: Features, *, seed: int) -> Pipeline:
    """Fit a logistic regression whose strength is chosen by the training split.

    Its strength is the one of STRENGTHS that does best on held-out training sequences, never on the
    test split; then it is fitted to all training sequences. Raises ScdnetError if there are too few
    sequences to hold some out.
    """
    x = train.x.numpy()
    y = train.y.numpy()
    if len(y) < 2:
        raise _too_few(len(y))
    counts = np.unique(y, return_counts=True)[1]
    is_stratified = counts.min() > 1 and HELD_OUT * len(y) >= len(counts)
    fit_x, held_x, fit_y, held_y = train_test_split(
        x, y, test_size=HELD_OUT, random_state=seed, stratify=y if is_stratified else None
    )
    if len(np.unique(fit_y)) < 2:
        raise _too_few(len(y))
    accuracy = {
        strength: fit_logistic(fit_x, fit_y, strength).score(held_x, held_y)
        for strength in STRENGTHS
    }
    chosen = max(accuracy, key=accuracy.__getitem__)
    log(
        f"logistic probe: C = {chosen:g}, {100 * accuracy[chosen]:.1f} % "
        "on held-out training sequences"
    )
    return fit_logistic(x, y, chosen)


def to_linear(model: Pipeline) -> tuple[Tensor, Tensor]:
    """Return weight (classes, D) and bias (classes,) that do what a fitted regression does.

    They include its standardization: softmax(weight @ x + bias) are its probabilities for features
    x (D,), in float32.
    """
    scaler = model[0]
    regression = model[1]
    weight = regression.coef_ / scaler.scale_
    bias = regression.intercept_ - weight @ scaler.mean_
    if len(weight) == 1:
        # There is one row for two classes: the difference between their scores.
        weight = np.concatenate([-weight, weight]) / 2
        bias = np.concatenate([-bias, bias]) / 2
    return torch.from_numpy(weight).float(), torch.from_numpy(bias).float()


def _too_few(num_sequences: int) -> ScdnetError:
    return ScdnetError(
        f"linear.probe=logistic: {num_sequences} training sequences are too few to hold some out; "
        "set linear.probe=sgd"
    )


def fit_logistic(x: np.ndarray, y: np.ndarray, strength: float) -> Pipeline:
    """Fit a logistic regression of classes (N,) on features (N, D), which it standardizes.

    `strength` is the inverse of the factor of the L2 penalty.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=MAX_STEPS))
    # Threads of numpy and scipy would mostly wait for each other.
    with threadpool_limits(1, "blas"):
        return model.fit(x, y)
