"""The table of own recordings (docs/data.md): a `.csv` that gives labels, subjects and the like, and who trains."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scdnet.raw.convert import Rejection
from scdnet.raw.custom_file import SUFFIXES
from scdnet.raw.raw_files import RawFile, RawFileError

NEEDED = ("name", "label")  # columns
NUMBERS = (
    "subject",
    "camera",
    "setup",
    "replication",
)  # columns of integers from 0; an empty cell stands for unknown
SPLIT = "split"  # column
COLUMNS = (*NEEDED, *NUMBERS, SPLIT)
SIDES = {"train": True, "test": False}  # what stands in it
INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)  # fits the store's int64
NOT_STORABLE = re.compile(
    "[\0\ud800-\udfff]"
)  # zeros, and what is no UTF-8: HDF5 has no such strings


class Row(NamedTuple):
    """What is known of a recording besides its frames."""

    label: str = "unlabelled"
    subject: int = -1  # unknown, so for the next three
    camera: int = -1
    setup: int = -1
    replication: int = -1
    is_train: bool = True
    line: int = 0  # of the table


class Table(NamedTuple):
    """A table: its rows by name of the recording, and its lines that cannot be used."""

    where: str
    rows: Mapping[str, Row]
    rejected: Sequence[Rejection]


class Classes(NamedTuple):
    """The classes of all labels."""

    names: tuple[str, ...]
    ids: Mapping[str, int]  # by label: the place of its class in `names`


def read_table(path: Path) -> Table:
    """Read the table at `path`. Raises RawFileError if it cannot be read, or a column is missing, unknown or twice."""
    where = str(path)
    columns, lines = split_table(RawFile(where).read(), where)
    rows, rejected = {}, []
    for line, cells in lines:
        try:
            name, row = parse_row(columns, cells, where, line)
            if name in rows:
                raise RawFileError(
                    where, line, f"{name!r} stands in line {rows[name].line} already"
                )
            rows[name] = row
        except RawFileError as error:
            rejected.append(Rejection(error.where, error.line, error.reason))
    return Table(where, rows, rejected)


def split_table(data: bytes, where: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The columns of a table, and (line, cells) of the rows below that are not blank. Raises as `read_table` does."""
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise RawFileError(
            where, 0, f"expected a table in UTF-8 with commas between its cells ({error})"
        ) from error
    columns = lines[0][1] if lines else []
    unusable = [column for column in columns if column not in COLUMNS or columns.count(column) > 1]
    if unusable or not set(NEEDED) <= set(columns):
        expected = f"the columns {' and '.join(NEEDED)} and, if any, {', '.join(COLUMNS[len(NEEDED) :])}, each once"
        raise RawFileError(where, 1, f"expected {expected}, found {', '.join(columns) or 'none'}")
    return columns, lines[1:]


def parse_row(
    columns: Sequence[str], cells: Sequence[str], where: str, line: int
) -> tuple[str, Row]:
    """Name of the recording, without suffix, and what a line says of it. Raises RawFileError if it cannot be used."""
    if len(cells) != len(columns):
        raise RawFileError(where, line, f"expected {len(columns)} cells, found {len(cells)}")
    found = dict(zip(columns, cells, strict=True))
    for column in NEEDED:
        if not found[column] or NOT_STORABLE.search(found[column]):
            raise RawFileError(where, line, f"expected a {column}, found {found[column]!r}")
    values = {}
    for column in NUMBERS:
        cell = found.get(column, "")
        values[column] = int(cell) if INTEGER.fullmatch(cell) else -1
        if cell and values[column] < 0:
            raise RawFileError(
                where, line, f"expected an integer from 0 as {column}, found {cell!r}"
            )
    side = found.get(SPLIT, "train")
    if side not in SIDES:
        raise RawFileError(where, line, f"expected {' or '.join(SIDES)} as {SPLIT}, found {side!r}")
    name = found["name"]
    stem = name[: -len(Path(name).suffix)] if Path(name).suffix in SUFFIXES else name
    return stem, Row(found["label"], **values, is_train=SIDES[side], line=line)


def number_classes(labels: Iterable[str]) -> Classes:
    """The classes of `labels`: the distinct ones, sorted, by value if all are integers."""
    labels = set(labels)
    value = int if all(INTEGER.fullmatch(label) for label in labels) else str
    places = {found: place for place, found in enumerate(sorted(set(map(value, labels))))}
    return Classes(tuple(map(str, places)), {label: places[value(label)] for label in labels})
