"""Labels beside arrays: pickled lists of names and labels, and `.npy` files of integers."""

from typing import Any

from scdnet.raw.raw_files import RawFileError, check_at_most, quote
from scdnet.raw.ready_made.arrays import StoredArray, open_npy
from scdnet.raw.ready_made.pickles import read_pickle
from scdnet.raw.ready_made.sources import Source

# NTU-120 has 113,945 sequences.
MAX_SEQUENCES = 10_000_000
# A damaged label could ask for any number of class names.
MAX_LABEL = 10_000


def read_label_pickle(source: Source) -> tuple[list[str], list[int]]:
    """Read a pickle of two lists, names and labels. Raises RawFileError."""
    content = read_pickle(source)
    if type(content) not in (tuple, list) or len(content) != 2:
        raise RawFileError(source.where, 0, "expected two lists, names and labels")
    names = _items(content[0], source)
    labels = _items(content[1], source)
    if not all(type(name) is str for name in names):
        raise RawFileError(source.where, 0, "expected names as texts")
    if len(names) != len(labels):
        raise RawFileError(
            source.where,
            0,
            f"expected as many names as labels, found {len(names)} and {len(labels)}",
        )
    return names, [_integer(label, source) for label in labels]


def _items(values: Any, source: Source) -> list[Any]:
    if type(values) is StoredArray:
        values = values.read().ravel().tolist() if values.items is None else values.items
    if type(values) not in (list, tuple):
        raise RawFileError(source.where, 0, "expected two lists, names and labels")
    return list(values)


def _integer(value: Any, source: Source) -> int:
    """Return a label, which some scripts write as a float. Raises RawFileError."""
    is_integer = type(value) is int or (type(value) is float and value.is_integer())
    if not is_integer or not 0 <= value <= MAX_LABEL:
        raise RawFileError(
            source.where, 0, f"expected integers in 0..{MAX_LABEL}, found {quote(str(value))}"
        )
    return int(value)


def read_integers(source: Source) -> list[int]:
    """Read integers from a `.npy` file of shape (N) or (N, 1). Raises RawFileError."""
    array = open_npy(source)
    is_list = len(array.shape) == 1 or (len(array.shape) == 2 and array.shape[1] == 1)
    if array.dtype.kind not in "iuf" or not is_list:
        raise RawFileError(
            source.where, 0, f"expected one integer a row, found {array.dtype}, {array.shape}"
        )
    check_at_most(MAX_SEQUENCES, array.shape[0], "rows", source.where)
    return [_integer(value, source) for value in array.map().ravel().tolist()]
