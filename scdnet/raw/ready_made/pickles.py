"""Read pickles of numbers, texts, containers and numpy arrays, without running what they name.

`pickle` calls whatever a file names, and holds all arrays in memory. Here each operation is one of
pickle_machine.py; a file that needs another one is refused. Arrays stay in the file until they are
read.
"""

from typing import Any

from scdnet.files import DAMAGED_FILE_ERRORS
from scdnet.raw.raw_files import RawFileError, quote, reason_of
from scdnet.raw.ready_made.arrays import StoredArray, open_npy
from scdnet.raw.ready_made.pickle_machine import BoundedFile, PickleMachine
from scdnet.raw.ready_made.pickle_objects import PickleError
from scdnet.raw.ready_made.scratch import format_size
from scdnet.raw.ready_made.sources import Source

# Reading a larger pickle takes so long that a line says so.
LARGE_BYTES = 2**28


def read_pickle(source: Source, *, start: int = 0) -> Any:
    """Read the pickle that begins at byte `start` of a file.

    Returns None, bool, int, float, str, bytes, list, tuple and dict, nested; numpy scalars become
    these, too. Arrays become StoredArray, as yet unread, and long texts or bytes a Payload, which
    no caller takes for a text. Raises RawFileError for a damaged file and for anything else.
    """
    try:
        size = source.path.stat().st_size
        if size > LARGE_BYTES:
            print(f"Reading the list of arrays in {source.where}: {format_size(size)}", flush=True)
        with source.path.open("rb") as file:
            file.seek(start)
            return PickleMachine(source, BoundedFile(file)).run()
    except RawFileError:
        raise
    except PickleError as error:
        raise RawFileError(source.where, 0, f"refused as a pickle: {error}") from error
    except DAMAGED_FILE_ERRORS as error:
        raise RawFileError(
            source.where, 0, f"not a readable pickle ({reason_of(error)})"
        ) from error


def read_object_npy(source: Source) -> Any:
    """Read the object that `numpy.save` has pickled into a `.npy` file, as an array without axes.

    Returns what `read_pickle` does. Raises RawFileError.
    """
    header = open_npy(source)
    if not header.dtype.hasobject:
        raise RawFileError(
            source.where,
            0,
            f"expected a pickled object, found {header.dtype} of shape {header.shape}",
        )
    array = read_pickle(source, start=header.offset)
    if not isinstance(array, StoredArray) or array.items is None or len(array.items) != 1:
        raise RawFileError(source.where, 0, "expected a single pickled object")
    return array.items[0]


def describe(value: Any) -> str:
    """Return a value of a pickle as messages show it: short, and without what is inside it."""
    if isinstance(value, StoredArray):
        return f"{value.code} of shape {value.shape}"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return quote(str(value)).strip("'")
    return "none" if value is None else f"a {type(value).__name__}"
