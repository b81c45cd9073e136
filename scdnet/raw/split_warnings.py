"""Warnings of benchmarks that cannot be used as they are split."""

import sys
from collections.abc import Mapping, Sequence

import numpy as np

# Classes that a warning names.
MAX_NAMED = 5


def warn_of_unseen_classes(
    splits: Mapping[str, np.ndarray], label: np.ndarray, class_names: Sequence[str]
) -> None:
    """Warn of classes of the test split that the training split does not contain."""
    for benchmark, is_train in splits.items():
        is_unseen = ~is_train & ~np.isin(label, label[is_train])
        if not is_unseen.any() or not is_train.any():
            continue
        unseen = [class_names[number] for number in np.unique(label[is_unseen])]
        more = f" and {len(unseen) - MAX_NAMED} more" if len(unseen) > MAX_NAMED else ""
        num_test = (~is_train).sum()
        percent = 100 * is_unseen.sum() / num_test
        print(
            f"warning: benchmark {benchmark}: {is_unseen.sum()} of {num_test} test sequences "
            f"({percent:.0f} %) are of classes without a training sequence, "
            f"{', '.join(unseen[:MAX_NAMED])}{more}: no classifier can get them right",
            file=sys.stderr,
        )


def warn_of_empty_splits(splits: Mapping[str, np.ndarray]) -> None:
    """Warn of benchmarks that cannot be used because all sequences are in the same split."""
    for benchmark, is_train in splits.items():
        if is_train.all() or not is_train.any():
            side = "test" if is_train.all() else "training"
            print(f"warning: benchmark {benchmark} has an empty {side} split", file=sys.stderr)
