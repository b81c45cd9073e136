"""Logistic regression on stored features, as a probe that is regularised. Source: docs/method.md 5."""

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

STRENGTHS = (
    1e-4,
    1e-3,
    1e-2,
    1e-1,
    1.0,
    10.0,
)  # C of the logistic probe: the inverse of the regularisation
HELD_OUT = 0.2  # of the training sequences, to choose between them
STEPS = 1000  # at most


def logistic_scores(train: Features, test: Features, *, num_classes: int, seed: int) -> Tensor:
    """Log-probabilities (N, classes) of a logistic regression on standardised features; -inf never: absent classes low.

    Its strength is the one of STRENGTHS that does best on a part of the training sequences which is held out, never the
    test split; then it is fitted to all of them. Raises ScdnetError if there are too few sequences for that.
    """
    x, y = train.x.numpy(), train.y.numpy()
    counts = train.y.bincount()
    stratify = (
        y if counts[counts > 0].min() > 1 and HELD_OUT * len(y) >= len(counts[counts > 0]) else None
    )
    fit_x, held_x, fit_y, held_y = train_test_split(
        x, y, test_size=HELD_OUT, random_state=seed, stratify=stratify
    )
    if len(np.unique(fit_y)) < 2:
        raise ScdnetError(
            f"linear.probe=logistic: {len(y)} training sequences are too few to hold some out; use sgd"
        )
    held_out = {
        strength: fit_logistic(fit_x, fit_y, strength).score(held_x, held_y)
        for strength in STRENGTHS
    }
    chosen = max(held_out, key=held_out.__getitem__)
    log(
        f"logistic probe: C = {chosen:g}, {100 * held_out[chosen]:.1f} % on held-out training sequences"
    )
    model = fit_logistic(x, y, chosen)
    scores = torch.full((len(test.x), num_classes), -1e4)
    scores[:, torch.from_numpy(model.classes_)] = torch.from_numpy(
        model.predict_log_proba(test.x.numpy())
    ).float()
    return scores.clamp(min=-1e4)


def fit_logistic(x: np.ndarray, y: np.ndarray, strength: float) -> Pipeline:
    """A logistic regression of classes (N,) on features (N, D), which it standardises; `strength` is one over L2's."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=STEPS))
    with threadpool_limits(
        1, "blas"
    ):  # with more, numpy's and scipy's threads wait for one another most of the time
        return model.fit(x, y)
