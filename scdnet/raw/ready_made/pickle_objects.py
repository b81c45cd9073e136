"""The objects of numpy that a pickle may name; used by pickle_machine.py."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from scdnet.raw.ready_made.arrays import Payload, StoredArray, TypeCode
from scdnet.raw.ready_made.sources import Source


class PickleError(ValueError):
    """A pickle that needs what is not admitted; damage is any other ValueError."""


class Known(Enum):
    """The functions and classes that a pickle may name; none of them is called."""

    ARRAY = "an array"
    EMPTY_ARRAY = "an array to fill"
    ARRAY_OF_BUFFER = "an array from its bytes"
    SCALAR = "a numpy number"
    TYPE = "a numpy type"
    ENCODED_TEXT = "bytes, written as text by protocol 2"
    NO_BYTES = "bytes, of which protocol 2 writes empty ones so"


# The modules have an underscore since numpy 2.
GLOBALS: Mapping[str, Known] = {
    "numpy ndarray": Known.ARRAY,
    "numpy dtype": Known.TYPE,
    "numpy.core.multiarray _reconstruct": Known.EMPTY_ARRAY,
    "numpy._core.multiarray _reconstruct": Known.EMPTY_ARRAY,
    "numpy.core.numeric _frombuffer": Known.ARRAY_OF_BUFFER,
    "numpy._core.numeric _frombuffer": Known.ARRAY_OF_BUFFER,
    "numpy.core.multiarray scalar": Known.SCALAR,
    "numpy._core.multiarray scalar": Known.SCALAR,
    "_codecs encode": Known.ENCODED_TEXT,
    "__builtin__ bytes": Known.NO_BYTES,
    "builtins bytes": Known.NO_BYTES,
}


def make_object(function: Known, arguments: tuple[Any, ...], source: Source) -> Any:
    """Return what a known function would make of its arguments. Raises PickleError."""
    match function, arguments:
        case Known.EMPTY_ARRAY, (Known.ARRAY, (0,), _):
            return StoredArray(source.path, source.where)
        case Known.ARRAY_OF_BUFFER, (
            data,
            TypeCode() as code,
            tuple() as shape,
            "C" | "F" as order,
        ):
            array = StoredArray(source.path, source.where)
            array.fill(shape, code, data, is_fortran=order == "F")
            return array
        case Known.TYPE, (str() | bytes() as code, *_):
            return TypeCode(code)
        case Known.SCALAR, (TypeCode() as code, bytes() | str() | Payload() as data):
            scalar = StoredArray(source.path, source.where)
            scalar.fill((), code, data)
            return scalar.read().item()
        case Known.ENCODED_TEXT, (str() as text, "latin1" | "latin-1"):
            return text.encode("latin-1")
        case Known.ENCODED_TEXT, (Payload() as data, "latin1" | "latin-1"):
            return data
        case Known.NO_BYTES, ():
            return b""
    raise PickleError(f"it makes {function.value} in an unknown way")


def set_state(target: Any, state: Any) -> None:
    """Set the content of an array, or the byte order of a type. Raises PickleError."""
    match target, state:
        case TypeCode() as code, (_, str() | bytes() as order, None, None, None, *_):
            code.set_order(order)
        case (
            StoredArray() as array,
            (_, tuple() as shape, TypeCode() as code, bool() | int() as is_fortran, data),
        ):
            array.fill(shape, code, data, is_fortran=bool(is_fortran))
        case _:
            raise PickleError("it changes an object other than an array")
