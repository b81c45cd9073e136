"""The scores of the encoder during a pretraining, on each of its stores."""

from collections.abc import Callable, Mapping
from functools import partial

from scdnet.data.clips import Clips
from scdnet.engine.logs import Metrics, log
from scdnet.models.encoder import DualPathEncoder

# Computes metrics of an encoder on the clips of a store.
StoreScore = Callable[[DualPathEncoder, Clips], Metrics]


def make_score(
    score: StoreScore, stores: Mapping[str, Clips]
) -> Callable[[DualPathEncoder], Metrics] | None:
    """Return `score` on those stores that can be evaluated, with a warning for each of the others.

    Returns None if there are none.
    """
    usable = {}
    for name, clips in stores.items():
        missing = _find_missing(clips)
        if missing:
            log(f"warning: {clips.store}: {missing}, so eval_every has no effect")
        else:
            usable[name] = clips
    has_several = len(stores) > 1
    return partial(score_each, score, usable, has_several=has_several) if usable else None


def _find_missing(clips: Clips) -> str:
    """Return what an evaluation of a store lacks; nothing if it is complete."""
    if not clips.has_test_split:
        return f"benchmark {clips.benchmark!r} has no test split"
    labels = clips.label.unique()
    if len(labels) < 2:
        return f"all sequences have the class {clips.class_names[int(labels[0])]!r}"
    return ""


def score_each(
    score: StoreScore, stores: Mapping[str, Clips], encoder: DualPathEncoder, *, has_several: bool
) -> Metrics:
    """Return the mean of each metric over the stores; of several, also `metric/store` of each.

    Each store counts alike, however large it is: a benchmark is one number.
    """
    scores = {name: score(encoder, clips) for name, clips in stores.items()}
    metrics = list(scores.values())
    means = {key: sum(own[key] for own in metrics) / len(metrics) for key in metrics[0]}
    if not has_several:
        return means
    return means | {
        f"{key}/{name}": value for name, own in scores.items() for key, value in own.items()
    }
