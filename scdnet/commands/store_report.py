"""The content of a sequence store as text for a terminal."""

from collections.abc import Collection
from textwrap import fill

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from scdnet.data.store import SequenceStore
from scdnet.raw.datasets import NTU_DATASETS, SplitSizes

BLOCK_FRAMES = 8192  # 5 MB
WIDTH = 100  # columns
PERCENTILES = {"min": 0, "5 %": 5, "25 %": 25, "median": 50, "75 %": 75, "95 %": 95, "max": 100}
# The columns of a store's table that identify who and where, with the headings of their counts.
PLURALS = {"subject": "subjects", "camera": "cameras", "setup": "setups"}
# The value in these columns where it is not known.
UNKNOWN = -1


def has_two_bodies(store: SequenceStore) -> np.ndarray:
    """Return (N,) bool: True where body 1 is present in some frame of the sequence."""
    num_frames = int(store.offset[-1])
    is_present = np.empty(num_frames, dtype=bool)
    blocks = range(0, num_frames, BLOCK_FRAMES)
    for first in tqdm(blocks, desc="looking for second bodies", delay=2, leave=False, disable=None):
        block = store.read_frames(first, first + BLOCK_FRAMES)[:, 1]  # (F, V, C)
        is_present[first : first + len(block)] = (block != 0).any(axis=(1, 2))
    return np.logical_or.reduceat(is_present, store.offset[:-1])


def describe(store: SequenceStore) -> str:
    """Describe sizes, lengths and splits, and count subjects, cameras, setups and classes."""
    counts = [_describe_counts(column, getattr(store.table, column)) for column in PLURALS]
    return "\n\n".join(
        [
            _describe_size(store),
            _describe_lengths(store),
            _describe_splits(store),
            *counts,
            _describe_classes(store),
        ]
    )


def compare_with_published(store: SequenceStore) -> list[str]:
    """Return a line for each benchmark whose splits differ in size from the published dataset."""
    published = NTU_DATASETS[store.dataset].sizes if store.dataset in NTU_DATASETS else {}
    lines = []
    for benchmark in store.benchmarks:
        is_train = store.is_train(benchmark)
        found = SplitSizes(train=int(is_train.sum()), test=int((~is_train).sum()))
        expected = published.get(benchmark, found)
        if found != expected:
            lines.append(
                f"{benchmark} has {found.train:,} training and {found.test:,} test sequences, "
                f"not the {expected.train:,} and {expected.test:,} of the published {store.dataset}"
            )
    return lines


def _describe_size(store: SequenceStore) -> str:
    num_two = int(has_two_bodies(store).sum())
    return (
        f"{store.path}: {store.dataset}\n"
        f"{_sequences(len(store))}, {num_two:,} of them ({_percent(num_two, len(store))}) "
        f"with two bodies; {store.offset[-1]:,} frames"
    )


def _describe_lengths(store: SequenceStore) -> str:
    lengths = np.diff(store.offset)
    percentiles = np.percentile(lengths, list(PERCENTILES.values()), method="inverted_cdf")
    values = [f"{value:,.0f}" for value in (*percentiles, lengths.mean())]
    return _table([["frames per sequence", *values]], ["", *PERCENTILES, "mean"], left=[""])


def _describe_splits(store: SequenceStore) -> str:
    if not store.benchmarks:
        return "no benchmark"
    rows = []
    for benchmark in store.benchmarks:
        is_train = store.is_train(benchmark)
        for split, is_member in (("training", is_train), ("test", ~is_train)):
            size = int(is_member.sum())
            columns = [getattr(store.table, column)[is_member] for column in ("label", *PLURALS)]
            distinct = [_count_distinct(values) for values in columns]
            rows.append([benchmark, split, f"{size:,}", _percent(size, len(store)), *distinct])
    headers = ["benchmark", "split", "sequences", "share", "classes", *PLURALS.values()]
    return _table(rows, headers, left=["benchmark", "split"])


def _count_distinct(values: np.ndarray) -> str:
    known = np.unique(values[values != UNKNOWN])
    return "unknown" if len(values) and not len(known) else str(len(known))


def _describe_counts(column: str, values: np.ndarray) -> str:
    numbers, counts = np.unique(values[values != UNKNOWN], return_counts=True)
    if not len(numbers):
        return f"{PLURALS[column]}: unknown"
    num_unknown = len(values) - counts.sum()
    unknown = f", unknown for {_sequences(num_unknown)}" if num_unknown else ""
    title = f"{PLURALS[column]}: {len(numbers)} with {_range(counts)}{unknown}"
    each = [f"{number}:{count:,}" for number, count in zip(numbers, counts, strict=True)]
    return f"{title}\n{fill('   '.join(each), WIDTH)}"


def _describe_classes(store: SequenceStore) -> str:
    counts = np.bincount(store.table.label, minlength=len(store.class_names))
    labels = np.flatnonzero(counts)
    num_empty = len(counts) - len(labels)
    empty = f", {num_empty} with none" if num_empty else ""
    rows = [
        [str(label + 1), " ".join(store.class_names[label].split()), f"{counts[label]:,}"]
        for label in labels
    ]
    title = f"classes, counted from 1 (class 1 is label 0): {len(labels)}"
    table = _table(rows, ["class", "name", "sequences"], left=["name"])
    return f"{title} with {_range(counts[labels])}{empty}\n{table}"


def _table(rows: list[list[str]], headers: list[str], *, left: Collection[str]) -> str:
    """Format rows below their headers; the columns of `left` are aligned left, the others right."""
    alignment = ["left" if header in left else "right" for header in headers]
    return tabulate(rows, headers=headers, colalign=alignment, disable_numparse=True)


def _range(counts: np.ndarray) -> str:
    low = counts.min()
    high = counts.max()
    if low == high:
        return f"{_sequences(low)} each"
    return f"{low:,} to {_sequences(high)} (median {np.median(counts):,.0f})"


def _sequences(count: int) -> str:
    return f"{count:,} sequence{'' if count == 1 else 's'}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"
