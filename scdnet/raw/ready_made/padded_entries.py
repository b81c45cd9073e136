"""From padded arrays and what lies beside them to the entries of one dataset."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from scdnet.raw.convert import Rejection
from scdnet.raw.datasets import CLASSES, NTU_DATASETS, class_names
from scdnet.raw.raw_files import RawFileError
from scdnet.raw.ready_made.arrays import ArrayFile
from scdnet.raw.ready_made.entries import Entry, ReadyMade
from scdnet.raw.ready_made.ntu_names import official_splits
from scdnet.raw.ready_made.padded import Part
from scdnet.raw.ready_made.sequence_names import (
    UNKNOWN_BENCHMARK,
    SequenceName,
    find_benchmark,
    find_pku_part,
)
from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25

# The dataset where nothing tells it.
UNKNOWN_DATASET = "unknown"

# Reads bodies (M, T, V, C) from the array of a part, a row of it, and its number of frames or -1.
RowReader = Callable[[ArrayFile, int, int], np.ndarray]


def find_dataset(parts: Sequence[Part]) -> str:
    """Return the dataset that all parts are of. Raises RawFileError if they differ."""
    found = {name.dataset for part in parts for name in part.names or ()} - {""}
    if "ntu120" in found:
        # The recordings of NTU-60 are a part of it.
        found.discard("ntu60")
    if len(found) > 1:
        raise RawFileError(
            parts[0].where,
            0,
            f"expected sequences of one dataset, found {', '.join(sorted(found))}; "
            f"import them one by one",
        )
    if found:
        return found.pop()
    return _dataset_of_paths([part.where for part in parts])


def _dataset_of_paths(paths: Sequence[str]) -> str:
    """Return the dataset that the paths tell, the last part of each first."""
    for path in paths:
        for folder in reversed(path.replace("\\", "/").lower().split("/")):
            if part := find_pku_part(folder):
                return part
            if "ntu" in folder:
                return "ntu120" if "120" in folder else "ntu60"
    return UNKNOWN_DATASET


def find_classes(dataset: str, parts: Sequence[Part]) -> tuple[str, ...]:
    """Return the class names of a dataset; numbers if it is unknown."""
    if dataset in CLASSES:
        return class_names(dataset)
    labels = {label for part in parts for label in part.labels}
    return tuple(map(str, range(max(labels, default=0) + 1)))


def make_ready_made(
    parts: Sequence[Part],
    rejected: Sequence[Rejection],
    *,
    read_bodies: RowReader,
    finish: Callable[[np.ndarray, Skeleton], np.ndarray],
    source_processing: str,
) -> ReadyMade:
    """Unite parts of one dataset.

    Raises RawFileError if they are of several, or those of different benchmarks have no names.
    """
    dataset = find_dataset(parts)
    check_names(parts, dataset)
    entries: list[Entry] = []
    rejected = list(rejected)
    for part in parts:
        found, faults = make_entries(part, read_bodies, dataset=dataset)
        entries += found
        rejected += faults
    return ReadyMade(
        dataset=dataset,
        skeleton=NTU_25,
        class_names=find_classes(dataset, parts),
        entries=entries,
        rejected=rejected,
        source_processing=source_processing,
        finish=finish,
    )


def check_names(parts: Sequence[Part], dataset: str) -> None:
    """Raise RawFileError if sequences of two benchmarks could not be told to be the same."""
    unnamed = [part for part in parts if part.names is None]
    benchmarks = sorted({benchmark_of(part, dataset) for part in parts})
    if unnamed and len(benchmarks) > 1:
        raise RawFileError(
            unnamed[0].where,
            0,
            f"contains no names, so that the sequences of {', '.join(benchmarks)} cannot be "
            f"united; give --names, or import each alone",
        )


def make_entries(
    part: Part, read_bodies: RowReader, *, dataset: str
) -> tuple[list[Entry], list[Rejection]]:
    """Describe the sequences of a part, and reject those whose name and label differ."""
    benchmark = benchmark_of(part, dataset)
    names = part.names or number_sequences(part, benchmark)
    entries = []
    rejected = []
    for row, (name, label) in enumerate(zip(names, part.labels, strict=True)):
        if name.label not in (None, label):
            reason = f"{name.name}: expected label {name.label}, as in the name, found {label}"
            rejected.append(Rejection(part.where, 0, reason))
            continue
        entry = Entry(
            name=name.name,
            label=label,
            where=part.where,
            read_bodies=partial(read_bodies, part.array, row, part.num_frames[row]),
            numbers=name.numbers,
            is_train={benchmark: part.is_train},
        )
        entries.append(entry)
    return entries, rejected


def number_sequences(part: Part, benchmark: str) -> list[SequenceName]:
    """Return names for the rows of a part that has none: benchmark, side and number."""
    stem = f"{benchmark}_{'train' if part.is_train else 'test'}"
    width = len(str(len(part.labels)))
    return [SequenceName(f"{stem}_{row:0{width}}", "", None, {}) for row in range(len(part.labels))]


def benchmark_of(part: Part, dataset: str) -> str:
    """Return the benchmark that the path of a part names, or whose rule its names obey."""
    benchmark = find_benchmark(part.where)
    if benchmark is None and part.names and dataset in NTU_DATASETS:
        splits = official_splits([name.name for name in part.names], dataset).values()
        obeyed = [
            key
            for key in NTU_DATASETS[dataset].rules
            if all(is_train[key] == part.is_train for is_train in splits)
        ]
        benchmark = obeyed[0] if len(obeyed) == 1 else None
    return benchmark or UNKNOWN_BENCHMARK
