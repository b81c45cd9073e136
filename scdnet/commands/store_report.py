"""The content of a sequence store as text for a terminal."""

from textwrap import fill

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from scdnet.data.store import SequenceStore
from scdnet.raw.datasets import NTU_DATASETS, SplitSizes

WIDTH = 100  # columns
PERCENTILES = {"min": 0, "5 %": 5, "25 %": 25, "median": 50, "75 %": 75, "95 %": 95, "max": 100}
# The columns of a store's table that identify who and where, with the headings of their counts.
PLURALS = {"subject": "subjects", "camera": "cameras", "setup": "setups"}
# The value in these columns where it is not known.
UNKNOWN = -1


def has_two_bodies(store: SequenceStore) -> np.ndarray:
    """Return (N,) bool: True where body 1 is present in some frame of the sequence."""
    blocks = tqdm(
        store.frame_blocks(), desc="looking for second bodies", delay=2, leave=False, disable=None
    )
    is_present = np.concatenate([(block[:, 1] != 0).any(axis=(1, 2)) for block in blocks])
    return np.logical_or.reduceat(is_present, store.offset[:-1])


def describe(store: SequenceStore) -> str:
    """Describe sizes, lengths and splits, and count subjects, cameras, setups and classes."""
    num_two = has_two_bodies(store).sum()
    size = (
        f"{store.path}: {store.dataset}, {_skeleton(store)}\n"
        f"{_sequences(len(store))}, {num_two:,} of them "
        f"({100 * num_two / len(store):.1f} %) with two bodies; {store.offset[-1]:,} frames"
    )
    lengths = np.diff(store.offset)
    percentiles = np.percentile(lengths, list(PERCENTILES.values()), method="inverted_cdf")
    length = tabulate(
        [["frames per sequence", *percentiles, round(lengths.mean())]],
        headers=["", *PERCENTILES, "mean"],
        intfmt=",",
    )
    counts = [_describe_counts(column, getattr(store.table, column)) for column in PLURALS]
    return "\n\n".join([size, length, _describe_splits(store), *counts, _describe_classes(store)])


def _skeleton(store: SequenceStore) -> str:
    skeleton = store.skeleton
    return f"{skeleton.num_joints} joints of {skeleton.name} ({skeleton.dims}-D)"


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


def _describe_splits(store: SequenceStore) -> str:
    if not store.benchmarks:
        return "no benchmark"
    rows = []
    for benchmark in store.benchmarks:
        is_train = store.is_train(benchmark)
        for split, is_member in (("training", is_train), ("test", ~is_train)):
            distinct = []
            for column in ("label", *PLURALS):
                values = set(getattr(store.table, column)[is_member].tolist())
                distinct.append("unknown" if values == {UNKNOWN} else len(values - {UNKNOWN}))
            rows.append(
                [benchmark, split, is_member.sum(), f"{100 * is_member.mean():.1f} %", *distinct]
            )
    headers = ["benchmark", "split", "sequences", "share", "classes", *PLURALS.values()]
    alignment = ["left", "left", *["right"] * (len(headers) - 2)]
    return tabulate(rows, headers=headers, colalign=alignment, intfmt=",")


def _describe_counts(column: str, values: np.ndarray) -> str:
    numbers, counts = np.unique(values[values != UNKNOWN], return_counts=True)
    if not len(numbers):
        return f"{PLURALS[column]}: unknown"
    num_unknown = len(values) - counts.sum()
    unknown = f", unknown for {_sequences(num_unknown)}" if num_unknown else ""
    each = [f"{number}:{count:,}" for number, count in zip(numbers, counts, strict=True)]
    title = f"{PLURALS[column]}: {len(numbers)} with {_range(counts)}{unknown}"
    return f"{title}\n{fill('   '.join(each), WIDTH)}"


def _describe_classes(store: SequenceStore) -> str:
    counts = np.bincount(store.table.label, minlength=len(store.class_names))
    labels = np.flatnonzero(counts)
    num_empty = len(counts) - len(labels)
    empty = f", {num_empty} with none" if num_empty else ""
    rows = [
        [label + 1, " ".join(store.class_names[label].split()), counts[label]] for label in labels
    ]
    table = tabulate(
        rows,
        headers=["class", "name", "sequences"],
        colalign=["right", "left", "right"],
        intfmt=",",
        disable_numparse=[1],
    )
    title = f"classes, counted from 1 (class 1 is label 0): {len(labels)}"
    return f"{title} with {_range(counts[labels])}{empty}\n{table}"


def _range(counts: np.ndarray) -> str:
    if counts.min() == counts.max():
        return f"{_sequences(counts[0])} each"
    median = np.median(counts)
    return f"{counts.min():,} to {_sequences(counts.max())} (median {median:,.0f})"


def _sequences(count: int) -> str:
    return f"{count:,} sequence{'' if count == 1 else 's'}"
