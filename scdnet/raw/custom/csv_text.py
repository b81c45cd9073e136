"""Text of numbers in columns: separators, decimal commas, header, cells (docs/data/own.md)."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scdnet.raw.raw_files import MAX_FRAMES, RawFileError, check_at_most
from scdnet.raw.text_files import decode_text

BLANKS = " \t"
# The numbers of a joint.
NUM_AXES = 3
# Cells of a file and characters of a line, as a hostile one could take any time and memory.
MAX_CELLS = 2**23
MAX_CHARACTERS = 2**17
# Separators of cells by preference; else they are separated by blanks.
SEPARATORS = (";", "\t", ",")
SEPARATOR_NAMES = {";": "semicolon", "\t": "tab", ",": "comma", " ": "blank"}
COUNTED = re.compile(r"(?P<prefix>\D*?)0*(?P<number>\d{1,9})", re.ASCII)
# Words that programs write where there is no number.
NO_NUMBERS = {"nan", "na", "n/a", "null", "none", "inf", "-inf", "-nan", "", "-", "#n/a"}


class Cells(NamedTuple):
    """The lines of a text, and how they are split into cells."""

    # Empty without a header.
    header: list[str]
    # The lines below the header. Their cells take ten times the memory, so each line is split only
    # while it is used.
    lines: list[str]
    # The number of the first of these lines, from 1.
    first_line: int
    separator: str
    has_decimal_comma: bool

    @property
    def rows(self) -> Iterator[list[str]]:
        """Yield the cells of each line."""
        return (split_line(line, self.separator) for line in self.lines)

    @property
    def widths(self) -> Iterator[int]:
        """Yield the number of cells of each line, 0 for a blank one."""
        for line in self.lines:
            if self.separator == " " or not line.strip():
                yield len(line.split())
            else:
                yield line.count(self.separator) + 1

    def numbers(self, cell: str) -> list[float | None]:
        """Return the numbers in a cell, None for each word that is none."""
        if self.has_decimal_comma:
            cell = cell.replace(",", ".")
        return [to_number(word) for word in cell.split()]


def split_text(data: bytes, where: str) -> Cells:
    """Split the content of a file into its header and its rows of cells.

    Raises RawFileError if it is no text or too large.
    """
    # Every byte is a character of latin-1: names that do not matter may have any encoding.
    text = decode_text(data, where, fallback="latin-1").rstrip()
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text:
        raise RawFileError(where, 0, "expected a line for each frame, found none")
    # One of them may be a header.
    check_at_most(MAX_FRAMES + 1, text.count("\n") + 1, "lines", where)
    lines = text.split("\n")
    check_at_most(MAX_CHARACTERS, max(map(len, lines)), "characters in a line", where)
    separator = find_separator(lines[1] if len(lines) > 1 else text)
    check_at_most(MAX_CELLS, text.count(separator), f"{SEPARATOR_NAMES[separator]}s", where)
    header = split_line(lines[0], separator)
    # A single line of numbers may count by chance.
    is_alone = len(lines) == 1 and all(map(is_number, header))
    if is_alone or not is_header(header):
        header = []
    elif len(header) == 1:
        # Only the rows have blanks, tabs, ... between their cells.
        header = split_line(lines[0], find_separator(lines[0]))
    body = lines[1:] if header else lines
    has_comma = separator != "," and any("," in line for line in body)
    has_point = any("." in line for line in body)
    return Cells(header, body, 2 if header else 1, separator, has_comma and not has_point)


def find_separator(line: str) -> str:
    """Return what separates the cells of a line, by preference so that all are numbers."""
    contained = [separator for separator in SEPARATORS if separator in line.strip(BLANKS)]
    for separator in (*contained, " "):
        widths = [_num_words(cell) for cell in split_line(line, separator)]
        # Each cell has one number, or those of a joint; the last one may be something else.
        if (0 not in widths and len(set(widths)) == 1) or set(widths[:-1]) == {NUM_AXES}:
            return separator
    return contained[0] if contained else " "


def _num_words(cell: str) -> int:
    """Return the number of numbers in a cell, 0 if it contains anything else."""
    if cell.lower() in NO_NUMBERS:
        return 1
    return len(cell.split()) if is_number(cell) else 0


def split_line(line: str, separator: str) -> list[str]:
    """Return the cells of a line, without blanks and quotes around them."""
    cells = line.split() if separator == " " else line.split(separator)
    return [cell.strip().strip("\"'").strip() for cell in cells]


def is_header(cells: Sequence[str]) -> bool:
    """Check whether a line names the columns: its cells are words, or numbers in order.

    Not every cell needs a name, and names may be numbers, as pandas writes them.
    """
    words = [cell for cell in cells if not is_number(cell) and cell.lower() not in NO_NUMBERS]
    numbers = [cell for cell in cells if is_number(cell)]
    if not words:
        return is_counted(cells if cells and cells[0] else cells[1:])
    return not numbers or is_counted(numbers)


def is_number(cell: str) -> bool:
    """Check whether all words of a cell are finite numbers, with decimal point or comma."""
    words = cell.split()
    return bool(words) and all(to_number(word.replace(",", ".", 1)) is not None for word in words)


def to_number(word: str) -> float | None:
    """Return the number that a word is, which may be NaN or infinite; None if it is none."""
    # Python also takes digits of other scripts, and underscores between them.
    if not word.isascii() or "_" in word:
        return None
    try:
        return float(word)
    except ValueError:
        return None


def is_counted(names: Sequence[str]) -> bool:
    """Check whether names are numbers in order from 0 or 1, all after the same word or none."""
    matches = [COUNTED.fullmatch(name) for name in names]
    if len(names) < 2 or not all(matches):
        return False
    prefixes = {match["prefix"] for match in matches if match}
    numbers = [int(match["number"]) for match in matches if match]
    first = numbers[0]
    return (
        len(prefixes) == 1
        and first in (0, 1)
        and numbers == list(range(first, first + len(numbers)))
    )
