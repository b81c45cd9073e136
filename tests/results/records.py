"""Records and scores that tests of results share."""

import numpy as np

from scdnet.results.record import EvaluationRecord, Result
from scdnet.results.scores import Scores

BASE = {
    "protocol": "linear",
    "dataset": "ntu60",
    "benchmark": "xsub",
    "stream": "joint",
    "num_test": 16,
    "seed": 0,
    "epoch": 451,
    "feature_level": 4,
    "checkpoint": "runs/seed0/last.pt",
    "checkpoint_sha256": "a0" * 32,
    "pretrained_on": "ntu60",
    "store_sha256": "5" * 64,
    "probe": "sgd",
    "config": "configs/ntu60_xsub.yaml",
}
RANDOM_INIT = {
    "baseline": "random-init",
    "checkpoint": None,
    "checkpoint_sha256": None,
    "pretrained_on": None,
    "epoch": 0,
}
RAW = {**RANDOM_INIT, "baseline": "raw", "seed": None, "epoch": None}


def make_record(**changes: object) -> EvaluationRecord:
    return EvaluationRecord(**{**BASE, **changes})


def make_result(value: float, **changes: object) -> Result:
    return Result(**{**BASE, "metric": "top1", "value": value, **changes})


def make_scores(scores: np.ndarray, label: np.ndarray, classes: str, **changes: object) -> Scores:
    names = np.array([f"sequence {i:03}" for i in range(len(label))])
    record = make_record(num_test=len(label), **changes)
    return Scores(scores.astype(np.float32), names, label, tuple(classes), record)
