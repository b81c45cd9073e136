"""The text of JSON files: parsed, and its lists of numbers turned into arrays."""

import json

import numpy as np

from scdnet.raw.file_kinds import describe_bytes
from scdnet.raw.raw_files import MAX_COORDINATE, RawFileError, check_at_most

# Parsed, an empty list takes thirty times its text, and a short number ten times.
MAX_BRACKETS = 2**21
MAX_COMMAS = 2**23


def parse_json(data: bytes, where: str) -> object:
    """Parse JSON in any of its encodings. Raises RawFileError, with the line where known."""
    check_at_most(MAX_BRACKETS, data.count(b"[") + data.count(b"{"), "brackets", where)
    check_at_most(MAX_COMMAS, data.count(b","), "commas", where)
    try:
        return json.loads(data)
    # Besides errors of JSON: numbers of thousands of digits, brackets in brackets, no text.
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 0
        found = describe_bytes(data) or error
        raise RawFileError(where, line, f"not JSON ({found})") from None


def to_numbers(value: object, where: str, what: str) -> np.ndarray:
    """Turn nested lists of finite numbers into an array. Raises RawFileError, naming `what`."""
    try:
        array = np.asarray(value)
        if array.dtype.kind in "fiu" and (np.abs(array) < MAX_COORDINATE).all():
            return array.astype(np.float64)
    # Lists of different lengths, integers beyond any type.
    except (ValueError, OverflowError):
        pass
    raise RawFileError(where, 0, f"{what}: expected lists of finite numbers of equal length")
