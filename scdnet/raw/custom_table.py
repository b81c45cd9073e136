"""The table of custom recordings (docs/data/own.md): a `.csv` of labels, splits and more."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scdnet.raw.convert import Rejection
from scdnet.raw.custom_file import SUFFIXES
from scdnet.raw.raw_files import RawFile, RawFileError

# The columns: those of NUMBERS contain integers from 0, or an empty cell where unknown.
REQUIRED = ("name", "label")
NUMBERS = ("subject", "camera", "setup", "replication")
OPTIONAL = (*NUMBERS, "split")

IS_TRAIN = {"train": True, "test": False}

# Integers that fit the store's int64.
INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)

# HDF5 strings contain neither zeros nor what is not UTF-8.
NOT_STORABLE = re.compile("[\0\ud800-\udfff]")


class Row(NamedTuple):
    """The facts about a recording besides its frames; -1 stands for unknown."""

    label: str = "unlabeled"
    subject: int = -1
    camera: int = -1
    setup: int = -1
    replication: int = -1
    is_train: bool = True
    # The line in the table, counted from 1; 0 without a table.
    line: int = 0


class Table(NamedTuple):
    """The rows of a table by recording name, and its lines that cannot be used."""

    where: str
    rows: Mapping[str, Row]
    rejected: Sequence[Rejection]


def read_table(path: Path) -> Table:
    """Read a table. Raises RawFileError if a column is missing, unknown or repeated."""
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
            rejected.append(Rejection(error.where, error.line, error.reason))
    return Table(where, rows, rejected)


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
    required = set(REQUIRED)
    is_known = required <= set(columns) <= required.union(OPTIONAL)
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
        cell = found.get(column, "")
        numbers[column] = int(cell) if INTEGER.fullmatch(cell) else -1
        if cell and numbers[column] < 0:
            raise RawFileError(
                where, line, f"expected an integer from 0 as {column}, found {cell!r}"
            )
    side = found.get("split", "train")
    if side not in IS_TRAIN:
        raise RawFileError(
            where, line, f"expected {' or '.join(IS_TRAIN)} as split, found {side!r}"
        )
    name = found["name"]
    suffix = Path(name).suffix
    stem = name.removesuffix(suffix) if suffix in SUFFIXES else name
    return stem, Row(found["label"], **numbers, is_train=IS_TRAIN[side], line=line)


def number_classes(labels: Iterable[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Sort the distinct labels into classes, by value if all are integers.

    Returns the names of the classes and the class id of each label.
    """
    distinct = set(labels)
    value = int if all(INTEGER.fullmatch(label) for label in distinct) else str
    ids = {name: index for index, name in enumerate(sorted({value(label) for label in distinct}))}
    return tuple(map(str, ids)), {label: ids[value(label)] for label in distinct}
