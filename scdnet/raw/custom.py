"""Custom recordings (docs/data/own.md): from files and their table to normalized sequences."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from scdnet.data.store import SkeletonSequence
from scdnet.raw.convert import Job, Outcome, Rejection, duplicate_rejection
from scdnet.raw.custom_files import SUFFIXES
from scdnet.raw.custom_frames import CaptureSpec, read_frames
from scdnet.raw.joint_mapping import filled_joints
from scdnet.raw.raw_files import RawFile, RawFileError

# The columns of a table: those of NUMBERS contain integers from 0, or an empty cell where unknown.
REQUIRED = ("name", "label")
NUMBERS = ("subject", "camera", "setup", "replication")
OPTIONAL = (*NUMBERS, "split")

# Integers that fit the store's int64.
INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)

# HDF5 strings contain neither zeros nor what is not UTF-8.
NOT_STORABLE = re.compile("[\0\ud800-\udfff]")


class Row(NamedTuple):
    """The facts about a recording besides its frames; `numbers` contains the known NUMBERS."""

    label: str
    numbers: Mapping[str, int]
    is_train: bool
    # The line in the table, counted from 1; 0 without a table.
    line: int


def convert_recording(
    capture: CaptureSpec, recording: tuple[RawFile, Mapping[str, int]]
) -> Outcome:
    """Read a file and normalize it, to a sequence with the given numbers. Raises RawFileError."""
    file, numbers = recording
    frames = read_frames(file.read(), file.where, capture)
    return Outcome([SkeletonSequence(frames, file.stem, **numbers)], [])


def plan_job(
    files: Sequence[RawFile], *, dataset: str, capture: CaptureSpec, table_path: Path | None
) -> Job:
    """Plan the conversion of the files that a table lists, or without one of all, as one class.

    Raises RawFileError if the table cannot be read.
    """
    if table_path is None:
        rows = {file.stem: Row("unlabeled", {}, is_train=True, line=0) for file in files}
        rejected: list[Rejection] = []
    else:
        rows, rejected = read_table(table_path)
        # The table may lie among the recordings.
        table_file = table_path.resolve()
        files = [file for file in files if Path(file.path).resolve() != table_file]
    class_names, class_ids = number_classes(row.label for row in rows.values())
    recordings: dict[str, tuple[RawFile, Mapping[str, int]]] = {}
    for file in files:
        row = rows.get(file.stem)
        if NOT_STORABLE.search(file.stem):
            rejected.append(Rejection(file.where, 0, "name is not UTF-8"))
        elif row is None:
            rejected.append(Rejection(file.where, 0, f"no usable line in the table {table_path}"))
        elif file.stem in recordings:
            rejected.append(duplicate_rejection(file, recordings[file.stem][0]))
        else:
            recordings[file.stem] = (file, {"label": class_ids[row.label], **row.numbers})
    filled = () if capture.target == capture.skeleton else filled_joints(capture.skeleton)
    stems = {file.stem for file in files}
    rejected += [
        Rejection(str(table_path), row.line, f"no recording {stem!r}")
        for stem, row in rows.items()
        if stem not in stems
    ]
    train = [stem for stem, row in rows.items() if row.is_train]
    return Job(
        dataset=dataset,
        skeleton=capture.target,
        class_names=class_names,
        split_rules={"custom": lambda sequences: np.isin(sequences.name, train)},
        items=[recordings[stem] for stem in sorted(recordings)],
        convert_item=partial(convert_recording, capture),
        rejected=rejected,
        attributes={
            **capture.attributes,
            "filled_joints": np.array(filled, dtype=h5py.string_dtype()),
        },
    )


def read_table(path: Path) -> tuple[dict[str, Row], list[Rejection]]:
    """Read the rows of a table by recording name, and its lines that cannot be used.

    Raises RawFileError if a column is missing, unknown or repeated.
    """
    where = str(path)
    columns, lines = split_table(RawFile(where).read(), where)
    rows: dict[str, Row] = {}
    rejected = []
    for line, cells in lines:
        try:
            name, row = parse_row(columns, cells, where, line)
            if name in rows:
                raise RawFileError(where, line, f"{name!r} is already in line {rows[name].line}")
            rows[name] = row
        except RawFileError as error:
            rejected.append(Rejection(*error.args))
    return rows, rejected


def split_table(data: bytes, where: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Split a table into its column names and (line, cells) of each row below that is not blank.

    Raises as `read_table` does.
    """
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise RawFileError(
            where, 0, f"expected a comma-separated table in UTF-8 ({error})"
        ) from error
    columns = lines[0][1] if lines else []
    is_known = set(REQUIRED) <= set(columns) <= {*REQUIRED, *OPTIONAL}
    if not is_known or len(set(columns)) < len(columns):
        raise RawFileError(
            where,
            1,
            f"expected the columns {', '.join(REQUIRED)} and optionally {', '.join(OPTIONAL)}, "
            f"each once, found {', '.join(columns) or 'none'}",
        )
    return columns, lines[1:]


def parse_row(
    columns: Sequence[str], cells: Sequence[str], where: str, line: int
) -> tuple[str, Row]:
    """Parse a line into the name of a recording, without suffix, and its row.

    Raises RawFileError if the line cannot be used.
    """
    if len(cells) != len(columns):
        raise RawFileError(where, line, f"expected {len(columns)} cells, found {len(cells)}")
    found = dict(zip(columns, cells, strict=True))
    for column in REQUIRED:
        if not found[column] or NOT_STORABLE.search(found[column]):
            raise RawFileError(where, line, f"expected a {column}, found {found[column]!r}")
    numbers = {}
    for column in NUMBERS:
        if cell := found.get(column):
            numbers[column] = int(cell) if INTEGER.fullmatch(cell) else -1
            if numbers[column] < 0:
                raise RawFileError(
                    where, line, f"expected an integer from 0 as {column}, found {cell!r}"
                )
    side = found.get("split", "train")
    if side not in ("train", "test"):
        raise RawFileError(where, line, f"expected train or test as split, found {side!r}")
    name = found["name"]
    suffix = Path(name).suffix
    stem = name.removesuffix(suffix) if suffix in SUFFIXES else name
    return stem, Row(found["label"], numbers, side == "train", line)


def number_classes(labels: Iterable[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Sort the distinct labels into classes, by value if all are integers.

    Returns the names of the classes and the class id of each label.
    """
    distinct = set(labels)
    value = int if all(INTEGER.fullmatch(label) for label in distinct) else str
    ids = {name: index for index, name in enumerate(sorted({value(label) for label in distinct}))}
    return tuple(map(str, ids)), {label: ids[value(label)] for label in distinct}
