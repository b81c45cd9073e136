import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scdnet.raw.text_numbers import Words, parse_counts, parse_decimals

NUMBERS = st.one_of(
    st.from_regex(r"[+-]?[0-9]{1,12}\.?[0-9]{0,12}", fullmatch=True),
    st.from_regex(r"-?\.[0-9]{1,9}(e-?[0-9]{1,2})?", fullmatch=True),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)


def parse_all(text: str) -> np.ndarray:
    words = Words.tokenize(text.encode(), "x")
    return parse_decimals(words, np.arange(len(words.start)))


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_decimals_are_bit_for_bit_what_float_gives(numbers):
    assert parse_all(" ".join(numbers)).tolist() == [float(number) for number in numbers]


@pytest.mark.parametrize(
    "word",
    ["nan", "inf", "-inf", "1e999", "1_0", "1,5", "0x1p3", "--1", "1-", ".", "-", "1.2.3", "e5"],
)
def test_words_that_are_no_finite_decimal_numbers_are_nan_and_spoil_no_other(word):
    first, found, last = parse_all(f"1.5 {word} -2")
    assert (first, last) == (1.5, -2) and math.isnan(found)


def test_words_are_found_whatever_blanks_and_line_ends_surround_them():
    words = Words.tokenize(b"\t 1  22\r\n\r\n  \n333", "x")
    assert words.columns().tolist() == [2, 0, 0, 1]
    assert parse_decimals(words, np.arange(3)).tolist() == [1, 22, 333]


def test_only_lines_of_one_short_unsigned_integer_are_counts():
    words = Words.tokenize(b"25\n2 5\n-3\n2.0\n\n0007\n1234567890\nx\n999999999\n", "x")
    assert parse_counts(words).tolist() == [25, -1, -1, -1, -1, 7, -1, -1, 999999999]


def test_the_empty_text_has_no_lines_and_no_words():
    words = Words.tokenize(b"", "x")
    assert words.num_lines == 0 and len(words.start) == 0 and parse_counts(words).tolist() == []


def test_a_line_is_shown_short_and_printable():
    words = Words.tokenize(b"a\x07b\n" + b"z" * 100 + b"\n\n", "x")
    assert words.show(0) == r"'a\x07b'"
    assert len(words.show(1)) == 42
    assert words.show(2) == "a blank line"
