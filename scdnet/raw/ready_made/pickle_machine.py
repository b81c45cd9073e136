"""The operations of pickles, and which of them are admitted; used by pickles.py."""

import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple, cast

from scdnet.raw.raw_files import quote
from scdnet.raw.ready_made.arrays import MAX_ARRAY_BYTES, Payload
from scdnet.raw.ready_made.pickle_objects import (
    GLOBALS,
    Known,
    PickleError,
    make_object,
    set_state,
)
from scdnet.raw.ready_made.sources import Source

# Texts and bytes that are longer stay in the file, as they can only be the numbers of an array.
MAX_INLINE = 256
# A text of protocol 0 ends with its line.
MAX_LINE_BYTES = 2**20


# Operation -> bytes of the length that precedes its text or bytes.
LENGTH_BYTES = {
    "BINSTRING": 4, "BINUNICODE": 4, "BINUNICODE8": 8, "BINBYTES": 4, "BINBYTES8": 8,
    "BYTEARRAY8": 8,
}  # fmt: skip
# Operations that put a number, a text or bytes on the stack, which `pickletools` has parsed.
PLAIN = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "SHORT_BINBYTES", *LENGTH_BYTES,
}  # fmt: skip
CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
# These do nothing here: frames only tell how much to read ahead.
IGNORED = ("PROTO", "FRAME")


class _Mark(NamedTuple):
    """The place on the stack where the items of a container begin."""


MARK = _Mark()


class BoundedFile:
    """A file of which no damaged length can ask for more than there is."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        start = file.tell()
        self._size = file.seek(0, 2)
        file.seek(start)
        self.tell = file.tell

    def read(self, num_bytes: int) -> bytes:
        """Read so many bytes. Raises ValueError if the file has fewer."""
        left = self._size - self.tell()
        if num_bytes > MAX_ARRAY_BYTES or num_bytes > left:
            raise ValueError(f"it needs {num_bytes} bytes more, of which {left} are there")
        return self._file.read(num_bytes)

    def readline(self) -> bytes:
        """Read a line, or as much of it as a text may have."""
        return self._file.readline(MAX_LINE_BYTES)


class PickleMachine:
    """The stack and the memo of a pickle, and its operations."""

    def __init__(self, source: Source, file: BoundedFile) -> None:
        self._source = source
        self._file = file
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Do all operations; return what is on the stack at the end."""
        operations = pickletools.genops(cast("IO[bytes]", self._file))
        for opcode, argument, position in operations:
            name = opcode.name
            if name in PLAIN:
                self._stack.append(self._plain(name, argument, position or 0))
            elif name in CONSTANTS:
                self._stack.append(CONSTANTS[name])
            elif name in OPERATIONS:
                OPERATIONS[name](self, argument)
            elif name not in IGNORED and name != "STOP":
                raise PickleError(f"it needs the operation {name} at byte {position}")
        value = self._pop()
        if self._stack or value is MARK:
            raise ValueError("it ends in the middle of a value")
        return value

    def _plain(self, name: str, argument: Any, position: int) -> Any:
        if name not in LENGTH_BYTES or len(argument) <= MAX_INLINE:
            return bytes(argument) if name == "BYTEARRAY8" else argument
        offset = position + 1 + LENGTH_BYTES[name]
        is_text = name.startswith("BINUNICODE")
        return Payload(offset, self._file.tell() - offset, len(argument), is_utf8=is_text)

    def _pop(self) -> Any:
        if not self._stack:
            raise ValueError("it takes a value that is not there")
        return self._stack.pop()

    def _top(self, kind: type, offset: int = -1) -> Any:
        if len(self._stack) < -offset or type(self._stack[offset]) is not kind:
            raise ValueError(f"it changes a {kind.__name__} that is none")
        return self._stack[offset]

    def _pop_to_mark(self) -> list[Any]:
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is MARK:
                items = self._stack[place + 1 :]
                del self._stack[place:]
                return items
        raise ValueError("the beginning of a container is missing")

    def mark(self, _: object) -> None:
        """Begin a container."""
        self._stack.append(MARK)

    def pop(self, _: object) -> None:
        """Drop the last value."""
        self._pop()

    def pop_mark(self, _: object) -> None:
        """Drop a container that was begun."""
        self._pop_to_mark()

    def duplicate(self, _: object) -> None:
        """Repeat the last value."""
        value = self._pop()
        self._stack += [value, value]

    def push_list(self, _: object) -> None:
        """Begin with an empty list."""
        self._stack.append([])

    def push_dict(self, _: object) -> None:
        """Begin with an empty dict."""
        self._stack.append({})

    def push_empty_tuple(self, _: object) -> None:
        """Add an empty tuple."""
        self._stack.append(())

    def make_list(self, _: object) -> None:
        """Make a list of the items since the mark."""
        self._stack.append(self._pop_to_mark())

    def make_tuple(self, _: object) -> None:
        """Make a tuple of the items since the mark."""
        self._stack.append(tuple(self._pop_to_mark()))

    def make_dict(self, _: object) -> None:
        """Make a dict of the keys and values since the mark."""
        items = self._pop_to_mark()
        self._stack.append({})
        self._fill(self._stack[-1], items)

    def make_short_tuple(self, count: int) -> None:
        """Make a tuple of the last values."""
        items = [self._pop() for _ in range(count)]
        self._stack.append(tuple(reversed(items)))

    def append(self, _: object) -> None:
        """Append the last value to a list."""
        value = self._pop()
        self._top(list).append(value)

    def extend(self, _: object) -> None:
        """Append the items since the mark to a list."""
        items = self._pop_to_mark()
        self._top(list).extend(items)

    def set_item(self, _: object) -> None:
        """Add the last key and value to a dict."""
        value = self._pop()
        key = self._pop()
        self._fill(self._top(dict), [key, value])

    def set_items(self, _: object) -> None:
        """Add the keys and values since the mark to a dict."""
        items = self._pop_to_mark()
        self._fill(self._top(dict), items)

    def _fill(self, target: dict[Any, Any], items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            # The hash of a nested tuple could take for ever.
            if type(key) not in (str, bytes, int, float, bool, type(None)):
                raise PickleError(f"a key of a dict is a {type(key).__name__}")
            target[key] = value

    def put(self, key: int) -> None:
        """Remember the last value under a number."""
        if not self._stack or self._stack[-1] is MARK:
            raise ValueError("it remembers a value that is not there")
        self._memo[key] = self._stack[-1]

    def memoize(self, _: object) -> None:
        """Remember the last value under the next number."""
        self.put(len(self._memo))

    def get(self, key: int) -> None:
        """Repeat a value that is remembered."""
        if key not in self._memo:
            raise ValueError("it recalls a value that it has not")
        self._stack.append(self._memo[key])

    def push_global(self, name: str) -> None:
        """Add what a name stands for. Raises PickleError if it is not admitted."""
        if name not in GLOBALS:
            raise PickleError(
                f"it names {quote(name.replace(' ', '.'))}, and only numpy arrays and scalars, "
                f"strings, numbers, lists, tuples and dicts are admitted"
            )
        self._stack.append(GLOBALS[name])

    def push_stacked_global(self, _: object) -> None:
        """Add what a module and a name, the last two values, stand for."""
        name = self._pop()
        module = self._pop()
        self.push_global(f"{module} {name}" if type(name) is type(module) is str else "?")

    def call(self, _: object) -> None:
        """Replace a function and its arguments by what it would return."""
        arguments = self._pop()
        function = self._pop()
        if type(function) is not Known or type(arguments) is not tuple:
            raise ValueError("it calls what is no function")
        self._stack.append(make_object(function, arguments, self._source))

    def build(self, _: object) -> None:
        """Set the content of an array, or the byte order of a type."""
        state = self._pop()
        set_state(self._stack[-1] if self._stack else None, state)


OPERATIONS: Mapping[str, Callable[[PickleMachine, Any], None]] = {
    "MARK": PickleMachine.mark,
    "POP": PickleMachine.pop,
    "POP_MARK": PickleMachine.pop_mark,
    "DUP": PickleMachine.duplicate,
    "EMPTY_LIST": PickleMachine.push_list,
    "EMPTY_DICT": PickleMachine.push_dict,
    "EMPTY_TUPLE": PickleMachine.push_empty_tuple,
    "LIST": PickleMachine.make_list,
    "TUPLE": PickleMachine.make_tuple,
    "DICT": PickleMachine.make_dict,
    "TUPLE1": lambda machine, _: machine.make_short_tuple(1),
    "TUPLE2": lambda machine, _: machine.make_short_tuple(2),
    "TUPLE3": lambda machine, _: machine.make_short_tuple(3),
    "APPEND": PickleMachine.append,
    "APPENDS": PickleMachine.extend,
    "SETITEM": PickleMachine.set_item,
    "SETITEMS": PickleMachine.set_items,
    "PUT": PickleMachine.put,
    "BINPUT": PickleMachine.put,
    "LONG_BINPUT": PickleMachine.put,
    "MEMOIZE": PickleMachine.memoize,
    "GET": PickleMachine.get,
    "BINGET": PickleMachine.get,
    "LONG_BINGET": PickleMachine.get,
    "GLOBAL": PickleMachine.push_global,
    "STACK_GLOBAL": PickleMachine.push_stacked_global,
    "REDUCE": PickleMachine.call,
    "BUILD": PickleMachine.build,
}
