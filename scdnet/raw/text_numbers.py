"""Fast conversion of text to numbers: find all words of a file, then convert them in bulk."""

import codecs
import re
from typing import NamedTuple, Self

import numpy as np

from scdnet.raw.raw_files import MAX_LINES, MAX_WORDS, check_at_most, quote

# Longest word, in bytes, that is converted in bulk: 10 ** 17 still fits an int64.
MAX_WIDTH = 17
DECIMAL = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
POWERS_OF_TEN = 10 ** np.arange(MAX_WIDTH)
# The decimal point in the uint8 matrix of `_digit_matrix`, where digits have the values 0..9.
POINT = (ord(b".") - ord(b"0")) % 256


class Words(NamedTuple):
    """The W words of a text of L lines; a word is a run of bytes above 32, the blank.

    text: uint8, the content behind MAX_WIDTH blanks, so that every word has bytes before it.
    start, end: (W,) int64, word i is text[start[i]:end[i]].
    first_word: (L + 1,) int64, line j contains the words first_word[j] to first_word[j + 1] - 1.
    """

    text: np.ndarray
    start: np.ndarray
    end: np.ndarray
    first_word: np.ndarray

    @classmethod
    def tokenize(cls, data: bytes, where: str) -> Self:
        """Find the words of `data`, with LF or CRLF. Raises RawFileError if there are too many."""
        check_at_most(MAX_LINES, data.count(b"\n"), "lines", where)
        data = data.removeprefix(codecs.BOM_UTF8)
        last_newline = b"" if data.endswith(b"\n") or not data else b"\n"
        text = np.frombuffer(b"".join((b" " * MAX_WIDTH, data, last_newline)), dtype=np.uint8)
        is_blank = text <= ord(b" ")
        check_at_most(MAX_WORDS, int(np.count_nonzero(is_blank)), "blanks", where)
        start = np.flatnonzero(is_blank[:-1] > is_blank[1:]) + 1
        end = np.flatnonzero(is_blank[:-1] < is_blank[1:]) + 1
        words_before_newline = np.searchsorted(start, np.flatnonzero(text == ord(b"\n")))
        return cls(text, start, end, np.concatenate([[0], words_before_newline]))

    def words_per_line(self) -> np.ndarray:
        """Count the words of each line: (L,)."""
        return np.diff(self.first_word)

    def quote(self, line: int, column: int | None = None) -> str:
        """Return line `line`, or one word of it, both from 0, as an error message shows it."""
        first, end = self.first_word[line : line + 2]
        if first == end:
            return "a blank line"
        if column is not None:
            first += column
            end = first + 1
        shown = self.text[self.start[first] : self.end[end - 1]].tobytes()
        return quote(shown.decode("latin-1"))


def parse_decimals(words: Words, index: np.ndarray) -> np.ndarray:
    """Convert the words `index` (n,) to float64, exactly as `float` does.

    What is not a finite decimal number becomes NaN. A word of digits with at most one point and a
    leading minus is converted in bulk, as an integer divided by a power of ten, which is exact for
    integers below 2 ** 53; any other word is converted by itself.
    Source: Clinger 1990, "How to read floating point numbers accurately".
    """
    start = words.start[index]
    end = words.end[index]
    is_negative = words.text[start] == ord(b"-")
    digits = _digit_matrix(words.text, start + is_negative, end)  # (width, n)

    # The point becomes a digit 0; the integer is corrected for it below.
    is_point = digits == POINT
    num_points = is_point.sum(axis=0, dtype=np.uint8)
    digits[is_point] = 0

    is_simple = (digits.max(axis=0, initial=0) <= 9) & (num_points <= 1)
    is_simple &= end - start <= MAX_WIDTH
    # A number has at least one digit.
    is_simple &= end - start > num_points + is_negative

    integer = np.zeros(len(index), dtype=np.int64)
    for digit in digits:
        integer *= 10
        integer += digit

    # "12.34" is 12034 at this point: move the part before the point by one place, to 1234.
    num_decimals = np.where(num_points == 1, len(digits) - 1 - is_point.argmax(axis=0), 0)
    scale = POWERS_OF_TEN[num_decimals]
    before_point = integer // (10 * scale) * num_points
    integer -= 9 * before_point * scale
    # Above it, float64 does not represent every integer.
    is_simple &= integer < 2**53

    values = integer / scale
    np.negative(values, out=values, where=is_negative)
    for i in np.flatnonzero(~is_simple):
        word = words.text[start[i] : end[i]].tobytes()
        value = float(word) if DECIMAL.fullmatch(word) else np.nan
        values[i] = value if np.isfinite(value) else np.nan
    return values


def parse_rows(words: Words, width: int) -> np.ndarray:
    """Convert the lines of `width` words: (L, width) float64, NaN for all other lines."""
    num_words = words.words_per_line()
    lines = np.flatnonzero(num_words == width)
    index = words.first_word[lines][:, None] + np.arange(width)
    rows = np.full((len(num_words), width), np.nan)
    rows[lines] = parse_decimals(words, index.ravel()).reshape(-1, width)
    return rows


def parse_counts(words: Words) -> np.ndarray:
    """Convert the lines that are one number of up to 9 digits: (L,) int64, -1 for all others."""
    num_words = words.words_per_line()
    lines = np.flatnonzero(num_words == 1)
    index = words.first_word[lines]
    start = words.start[index]
    end = words.end[index]
    digits = _digit_matrix(words.text, start, end)  # (width, n)
    is_count = (digits <= 9).all(axis=0) & (end - start <= 9)
    values = POWERS_OF_TEN[: len(digits)][::-1] @ digits.astype(np.int64)
    counts = np.full(len(num_words), -1)
    counts[lines[is_count]] = values[is_count]
    return counts


def _digit_matrix(text: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the last bytes of n words less "0", with 0 before shorter words: (width, n) uint8.

    The width is that of the longest word, at most MAX_WIDTH.
    """
    width = min(MAX_WIDTH, int((end - start).max(initial=1)))
    windows = np.lib.stride_tricks.sliding_window_view(text, width)
    digits = np.ascontiguousarray(windows[end - width].T) - np.uint8(ord(b"0"))
    is_before_word = np.arange(width)[:, None] < width - (end - start)
    digits[is_before_word] = 0
    return digits
