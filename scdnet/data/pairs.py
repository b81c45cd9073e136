"""Pairs of sequences of one class, where the two views of a pair show different ones.

Source: Khosla et al. 2020, sec. 3.2, without its further positives; docs/training.md.
"""

import torch
from torch import Generator, Tensor

from scdnet.data.clips import Clips
from scdnet.data.mixture import Mixture
from scdnet.errors import ScdnetError


class PairSampler:
    """Draws a partner for each sequence: another one of its group, or itself where it is alone."""

    def __init__(self, groups: Tensor) -> None:
        """Take the group (N,) int64 of each sequence."""
        # Sequences of a group lie side by side.
        self._order = groups.argsort(stable=True)
        _, group, counts = groups.unique(return_inverse=True, return_counts=True)
        self._size = counts[group]
        self._first = (counts.cumsum(0) - counts)[group]
        place = torch.empty_like(self._order)
        place[self._order] = torch.arange(len(groups))
        self._place_in_group = place - self._first

    def sample(self, index: Tensor, generator: Generator) -> Tensor:
        """Draw the partners (n,) of the sequences `index` (n,); all others are equally likely."""
        size = self._size[index]
        others = (size - 1).clamp(min=1)
        draw = torch.rand(len(index), generator=generator, dtype=torch.float64)
        step = 1 + (draw * others).long()
        place = (self._place_in_group[index] + step) % size
        return self._order[self._first[index] + place]


def make_pair_sampler(mixture: Mixture) -> PairSampler | None:
    """Return what draws the second sequence of each pair; None if both views show the same one.

    Raises ScdnetError if `data.positives` asks for pairs of a class in a store that has none.
    """
    positives = mixture.config.positives_by_store
    if set(positives) == {"sequence"}:
        return None
    # A sequence that is paired with itself is a group of its own.
    groups = torch.arange(len(mixture.name))
    first_group = len(groups)
    parts = zip(
        mixture.stores.values(), mixture.train, mixture.training_sequences, positives, strict=True
    )
    for clips, train, sequences, choice in parts:
        if choice == "class":
            labels = clips.label[train.rows]
            _check_classes(clips, labels)
            groups[sequences] = first_group + labels
            first_group += len(clips.class_names)
    return PairSampler(groups)


def _check_classes(clips: Clips, labels: Tensor) -> None:
    """Raise ScdnetError if the training sequences of classes `labels` (n,) have no pairs."""
    num_classes = len(labels.unique())
    if 1 < num_classes < len(labels):
        return
    found = "one class" if num_classes == 1 else "no two of the same class"
    raise ScdnetError(
        f"{clips.store}: data.positives=class pairs training sequences of the same class, expected "
        f"several classes and two sequences of one, found {found}; "
        "set data.positives=sequence for it"
    )
