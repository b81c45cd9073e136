import math
import random

import numpy as np
import pytest

from scdnet.raw.raw_files import RawFileError
from scdnet.raw.text_numbers import MAX_LINES, MAX_WIDTH, Words, parse_counts, parse_decimals


def parse_all(text: str) -> np.ndarray:
    words = Words.tokenize(text.encode(), "x")
    return parse_decimals(words, np.arange(len(words.start)))


def digits(rng: random.Random, low: int, high: int) -> str:
    return "".join(rng.choices("0123456789", k=rng.randint(low, high)))


# Numbers as recordings contain them, with too many digits for the bulk conversion, with exponents.
KINDS = (
    lambda rng: f"{rng.choice(['', '-'])}{digits(rng, 1, 3)}.{digits(rng, 0, 6)}",
    lambda rng: f"{rng.choice(['', '+', '-'])}{digits(rng, 1, 12)}.{digits(rng, 0, 12)}",
    lambda rng: f"{rng.choice(['', '+', '-'])}{digits(rng, 1, 20)}",
    lambda rng: f"{rng.choice(['', '-'])}.{digits(rng, 1, 9)}",
    lambda rng: f"{rng.choice(['', '-'])}.{digits(rng, 1, 9)}e{rng.randint(-99, 99)}",
    lambda rng: repr(rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300)),
)


@pytest.mark.parametrize("seed", range(20))
def test_decimals_are_bit_for_bit_what_float_gives(seed):
    rng = random.Random(seed)
    # The words of a text are converted together, so short texts differ from long ones.
    for num_words in (1, 2, 5, 20, 200):
        words = [rng.choice(KINDS)(rng) for _ in range(num_words)]
        expected = np.array([float(word) for word in words])
        found = parse_all(" ".join(words))
        is_equal = found.view(np.int64) == expected.view(np.int64)
        assert is_equal.all(), words[int((~is_equal).argmax())]


@pytest.mark.parametrize("value", [2**53 - 1, 2**53, 2**53 + 1, 10**16 + 1, 10**17 - 1])
def test_decimals_are_exact_around_the_limits_of_the_bulk_conversion(value):
    assert len(str(value)) <= MAX_WIDTH
    for num_decimals in range(len(str(value)) + 1):
        word = str(value)
        word = f"{word[: len(word) - num_decimals]}.{word[len(word) - num_decimals :]}"
        assert parse_all(f"{word} -{word}").tolist() == [float(word), -float(word)]


@pytest.mark.parametrize(
    "word",
    ["nan", "inf", "-inf", "1e999", "1_0", "1,5", "0x1p3", "--1", "1-", ".", "-", "1.2.3", "e5"],
)
def test_words_that_are_no_finite_decimal_numbers_are_nan_and_spoil_no_other(word):
    first, found, last = parse_all(f"1.5 {word} -2")
    assert (first, last) == (1.5, -2) and math.isnan(found)


def test_words_are_found_whatever_blanks_and_line_ends_surround_them():
    words = Words.tokenize(b"\t 1  22\r\n\r\n  \n333", "x")
    assert words.words_per_line().tolist() == [2, 0, 0, 1]
    assert parse_decimals(words, np.arange(3)).tolist() == [1, 22, 333]


def test_only_lines_of_one_short_unsigned_integer_are_counts():
    words = Words.tokenize(b"25\n2 5\n-3\n2.0\n\n0007\n1234567890\nx\n999999999\n", "x")
    assert parse_counts(words).tolist() == [25, -1, -1, -1, -1, 7, -1, -1, 999999999]


def test_the_empty_text_has_no_lines_and_no_words():
    words = Words.tokenize(b"", "x")
    assert (
        len(words.words_per_line()) == 0
        and len(words.start) == 0
        and parse_counts(words).tolist() == []
    )


def test_a_text_of_too_many_lines_is_refused():
    with pytest.raises(RawFileError, match=f"x: expected at most {MAX_LINES} lines, found "):
        Words.tokenize(b"\n" * (MAX_LINES + 1), "x")


def test_a_line_is_quoted_short_and_printable():
    words = Words.tokenize(b"a\x07b\n" + b"z" * 100 + b"\n\n", "x")
    assert words.quote(0) == r"'a\x07b'"
    assert len(words.quote(1)) == 42
    assert words.quote(2) == "a blank line"
