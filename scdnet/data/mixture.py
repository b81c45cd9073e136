"""The sequences of one or several stores, and which of them a pretraining draws.

Source: docs/training.md.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from scdnet.config import DataConfig
from scdnet.data.cache import OffsetSequences, open_frames
from scdnet.data.clips import Clips, RankInfo, ViewMaker, make_clips, read_splits, split_rows
from scdnet.data.store import SequenceStore, StoreError, open_sequences
from scdnet.errors import ScdnetError
from scdnet.skeletons import DEFAULT_SKELETON


class TrainingRows(NamedTuple):
    """The sequences of one store that a pretraining on several stores draws."""

    # Sorted indices within the store.
    rows: Tensor  # (n,) int64
    # The number of training sequences that are left out as test sequences of another store.
    num_test: int
    # The number of others that are left out because an earlier store contains them too.
    num_repeated: int


@dataclass(frozen=True, kw_only=True)
class Mixture(ViewMaker):
    """The sequences of one or several stores, end to end."""

    # Each store, by its name.
    stores: Mapping[str, Clips]
    train: tuple[TrainingRows, ...]

    @property
    def store_sha256(self) -> str:
        """Return what identifies the content of all stores: their hashes, with blanks between."""
        return " ".join(clips.store_sha256 for clips in self.stores.values())

    @property
    def num_train(self) -> tuple[int, ...]:
        """Return the number of sequences of each store that are drawn."""
        return tuple(len(train.rows) for train in self.train)

    @property
    def training_sequences(self) -> tuple[Tensor, ...]:
        """Return the sequences (n,) of each store that are drawn, counted through all stores."""
        sizes = [len(clips.name) for clips in self.stores.values()]
        firsts = np.cumsum([0, *sizes[:-1]]).tolist()
        return tuple(train.rows + first for train, first in zip(self.train, firsts, strict=True))


def open_stores(config: DataConfig, stack: ExitStack) -> list[SequenceStore]:
    """Open all stores until `stack` is closed.

    Raises StoreError if one cannot be read, if two have the same content, or other joints.
    """
    stores = [stack.enter_context(open_sequences(path)) for path in config.stores]
    for first, second in combinations(stores, 2):
        if first.content_sha256 == second.content_sha256:
            raise StoreError(
                f"{second.path}: has the same content as {first.path}; "
                "list each store once in data.store"
            )
    for first, second in pairwise(stores):
        _check_same_joints(first, second)
    return stores


def _check_same_joints(first: SequenceStore, second: SequenceStore) -> None:
    if first.skeleton == second.skeleton:
        return
    way_out = "2-D joints cannot be mapped, so train on each alone"
    if first.skeleton.dims == second.skeleton.dims == 3:
        target = DEFAULT_SKELETON.name
        way_out = f"convert the recordings of the other with scdnet prepare ... --to {target}"
        if DEFAULT_SKELETON not in (first.skeleton, second.skeleton):
            way_out = f"convert both sets of recordings with scdnet prepare ... --to {target}"
    raise StoreError(
        f"{second.path}: has the joints of {second.skeleton.name}, but {first.path} those of "
        f"{first.skeleton.name}; stores can only be mixed with the same joints: {way_out}"
    )


def select_training(
    stores: Sequence[SequenceStore], benchmarks: Sequence[str]
) -> tuple[TrainingRows, ...]:
    """Return the sequences of each store that a pretraining on all of them draws.

    They are those of its training split, without any whose name is that of a test sequence of
    another store, and without recordings that an earlier store contains: those with the same name,
    length and first frame. Raises StoreError if a benchmark or its training split is missing.
    """
    splits = [
        split_rows(read_splits(store), benchmark, train=True, path=store.path).numpy()
        for store, benchmark in zip(stores, benchmarks, strict=True)
    ]
    tests = [
        store.table.name[~store.is_train(benchmark)]
        for store, benchmark in zip(stores, benchmarks, strict=True)
    ]
    all_tests = np.concatenate(tests)
    # Sorted indices within each store.
    kept: list[np.ndarray] = []
    selected = []
    for number, (store, rows) in enumerate(zip(stores, splits, strict=True)):
        is_test = np.isin(store.table.name[rows], all_tests)
        own = rows[~is_test]
        is_repeated = np.zeros(len(own), dtype=bool)
        for earlier, others in zip(stores[:number], kept, strict=True):
            is_repeated |= _find_repeated(store, own, earlier, others)
        kept.append(own[~is_repeated])
        selected.append(
            TrainingRows(
                torch.from_numpy(kept[-1]),
                num_test=int(is_test.sum()),
                num_repeated=int(is_repeated.sum()),
            )
        )
    return tuple(selected)


def _find_repeated(
    store: SequenceStore, rows: np.ndarray, other: SequenceStore, other_rows: np.ndarray
) -> np.ndarray:
    """Return which of the sequences `rows` (n,) are recordings that `other` contains, (n,) bool."""
    _, own, theirs = np.intersect1d(
        store.table.name[rows], other.table.name[other_rows], return_indices=True
    )
    is_repeated = np.zeros(len(rows), dtype=bool)
    for i, row, other_row in zip(own, rows[own], other_rows[theirs], strict=True):
        # The same name alone says little: recordings may just be numbered.
        is_repeated[i] = np.array_equal(_describe(store, row), _describe(other, other_row))
    return is_repeated


def _describe(store: SequenceStore, row: int) -> np.ndarray:
    """Return the length of a sequence and its first frame, as one array."""
    start = store.offset[row]
    length = store.offset[row + 1] - start
    return np.append(store.read_frames(start, start + 1), length)


def load_mixture(
    config: DataConfig,
    stream: str,
    device: torch.device,
    *,
    rank_info: RankInfo,
    free: Mapping[str, float],
) -> Mixture:
    """Load the sequences of all stores of `config`, for views made on `device`.

    Raises ScdnetError as `open_stores`, `select_training` and `open_frames` do.
    """
    with ExitStack() as stack:
        stores = open_stores(config, stack)
        train = select_training(stores, config.benchmarks)
        sequences, cache_summary = open_frames(stores, config, device, free=free)
        settings: dict[str, Any] = {
            "device": device,
            "cache_summary": cache_summary,
            "rank_info": rank_info,
            "stream": stream,
        }
        clips = {}
        first = 0
        for (name, section), store in zip(config.store_sections.items(), stores, strict=True):
            own = OffsetSequences(sequences, first)
            clips[name] = make_clips(store, own, config=section, **settings)
            first += len(store)
    return Mixture(
        sequences=sequences,
        name=_name_sequences(clips),
        skeleton=stores[0].skeleton,
        config=config,
        stores=clips,
        train=train,
        **settings,
    )


def _name_sequences(stores: Mapping[str, Clips]) -> np.ndarray:
    """Return the names of all sequences (N,); those of several stores begin with their store."""
    if len(stores) == 1:
        return next(iter(stores.values())).name
    return np.concatenate([np.char.add(f"{name}/", clips.name) for name, clips in stores.items()])


def read_hashes(paths: Sequence[Path]) -> str:
    """Return what identifies the content of the stores at `paths`, as a mixture of them does.

    Raises StoreError.
    """
    hashes = []
    for path in paths:
        with open_sequences(path) as store:
            hashes.append(store.content_sha256)
    return " ".join(hashes)


def apportion(size: int, shares: Sequence[float]) -> list[int]:
    """Divide `size` by `shares`, whose sum is 1, in whole numbers; the largest remainders round up.

    Raises ScdnetError if a share is less than one.
    """
    exact = [size * share for share in shares]
    counts = [int(count) for count in exact]
    largest = sorted(range(len(counts)), key=lambda i: counts[i] - exact[i])
    for i in largest[: size - sum(counts)]:
        counts[i] += 1
    if 0 in counts:
        share = shares[counts.index(0)]
        raise ScdnetError(
            f"data.sampling: a share of {100 * share:.2g} % is less than one of the {size} "
            "sequences of an epoch; raise it, or leave its store out of data.store"
        )
    return counts
