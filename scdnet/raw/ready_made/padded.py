"""Padded arrays (N, 3, T, V, M) with labels beside them, as 2s-AGCN, CrosSCLR and others write."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scdnet.raw.convert import Rejection
from scdnet.raw.raw_files import MAX_FRAMES, RawFileError, check_at_most, quote
from scdnet.raw.ready_made.arrays import ArrayFile, open_npy
from scdnet.raw.ready_made.labels import MAX_SEQUENCES, read_integers, read_label_pickle
from scdnet.raw.ready_made.scratch import Scratch
from scdnet.raw.ready_made.sequence_names import (
    SequenceName,
    parse_sequence_name,
)
from scdnet.raw.ready_made.sources import Source, find_sources
from scdnet.skeletons import NTU_25

LABELS = "_label.pkl"
LABEL_ARRAY = "_label.npy"
NUM_FRAMES = "_num_frame.npy"
COMPANIONS = (LABELS, LABEL_ARRAY, NUM_FRAMES)
# The side of the split is named before the suffix of an array.
TRAIN = re.compile(r"(.*[^a-z])?train(ing)?", re.IGNORECASE)
TEST = re.compile(r"(.*[^a-z])?(val|valid|validation|test|eval)", re.IGNORECASE)
MAX_BODIES = 8


class Part(NamedTuple):
    """An array and what the files beside it tell; one side of the split of a benchmark."""

    array: ArrayFile
    is_train: bool
    # None if no list of names is there.
    names: list[SequenceName] | None
    labels: list[int]
    # One number for each row, -1 where unknown.
    num_frames: list[int]

    @property
    def where(self) -> str:
        """Return the file of the array, for messages."""
        return self.array.where


class PartFiles(NamedTuple):
    """The files of one part, and the side that their names tell."""

    array: Source
    companions: Mapping[str, Source]
    is_train: bool


def find_parts(
    roots: Sequence[Path], suffixes: tuple[str, ...], scratch: Scratch
) -> tuple[list[Part], list[Rejection]]:
    """Find the arrays whose name ends in one of `suffixes`; open them and the files beside them.

    A part that cannot be used is rejected as a whole. Raises RawFileError if a root cannot be
    searched.
    """
    sources = find_sources(roots, (*suffixes, *COMPANIONS), scratch)
    by_path = {source.where.lower(): source for source in sources}
    parts = []
    rejected = []
    for source in sources:
        suffix = next(filter(source.name.lower().endswith, suffixes), None)
        if suffix is None:
            continue
        try:
            parts.append(open_part(find_companions(source, suffix, by_path)))
        except RawFileError as error:
            rejected.append(Rejection(*error.args))
    return parts, rejected


def find_companions(source: Source, suffix: str, by_path: Mapping[str, Source]) -> PartFiles:
    """Find the files beside an array that belong to it. Raises RawFileError."""
    stem = source.where[: -len(suffix)]
    side = Path(stem.replace("\\", "/")).name
    if not TRAIN.fullmatch(side) and not TEST.fullmatch(side):
        raise RawFileError(
            source.where, 0, f"expected a name that begins with train or val, found {quote(side)}"
        )
    companions = {}
    for kind in COMPANIONS:
        beside = Path(stem + kind)
        found = by_path.get((stem + kind).lower())
        if found is None and str(source.path) == source.where and beside.is_file():
            found = Source(beside, str(beside))
        if found is not None:
            companions[kind] = found
    return PartFiles(source, companions, is_train=bool(TRAIN.fullmatch(side)))


def open_part(files: PartFiles) -> Part:
    """Open an array and read the files beside it. Raises RawFileError."""
    array = open_npy(files.array)
    shape = array.shape
    v = NTU_25.num_joints
    is_valid = len(shape) == 5 and shape[1] == 3 and shape[3] == v and shape[4] <= MAX_BODIES
    if array.dtype.kind != "f" or not is_valid or 0 in shape:
        raise RawFileError(
            array.where,
            0,
            f"expected real numbers of shape (sequences, 3, frames, {v}, bodies), "
            f"found {array.dtype} of shape {shape}",
        )
    check_at_most(MAX_SEQUENCES, shape[0], "sequences", array.where)
    check_at_most(MAX_FRAMES, shape[2], "frames", array.where)
    names, labels = read_labels(files)
    num_frames = [-1] * shape[0]
    if NUM_FRAMES in files.companions:
        num_frames = read_integers(files.companions[NUM_FRAMES])
    for found, kind in ((labels, "labels"), (num_frames, "numbers of frames")):
        if len(found) != shape[0]:
            raise RawFileError(
                array.where,
                0,
                f"expected as many {kind} beside it as it has rows, {shape[0]}, found {len(found)}",
            )
    parsed = None if names is None else [parse_sequence_name(name) for name in names]
    return Part(array, files.is_train, parsed, labels, num_frames)


def read_labels(files: PartFiles) -> tuple[list[str] | None, list[int]]:
    """Read names, if there are any, and labels of a part. Raises RawFileError."""
    if LABELS in files.companions:
        return read_label_pickle(files.companions[LABELS])
    if LABEL_ARRAY in files.companions:
        return None, read_integers(files.companions[LABEL_ARRAY])
    raise RawFileError(
        files.array.where,
        0,
        f"expected a file of labels beside it, *{LABELS} or *{LABEL_ARRAY}, found none",
    )


def read_row(array: ArrayFile, row: int) -> np.ndarray:
    """Read a row as bodies (M, T, V, C). Raises RawFileError."""
    return array.read_row(row).transpose(3, 1, 2, 0)


def count_frames(bodies: np.ndarray) -> int:
    """Count the frames of (M, T, V, C) up to the last one with a body; 0 without any."""
    present = np.flatnonzero(bodies.any(axis=(0, 2, 3)))
    return int(present[-1]) + 1 if len(present) else 0
