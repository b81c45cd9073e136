"""The `.npz` files of CTR-GCN and MAMP: rows of each side of a benchmark, without names.

Source of the format: CTR-GCN, data/ntu/seq_transformation.py; MAMP, data/pku_v2/pku_gendata.py.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from scdnet.raw.convert import Rejection
from scdnet.raw.datasets import CLASSES, NTU_DATASETS, class_names, parse_ntu_name
from scdnet.raw.raw_files import MAX_FRAMES, RawFileError
from scdnet.raw.ready_made.arrays import ArrayFile
from scdnet.raw.ready_made.entries import DENOISED, Entry
from scdnet.raw.ready_made.labels import MAX_SEQUENCES
from scdnet.raw.ready_made.npz import Npz
from scdnet.raw.ready_made.ntu_names import official_splits, parse_numbers
from scdnet.raw.ready_made.scratch import Scratch
from scdnet.raw.ready_made.sequence_names import UNKNOWN_BENCHMARK, find_benchmark, find_pku_part
from scdnet.raw.ready_made.sources import Source
from scdnet.skeletons import NTU_25

# Numbers of a body in a frame.
BODY_WIDTH = NTU_25.num_joints * 3
MAX_ROW_BODIES = 8
# Number of columns of the labels -> dataset; the parts of PKU-MMD have equally many.
DATASETS = {60: "ntu60", 120: "ntu120"}
PKU_CLASSES = CLASSES["pku1"][1]
# Benchmark -> number by which the script sorts the rows of each side.
ROW_ORDER = {"xsub": "subject", "xview": "camera", "xset": "setup"}
PROCESSING = {
    "ctrgcn": f"CTR-GCN: {DENOISED}; centered on the first frame",
    "mamp": "MAMP: frames start + 1 to end of each action, at most 300",
}


class Side(NamedTuple):
    """One side of the split in a file."""

    key: str
    rows: ArrayFile
    # The class id of each row; -1 where there is not exactly one.
    labels: np.ndarray

    @property
    def is_train(self) -> bool:
        """Check whether this is the training split."""
        return self.key == "train"


class RowsFile(NamedTuple):
    """A `.npz` file, opened."""

    source: Source
    dataset: str
    benchmark: str
    class_names: tuple[str, ...]
    sides: list[Side]


def open_rows_file(source: Source, scratch: Scratch) -> RowsFile:
    """Open the sides that a file has. Raises RawFileError if it is of another form."""
    npz = Npz(source)
    keys = [key for key in ("train", "test") if f"x_{key}" in npz.members]
    if not keys or not all(f"y_{key}" in npz.members for key in keys):
        found = ", ".join(npz.members) or "none"
        raise RawFileError(
            source.where, 0, f"expected the arrays x_train, y_train, x_test, y_test, found {found}"
        )
    sides = []
    classes = set()
    for key in keys:
        labels, num_classes = parse_labels(npz.read_whole(f"y_{key}"), f"{source.where}/y_{key}")
        classes.add(num_classes)
        sides.append(Side(key, open_rows(npz, key, len(labels), scratch), labels))
    if len(classes) > 1:
        raise RawFileError(source.where, 0, "y_train and y_test have different numbers of columns")
    dataset = find_dataset(source, classes.pop())
    return RowsFile(
        source=source,
        dataset=dataset,
        benchmark=find_benchmark(source.where) or UNKNOWN_BENCHMARK,
        class_names=class_names(dataset),
        sides=sides,
    )


def parse_labels(labels: np.ndarray, where: str) -> tuple[np.ndarray, int]:
    """Return the class id of each row of one-hot labels (N, classes), and how many classes exist.

    It is -1 where not exactly one column is 1. Raises RawFileError for another shape.
    """
    if labels.ndim != 2 or labels.dtype.kind not in "fiub" or len(labels) > MAX_SEQUENCES:
        raise RawFileError(
            where,
            0,
            f"expected one-hot labels of shape (sequences, classes), "
            f"found {labels.dtype} of shape {labels.shape}",
        )
    is_hot = labels == 1
    is_valid = (is_hot.sum(axis=1) == 1) & ((labels == 0) | is_hot).all(axis=1)
    return np.where(is_valid, is_hot.argmax(axis=1) if is_hot.size else 0, -1), labels.shape[1]


def open_rows(npz: Npz, key: str, num_rows: int, scratch: Scratch) -> ArrayFile:
    """Open the frames (N, T, M * 75) of a side. Raises RawFileError if they are of another form."""
    rows = npz.open_rows(f"x_{key}", scratch)
    shape = rows.shape
    widths = [BODY_WIDTH * count for count in range(1, MAX_ROW_BODIES + 1)]
    is_valid = len(shape) == 3 and 0 < shape[1] <= MAX_FRAMES and shape[2] in widths
    if not is_valid or rows.dtype.kind != "f":
        raise RawFileError(
            rows.where,
            0,
            f"expected real numbers of shape (sequences, frames, {BODY_WIDTH} for each body), "
            f"found {rows.dtype} of shape {shape}",
        )
    if shape[0] != num_rows:
        raise RawFileError(
            rows.where, 0, f"expected {num_rows} rows as y_{key} has, found {shape[0]}"
        )
    return rows


def find_dataset(source: Source, num_classes: int) -> str:
    """Return the dataset of so many classes. Raises RawFileError if there is none."""
    if num_classes == PKU_CLASSES:
        dataset = find_pku_part(source.where)
        if dataset is None:
            raise RawFileError(
                source.where,
                0,
                f"{num_classes} classes are those of PKU-MMD: expected a file name that tells the "
                "part, such as PKUv1_XSub.npz or PKUv2_XSub.npz",
            )
        return dataset
    if num_classes not in DATASETS:
        raise RawFileError(
            source.where,
            0,
            f"expected 60, 120 or {PKU_CLASSES} columns as labels, found {num_classes}",
        )
    return DATASETS[num_classes]


def make_entries(file: RowsFile, names: Sequence[str] | None) -> list[Entry | Rejection]:
    """Describe the rows of a file, or why they cannot be used.

    Without names they are numbered. Raises RawFileError if the names are not those of the rows.
    """
    results: list[Entry | Rejection] = []
    for side in file.sides:
        where = file.source.where
        row_names = number_rows(file, side) if names is None else order_names(file, side, names)
        for row, (name, label) in enumerate(zip(row_names, side.labels.tolist(), strict=True)):
            numbers = parse_ntu_name(name)
            if label < 0:
                reason = f"{name}: expected one 1 among 0 in its row of y_{side.key}"
                results.append(Rejection(where, 0, reason))
            elif numbers is not None and numbers.action != label + 1:
                reason = f"{name}: expected label {numbers.action - 1}, found {label}"
                results.append(Rejection(where, 0, reason))
            else:
                results.append(
                    Entry(
                        name=name,
                        label=label,
                        where=where,
                        read_bodies=partial(read_row, side.rows, row),
                        numbers=parse_numbers(name),
                        is_train={file.benchmark: side.is_train},
                    )
                )
    return results


def number_rows(file: RowsFile, side: Side) -> list[str]:
    """Return a name for each row: that of the file, the side and a number."""
    stem = file.source.name.rsplit(".", 1)[0]
    width = len(str(len(side.labels)))
    return [f"{stem}_{side.key}_{row:0{width}}" for row in range(len(side.labels))]


def order_names(file: RowsFile, side: Side, names: Sequence[str]) -> list[str]:
    """Return the name of each row, as the script of CTR-GCN has sorted them.

    Within a side, rows are sorted by subject, camera or setup, then as `names` are. Raises
    RawFileError if number or labels of the rows show that these are not the names.
    """
    where = file.source.where
    if file.dataset not in NTU_DATASETS or file.benchmark not in ROW_ORDER:
        raise RawFileError(
            where,
            0,
            "its rows are not in an order that names can be given to; expected a file of NTU RGB+D "
            "whose name tells the benchmark, such as NTU60_CS.npz; omit --names",
        )
    sides: Mapping[str, Mapping[str, bool]] = official_splits(names, file.dataset)
    key = ROW_ORDER[file.benchmark]
    ordered = sorted(
        (name for name in names if sides[name].get(file.benchmark) == side.is_train),
        key=lambda name: parse_numbers(name)[key],
    )
    if len(ordered) != len(side.labels):
        raise RawFileError(
            where,
            0,
            f"x_{side.key} has {len(side.labels)} rows, but {len(ordered)} of the given names "
            f"are on this side of {file.benchmark}; are they of this file?",
        )
    labels = [int(name[-3:]) - 1 for name in ordered]
    num_other = np.count_nonzero(side.labels != labels)
    if 2 * num_other > len(labels):
        raise RawFileError(
            where,
            0,
            f"the labels of {num_other} of {len(labels)} rows of y_{side.key} are not those of the "
            "given names; are they of this file?",
        )
    return ordered


def read_row(rows: ArrayFile, row: int) -> np.ndarray:
    """Read a row as bodies (M, T, V, C), cut to its length. Raises RawFileError."""
    frames = rows.read_row(row)
    used = np.flatnonzero(np.any(frames, axis=1))
    num_frames = int(used[-1]) + 1 if len(used) else 0
    return drop_copies(clear_empty(split_bodies(frames[:num_frames])))


def split_bodies(frames: np.ndarray) -> np.ndarray:
    """Split frames (T, M * 75) into bodies (M, T, V, C)."""
    num_bodies = frames.shape[1] // BODY_WIDTH
    return frames.reshape(len(frames), num_bodies, NTU_25.num_joints, 3).swapaxes(0, 1)


def clear_empty(bodies: np.ndarray) -> np.ndarray:
    """Set bodies (M, T, V, C) to zero in frames in which all joints are at one point.

    A frame without a body was zero before the origin was subtracted from all of its joints.
    """
    is_empty = (bodies == bodies[:, :, :1]).all(axis=(2, 3), keepdims=True)
    return np.where(is_empty, 0, bodies)


def drop_copies(bodies: np.ndarray) -> np.ndarray:
    """Drop the bodies of (M, T, V, C) that equal the first one: the script for NTU-120 adds one."""
    is_kept = np.not_equal(bodies, bodies[:1]).any(axis=(1, 2, 3))
    is_kept[:1] = True
    return bodies[is_kept]
