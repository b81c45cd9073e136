"""What a sequence store holds, as text for a terminal."""

from collections.abc import Collection, Sequence

import numpy as np
from tqdm import tqdm

from scdnet.data.store import SequenceStore
from scdnet.raw.datasets import NTU_DATASETS, SplitSizes

BLOCK_FRAMES = 8192  # 5 MB read at a time
WIDTH = 100  # columns of the terminal
GAP, INNER_GAP = (
    "   ",
    "  ",
)  # between two cells that stand beside each other, and between the columns of a table
FEW_CLASSES = 40  # stand in two columns, more in three, with shorter names
PERCENTILES = {"min": 0, "5 %": 5, "25 %": 25, "median": 50, "75 %": 75, "95 %": 95, "max": 100}
PLURALS = {
    "subject": "subjects",
    "camera": "cameras",
    "setup": "setups",
}  # columns of the table: who and where
UNKNOWN = -1  # in these columns


def find_two_bodies(store: SequenceStore) -> np.ndarray:
    """(N,) bool: True where body 1 is there in some frame."""
    num_frames = int(store.offset[-1])
    is_there = np.empty(num_frames, dtype=bool)
    blocks = range(0, num_frames, BLOCK_FRAMES)
    for first in tqdm(blocks, desc="looking for second bodies", delay=2, leave=False, disable=None):
        block = store.read_frames(first, first + BLOCK_FRAMES)[:, 1]  # (F, V, C)
        is_there[first : first + len(block)] = (block != 0).reshape(len(block), -1).any(axis=1)
    return np.logical_or.reduceat(is_there, store.offset[:-1])


def describe(store: SequenceStore) -> str:
    """Sizes, lengths, splits, and how many sequences there are of each subject, camera, setup and class."""
    parts = [_describe_size(store), _describe_lengths(store), _describe_splits(store)]
    parts += [
        _describe_numbers(plural, getattr(store.table, column))
        for column, plural in PLURALS.items()
    ]
    parts.append(_describe_classes(store))
    return "\n\n".join("\n".join(lines) for lines in parts)


def compare_with_published(store: SequenceStore) -> list[str]:
    """A line for each benchmark whose splits have not the sizes that are published for the store's data set."""
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


def _describe_size(store: SequenceStore) -> list[str]:
    num_two = int(find_two_bodies(store).sum())
    return [
        f"{store.path}: {store.dataset}",
        f"{_sequences(len(store))}, {num_two:,} of them ({_percent(num_two, len(store))}) with two bodies; "
        f"{store.offset[-1]:,} frames",
    ]


def _describe_lengths(store: SequenceStore) -> list[str]:
    lengths = np.diff(store.offset)
    values = [
        *np.percentile(lengths, list(PERCENTILES.values()), method="inverted_cdf"),
        lengths.mean(),
    ]
    return _align(
        [["", *PERCENTILES, "mean"], ["frames a sequence", *(f"{value:,.0f}" for value in values)]],
        left={0},
    )


def _describe_splits(store: SequenceStore) -> list[str]:
    if not store.benchmarks:
        return ["no benchmark"]
    rows = [["benchmark", "split", "sequences", "share", "classes", *PLURALS.values()]]
    for benchmark in store.benchmarks:
        is_train = store.is_train(benchmark)
        for split, is_member in (("training", is_train), ("test", ~is_train)):
            size = int(is_member.sum())
            kinds = [
                _count_kinds(getattr(store.table, column)[is_member])
                for column in ("label", *PLURALS)
            ]
            rows.append([benchmark, split, f"{size:,}", _percent(size, len(store)), *kinds])
    return _align(rows, left={0, 1})


def _count_kinds(values: np.ndarray) -> str:
    known = np.unique(values[values != UNKNOWN])
    return "unknown" if len(values) and not len(known) else str(len(known))


def _describe_numbers(plural: str, values: np.ndarray) -> list[str]:
    numbers, counts = np.unique(values[values != UNKNOWN], return_counts=True)
    if not len(numbers):
        return [f"{plural}: unknown"]
    num_unknown = len(values) - counts.sum()
    unknown = f", unknown of {_sequences(num_unknown)}" if num_unknown else ""
    rows = [[f"{number}:", f"{count:,}"] for number, count in zip(numbers, counts, strict=True)]
    return [
        f"{plural}: {len(numbers)} with {_spread(counts)}{unknown}",
        *_side_by_side(_align(rows)),
    ]


def _describe_classes(store: SequenceStore) -> list[str]:
    counts = np.bincount(store.table.label, minlength=len(store.class_names))
    labels = np.flatnonzero(counts)
    num_empty = len(counts) - len(labels)
    empty = f", {num_empty} with none" if num_empty else ""
    title = f"classes, counted from 1 (class 1 is label 0): {len(labels)} with {_spread(counts[labels])}{empty}"
    columns = 2 if len(labels) <= FEW_CLASSES else 3
    rest = INNER_GAP.join(
        [f"{labels[-1] + 1}", "", f"{counts.max():,}"]
    )  # the widest cell but for its name
    room = (WIDTH + len(GAP)) // columns - len(GAP) - len(rest)
    rows = [
        [f"{label + 1}", _shorten(store.class_names[label], room), f"{counts[label]:,}"]
        for label in labels
    ]
    return [title, *_side_by_side(_align(rows, left={1}))]


def _shorten(name: str, width: int) -> str:
    name = " ".join(name.split())
    return name if len(name) <= width else name[: width - 1].rstrip() + "…"


def _spread(counts: np.ndarray) -> str:
    low, high = counts.min(), counts.max()
    if low == high:
        return f"{_sequences(low)} each"
    return f"{low:,} to {_sequences(high)} (median {np.median(counts):,.0f})"


def _sequences(count: int) -> str:
    return f"{count:,} sequence{'' if count == 1 else 's'}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _align(rows: Sequence[Sequence[str]], *, left: Collection[int] = ()) -> list[str]:
    """Rows of cells as lines of equal length; the columns in `left` begin at the left, the others end at the right."""
    columns = []
    for place, column in enumerate(zip(*rows, strict=True)):
        pad, width = str.ljust if place in left else str.rjust, max(map(len, column))
        columns.append([pad(cell, width) for cell in column])
    return [INNER_GAP.join(row) for row in zip(*columns, strict=True)]


def _side_by_side(cells: Sequence[str]) -> list[str]:
    """Cells of equal width, filled column by column, as many beside each other as the terminal takes."""
    columns = (WIDTH + len(GAP)) // (len(cells[0]) + len(GAP))
    rows = -(-len(cells) // max(1, columns))
    return [GAP.join(cells[row::rows]) for row in range(rows)]
