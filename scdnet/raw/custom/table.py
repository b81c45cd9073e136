"""The table of custom recordings: labels, numbers and splits by name (docs/data/own.md)."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from scdnet.raw.convert import NOT_STORABLE, Rejection
from scdnet.raw.custom.readers import SUFFIXES
from scdnet.raw.raw_files import RawFile, RawFileError
from scdnet.raw.text_files import decode_text

# The columns of a table: those of NUMBERS contain integers from 0, or an empty cell where unknown.
REQUIRED = ("name", "label")
NUMBERS = ("subject", "camera", "setup", "replication")
OPTIONAL = (*NUMBERS, "split")
# Columns that number the rows, as pandas and Excel write them.
IGNORED = ("", "index", "idx", "unnamed: 0")
SEPARATORS = ",;\t"

# The words of tables for the two splits of a store.
TRAIN = ("train", "training")
TEST = ("test", "testing")
# A store has no third split; a table without a test split may use this one.
VALIDATION = ("val", "valid", "validation", "eval", "dev")

# Integers that fit the store's int64; pandas writes them as floats where a cell is empty.
INTEGER = re.compile(r"(-?\d{1,18})(\.0*)?", re.ASCII)


class Row(NamedTuple):
    """The facts about a recording besides its frames; `numbers` contains the known NUMBERS."""

    label: str
    numbers: Mapping[str, int]
    is_train: bool
    # The line in the table, counted from 1; 0 without a table.
    line: int


def read_table(path: Path) -> tuple[dict[str, Row], list[Rejection]]:
    """Read the rows of a table by recording name, and its lines that cannot be used.

    Names have slashes between folders and no suffix. Raises RawFileError if a column is missing,
    unknown or repeated, and if no line can be used.
    """
    where = str(path)
    columns, lines = split_table(RawFile(where).read(), where)
    test = test_names(columns, lines, where)
    rows: dict[str, Row] = {}
    rejected = []
    for line, cells in lines:
        try:
            name, row = parse_row(columns, cells, where, line, test=test)
            if name in rows:
                raise RawFileError(where, line, f"{name!r} is already in line {rows[name].line}")
            rows[name] = row
        except RawFileError as error:
            rejected.append(Rejection(*error.args))
    if rejected and not rows:
        _, line, reason = rejected[0]
        raise RawFileError(where, line, f"{reason}; no line of the table can be used")
    return rows, rejected


def split_table(data: bytes, where: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Split a table into its column names and (line, cells) of each row below that is not blank.

    Raises as `read_table` does.
    """
    text = decode_text(data, where)
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        lines = [
            (reader.line_num, [cell.strip() for cell in cells])
            for cells in reader
            if any(cell.strip() for cell in cells)
        ]
    except csv.Error as error:
        raise RawFileError(
            where, 0, f"expected a table separated by commas, semicolons or tabs ({error})"
        ) from error
    columns = [column.lower() for column in lines[0][1]] if lines else []
    known = [column for column in columns if column not in IGNORED]
    is_known = set(REQUIRED) <= set(known) <= {*REQUIRED, *OPTIONAL}
    if not is_known or len(set(known)) < len(known):
        raise RawFileError(
            where,
            1,
            f"expected the columns {', '.join(REQUIRED)} and optionally {', '.join(OPTIONAL)}, "
            f"each once, found {', '.join(columns) or 'none'}",
        )
    return columns, lines[1:]


def test_names(
    columns: Sequence[str], lines: Iterable[tuple[int, Sequence[str]]], where: str
) -> tuple[str, ...]:
    """Return what the test split is called. Raises RawFileError for test beside validation."""
    if "split" not in columns:
        return TEST
    index = columns.index("split")
    found = {cells[index].lower(): line for line, cells in lines if index < len(cells)}
    validation = [name for name in VALIDATION if name in found]
    if validation and any(name in found for name in TEST):
        raise RawFileError(
            where,
            found[validation[0]],
            f"expected two splits, train and test, found {validation[0]!r} as well; a store has no "
            "third: choose for each of its recordings, or leave their lines out",
        )
    return (*TEST, *VALIDATION)


def parse_row(
    columns: Sequence[str], cells: Sequence[str], where: str, line: int, *, test: Sequence[str]
) -> tuple[str, Row]:
    """Parse a line into the name of a recording, without suffix, and its row.

    `test` is what the test split is called. Raises RawFileError if the line cannot be used.
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
            match = INTEGER.fullmatch(cell)
            numbers[column] = int(match[1]) if match else -1
            if numbers[column] < 0:
                raise RawFileError(
                    where, line, f"expected an integer from 0 as {column}, found {cell!r}"
                )
    side = found.get("split", "train")
    if side.lower() not in (*TRAIN, *test):
        raise RawFileError(where, line, f"expected train or test as split, found {side!r}")
    label = INTEGER.sub(r"\1", found["label"]) if INTEGER.fullmatch(found["label"]) else ""
    row = Row(label or found["label"], numbers, side.lower() in TRAIN, line)
    return strip_name(found["name"]), row


def strip_name(name: str) -> str:
    """Return the name of a recording without a suffix of one, with slashes between folders."""
    path = name.replace("\\", "/")
    suffix = PurePosixPath(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in SUFFIXES else path


def number_classes(labels: Iterable[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Sort the distinct labels into classes, by value if all are integers.

    Returns the names of the classes and the class id of each label.
    """
    distinct = set(labels)
    is_integer = all(INTEGER.fullmatch(label) for label in distinct)

    def value(label: str) -> int | str:
        return int(label.partition(".")[0]) if is_integer else label

    values = sorted({value(label) for label in distinct})
    ids = {name: index for index, name in enumerate(values)}
    return tuple(map(str, ids)), {label: ids[value(label)] for label in distinct}
