"""Break raw files in every way we know; read them slowly, line by line, as a converter must.

The slow readers share nothing with the converters but the rules of the documentation.
"""

import math
import random
import re
from collections.abc import Callable

import numpy as np
import pytest

# Broken variants of a file in the quick run, and with -m slow.
with_count = pytest.mark.parametrize("num_broken", [50, pytest.param(500, marks=pytest.mark.slow)])

Lines = list[bytes]
DECIMAL = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
NUMBERS = (
    b"nan",
    b"-inf",
    b"Infinity",
    b"1e400",
    b"1e31",
    b"-1e30",
    b"0x10",
    b"1,5",
    b"1_0",
    b"--1",
    b".",
    b"",
    b"1e-400",
)
COUNTS = (
    b"-1",
    b"0",
    b"1",
    b"2",
    b"24",
    b"26",
    b"999999999",
    b"9999999999999999999999",
    b"2.0",
    b"1e3",
    b"two",
    b"",
)


def _replace_line(lines: Lines, rng: random.Random, *new: bytes) -> Lines:
    at = rng.randrange(len(lines))
    return [*lines[:at], *new, *lines[at + 1 :]]


def _replace_word(lines: Lines, rng: random.Random, new: bytes) -> Lines:
    at = rng.randrange(len(lines))
    separator = b"," if b"," in lines[at] else b" "
    words = lines[at].split(separator)
    words[rng.randrange(len(words))] = new
    return [*lines[:at], separator.join(words), *lines[at + 1 :]]


def _swap_lines(lines: Lines, rng: random.Random) -> Lines:
    a = rng.randrange(len(lines))
    b = rng.randrange(len(lines))
    lines = list(lines)
    lines[a], lines[b] = lines[b], lines[a]
    return lines


def _change_byte(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(1) + data[at + 1 :]


def _lose_bytes(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randrange(200) :]


def _zero_end(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + b"\0" * (len(data) - at)


BREAKS_OF_LINES: dict[str, Callable[[Lines, random.Random], Lines]] = {
    "cut at a line": lambda lines, rng: lines[: rng.randrange(len(lines))],
    "line lost": lambda lines, rng: _replace_line(lines, rng),
    "line twice": lambda lines, rng: _replace_line(lines, rng, *[rng.choice(lines)] * 2),
    "lines swapped": _swap_lines,
    "blank line": lambda lines, rng: _replace_line(lines, rng, b"", rng.choice(lines)),
    "binary line": lambda lines, rng: _replace_line(lines, rng, rng.randbytes(30)),
    "no number": lambda lines, rng: _replace_word(lines, rng, rng.choice(NUMBERS)),
    "other count": lambda lines, rng: _replace_line(lines, rng, rng.choice(COUNTS)),
    "other word": lambda lines, rng: _replace_word(lines, rng, rng.choice(COUNTS)),
    "column lost": lambda lines, rng: _replace_word(lines, rng, b""),
    "column more": lambda lines, rng: _replace_word(lines, rng, b"1 2"),
    "first line": lambda lines, rng: [rng.choice(COUNTS), *lines[1:]],
}
BREAKS_OF_BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut at a byte": lambda data, rng: data[: rng.randrange(len(data))],
    "byte changed": _change_byte,
    "bytes lost": _lose_bytes,
    "zeros": _zero_end,
    "binary": lambda data, rng: rng.randbytes(rng.randrange(2000)),
    "empty": lambda data, rng: b"",
    "CRLF": lambda data, rng: data.replace(b"\n", b"\r\n"),
    "CR": lambda data, rng: data.replace(b"\n", b"\r"),
    "BOM": lambda data, rng: b"\xef\xbb\xbf" + data,
    "UTF-16": lambda data, rng: data.decode("latin-1").encode("utf-16"),
    "tabs": lambda data, rng: data.replace(b" ", b"\t").replace(b",", b",\t"),
    "decimal commas": lambda data, rng: data.replace(b".", b","),
}
KINDS = (*BREAKS_OF_LINES, *BREAKS_OF_BYTES)


def break_file(data: bytes, number: int) -> bytes:
    """Break `data` in the `number`-th way: each kind in turn, at changing places; some harmless."""
    rng = random.Random(number)
    kind = KINDS[number % len(KINDS)]
    if kind in BREAKS_OF_BYTES:
        return BREAKS_OF_BYTES[kind](data, rng)
    return b"\n".join(BREAKS_OF_LINES[kind](data.split(b"\n"), rng))


def split_words(data: bytes) -> list[Lines]:
    """Split each line into words; bytes up to 32 are blanks."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data and not data.endswith(b"\n"):
        data += b"\n"
    lines = data.split(b"\n")[:-1]
    return [[word for word in re.split(rb"[\x00-\x20]+", line) if word] for line in lines]


def read_number(word: bytes) -> float | None:
    """Read a word; return None if it is not a finite decimal number below 1e30."""
    value = float(word) if DECIMAL.fullmatch(word) else math.nan
    return value if abs(value) < 1e30 else None


def read_skeleton(data: bytes) -> np.ndarray | None:
    """Read (4, T, V, C) of an NTU `.skeleton` file; return None if it must be rejected."""
    lines = iter(split_words(data))
    num_bodies = 0

    def count() -> int:
        (word,) = next(lines)
        if not re.fullmatch(rb"[0-9]{1,9}", word):
            raise ValueError
        return int(word)

    frames = []
    try:
        for _ in range(count()):
            frames.append(np.zeros((4, 25, 3)))
            for body in range(count()):
                next(lines)
                if count() != 25:
                    raise ValueError
                joints = [next(lines) for _ in range(25)]
                if any(len(words) != 12 for words in joints):
                    raise ValueError
                numbers = [[read_number(word) for word in words[:3]] for words in joints]
                if any(None in joint for joint in numbers):
                    raise ValueError
                if body < 4:
                    frames[-1][body] = numbers
                num_bodies += 1
    except (ValueError, StopIteration):
        return None
    return np.stack(frames, axis=1) if num_bodies else None


def read_video(data: bytes) -> list[np.ndarray | None]:
    """Read (M, V, C) of each line of a PKU-MMD video, None for lines that must be rejected."""
    frames = []
    for words in split_words(data.rstrip()):
        row = [read_number(word) for word in words]
        is_valid = len(row) == 150 and None not in row
        frames.append(np.array(row).reshape(2, 25, 3) if is_valid else None)
    return frames


def read_labels(data: bytes) -> dict[int, tuple[int, int, int] | None]:
    """Read line (from 1) -> class (from 1), start, end; None for lines that must be rejected."""
    text = data.removeprefix(b"\xef\xbb\xbf").rstrip().decode("utf-8", errors="replace")
    actions = {}
    for number, line in enumerate(text.split("\n"), start=1):
        fields = [field.strip() for field in line.split(",")]
        are_counts = all(re.fullmatch("[0-9]{1,9}", field) for field in fields[:3])
        is_valid = len(fields) == 4 and are_counts
        if line.strip():
            actions[number] = tuple(map(int, fields[:3])) if is_valid else None
    return actions
