"""Sequences of a store as evaluations need them: labels, splits and features."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scdnet.data.clips import read_splits, split_rows
from scdnet.data.store import open_sequences
from scdnet.errors import ScdnetError
from scdnet.eval.features import Features
from scdnet.results.record import EncoderRecord
from scdnet.skeleton import Skeleton

# Features are those of one sequence if they differ by less than this fraction of their length:
# bf16 differs from fp32 by 2 %, two sequences by 10 % and more.
SAME_SEQUENCE = 0.05


@dataclass(frozen=True)
class StoreTable:
    """A row for each sequence of a store, in its order."""

    store: str
    # The hash of its content.
    store_sha256: str
    skeleton: Skeleton
    dataset: str
    class_names: tuple[str, ...]
    name: np.ndarray  # (N,) str, sorted
    label: Tensor  # (N,) int64
    # The keys are benchmarks.
    is_train: dict[str, Tensor]  # (N,) bool

    @property
    def num_occurring(self) -> int:
        """Return the number of classes that have a sequence."""
        return len(self.label.unique())

    def require_labels(self) -> None:
        """Raise ScdnetError if all sequences have the same class, as unlabeled ones do."""
        if self.num_occurring < 2:
            only = self.class_names[int(self.label[0])]
            raise ScdnetError(
                f"{self.store}: all {len(self.label)} sequences have the class {only!r}, but "
                "evaluations need labels: convert the recordings again, with --table or "
                "--labels-from folder"
            )

    def rows(self, benchmark: str, *, train: bool) -> Tensor:
        """Return the sorted indices of one split of a benchmark.

        Raises ScdnetError if there is no such benchmark, or no row.
        """
        return split_rows(self.is_train, benchmark, train=train, path=self.store)


@dataclass(frozen=True)
class EncodedTable(StoreTable):
    """The sequences of a store, the origin of their features, and how they are extracted."""

    encoder: EncoderRecord
    # The result of `extraction_settings`.
    settings: dict[str, Any]

    @property
    def encoder_identity(self) -> tuple[object, ...]:
        """Return what distinguishes the encoder from others; for a baseline, also its settings."""
        encoder = self.encoder
        return (
            encoder.checkpoint_sha256,
            encoder.stream,
            encoder.feature_level,
            encoder.baseline and (encoder.baseline, encoder.seed, self.settings),
        )


@dataclass(frozen=True)
class FeatureTable(EncodedTable):
    """The features of all sequences of a store, and how they were extracted."""

    x: Tensor  # (N, 2D) float32 on the CPU

    @property
    def width(self) -> int:
        """Return the number of features of a sequence."""
        return self.x.shape[1]

    def features(self, rows: Tensor) -> Features:
        """Return the features and classes of `rows` (n,)."""
        return Features(self.x[rows], self.label[rows])


@dataclass(frozen=True)
class LazyFeatures(EncodedTable):
    """The features of all sequences of a store, extracted when they are first used."""

    width: int
    # Returns the features (N, width).
    compute: Callable[[], Tensor]

    def features(self, rows: Tensor) -> Features:
        """Return the features and classes of `rows` (n,)."""
        return Features(self.compute()[rows], self.label[rows])


def read_store_table(path: Path) -> StoreTable:
    """Read everything of a store but its frames. Raises StoreError."""
    with open_sequences(path) as store:
        return StoreTable(
            store=str(path),
            store_sha256=store.content_sha256,
            skeleton=store.skeleton,
            dataset=store.dataset,
            class_names=store.class_names,
            name=store.table.name,
            label=torch.from_numpy(store.table.label),
            is_train=read_splits(store),
        )


def cross_dataset_gallery(
    other: FeatureTable, table: FeatureTable, queries: Tensor
) -> tuple[Features, Tensor]:
    """Match another dataset to this one by the names of classes.

    Returns the features of `other` that have a class of `table`, with the class ids of `table`, and
    those of the rows `queries` (n,) whose class occurs there. Raises ScdnetError if there are none,
    if the encoders differ, or if a sequence is both a query and in the gallery.
    """
    pair = f"{other.store} and {table.store}"
    if other.x.shape[1:] != table.x.shape[1:] or other.encoder_identity != table.encoder_identity:
        raise ScdnetError(f"{pair}: expected features of the same encoder")
    if other.skeleton != table.skeleton:
        # Raw views have no encoder, so nothing else tells 25 joints from 25 others.
        raise ScdnetError(
            f"{pair}: expected the same joints, found those of {other.skeleton.name} and "
            f"{table.skeleton.name}"
        )
    _check_disjoint(other, table, queries)
    own = {name: number for number, name in enumerate(table.class_names)}
    translated = torch.tensor([own.get(name, -1) for name in other.class_names])[other.label]
    is_known = translated >= 0
    common = translated[is_known].unique()
    queries = queries[torch.isin(table.label[queries], common)]
    if not len(queries):
        raise ScdnetError(f"{pair}: they have no class name in common")
    return Features(other.x[is_known], translated[is_known]), queries


def _check_disjoint(other: FeatureTable, table: FeatureTable, queries: Tensor) -> None:
    """Raise ScdnetError if a sequence of `other` is also a query.

    The features decide, as sequences of two datasets may have the same name.
    """
    query_names = table.name[queries]
    names, their_rows, our_rows = np.intersect1d(other.name, query_names, return_indices=True)
    theirs = other.x[their_rows]
    ours = table.x[queries[our_rows]]
    is_same = ((theirs - ours).norm(dim=1) < SAME_SEQUENCE * ours.norm(dim=1)).numpy()
    if is_same.any():
        raise ScdnetError(
            f"{other.store}: {is_same.sum()} of its sequences are also queries, "
            f"such as {names[is_same][0]}"
        )
