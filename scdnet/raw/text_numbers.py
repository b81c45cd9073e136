"""Numbers out of text in bulk: where the words of a file lie, and what numbers they are."""

import codecs
import re
from typing import NamedTuple, Self

import numpy as np

from scdnet.raw.raw_files import MAX_LINES, MAX_WORDS, check_at_most, show

WIDEST = 17  # longest word read in bulk: 10 ** 17 still fits an int64, sign and point included
DECIMAL = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
POWERS = 10 ** np.arange(WIDEST)
POINT = ord(b".") - ord(b"0") & 0xFF  # the decimal point among digits of value 0..9, as uint8


class Words(NamedTuple):
    """The words of a text (runs of bytes above 32, the blank), line by line."""

    text: (
        np.ndarray
    )  # uint8, starts with WIDEST blanks, so that the bytes before any word can be looked at
    start: np.ndarray  # (words,) int64: word i is text[start[i] : end[i]]
    end: np.ndarray
    line: (
        np.ndarray
    )  # (lines + 1,) int64: the words of line i, counted from 0, are line[i] .. line[i + 1] - 1

    @classmethod
    def tokenize(cls, data: bytes, where: str) -> Self:
        """Find the words of `data`; lines end with LF or CRLF, the last one perhaps not. A UTF-8 mark is none."""
        check_at_most(MAX_LINES, data.count(b"\n"), "lines", where)
        data = data.removeprefix(codecs.BOM_UTF8)
        closing = b"" if data.endswith(b"\n") or not data else b"\n"
        text = np.frombuffer(b"".join((b" " * WIDEST, data, closing)), dtype=np.uint8)
        is_blank = text <= ord(b" ")
        check_at_most(MAX_WORDS, np.count_nonzero(is_blank), "blanks", where)
        start = np.flatnonzero(is_blank[:-1] > is_blank[1:]) + 1
        end = np.flatnonzero(is_blank[:-1] < is_blank[1:]) + 1
        line = np.searchsorted(start, np.flatnonzero(text == ord(b"\n")))
        return cls(text, start, end, np.concatenate([[0], line]))

    @property
    def num_lines(self) -> int:
        """Lines of the text."""
        return len(self.line) - 1

    def columns(self) -> np.ndarray:
        """(lines,) number of words of each line."""
        return np.diff(self.line)

    def show(self, line: int, column: int | None = None) -> str:
        """Line `line`, or one word of it, counted from 0, as an error message shows it: printable and short."""
        first, end = self.line[line : line + 2]
        if first == end:
            return "a blank line"
        if column is not None:
            first, end = first + column, first + column + 1
        shown = self.text[self.start[first] : self.end[end - 1]].tobytes().decode("latin-1")
        return show(shown)


def parse_decimals(words: Words, index: np.ndarray) -> np.ndarray:
    """float64 values of the words `index` (n,), as `float` gives them; nan where a word is no finite decimal number.

    Words of digits with at most one point and a leading minus are read together as integers over a power of ten, which
    is exact below 2 ** 53 (Clinger 1990, "How to read floating point numbers accurately"); any other word by itself.
    """
    start, end = words.start[index], words.end[index]
    is_negative = words.text[start] == ord(b"-")
    digits = _digits(words.text, start + is_negative, end)  # (width, n)
    is_point = digits == POINT
    num_points = is_point.sum(axis=0, dtype=np.uint8)
    digits[is_point] = 0
    is_plain = (digits.max(axis=0, initial=0) <= 9) & (num_points <= 1) & (end - start <= WIDEST)
    is_plain &= end - start > num_points + is_negative  # at least one digit
    number = np.zeros(len(index), dtype=np.int64)  # with a 0 in the place of the point
    for digit in digits:
        number *= 10
        number += digit
    scale = POWERS[np.where(num_points == 1, len(digits) - 1 - is_point.argmax(axis=0), 0)]
    whole = number // (10 * scale) * num_points  # what stands before a point
    number -= 9 * whole * scale
    is_plain &= number < 2**53
    values = number / scale
    np.negative(values, out=values, where=is_negative)
    for i in np.flatnonzero(~is_plain):
        values[i] = _parse_decimal(words.text[start[i] : end[i]].tobytes())
    return values


def parse_rows(words: Words, width: int) -> np.ndarray:
    """(lines, width) float64: the numbers on each line, as `parse_decimals` gives them; nan for other widths."""
    lines = np.flatnonzero(words.columns() == width)
    rows = np.full((words.num_lines, width), np.nan)
    index = words.line[lines][:, None] + np.arange(width)
    rows[lines] = parse_decimals(words, index.ravel()).reshape(-1, width)
    return rows


def parse_counts(words: Words) -> np.ndarray:
    """(lines,) int64: the number on each line that holds nothing but one of up to 9 digits, -1 on all others."""
    lines = np.flatnonzero(words.columns() == 1)
    start, end = words.start[words.line[lines]], words.end[words.line[lines]]
    digits = _digits(words.text, start, end)  # (width, n)
    is_count = (digits <= 9).all(axis=0) & (end - start <= 9)
    value = 10 ** np.arange(len(digits))[::-1] @ digits.astype(np.int64)
    counts = np.full(words.num_lines, -1)
    counts[lines[is_count]] = value[is_count]
    return counts


def _digits(text: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(width, n) uint8: the last `width` <= WIDEST bytes of each word less "0", with 0 before shorter words."""
    width = min(WIDEST, int((end - start).max(initial=1)))
    windows = np.lib.stride_tricks.sliding_window_view(text, width)
    digits = np.ascontiguousarray(windows[end - width].T) - np.uint8(ord(b"0"))
    digits[np.arange(width)[:, None] < width - (end - start)] = 0
    return digits


def _parse_decimal(word: bytes) -> float:
    value = float(word) if DECIMAL.fullmatch(word) else np.nan
    return value if np.isfinite(value) else np.nan
