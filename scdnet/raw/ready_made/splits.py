"""Splits of ready-made files: keys such as `xsub_train` and the names under each."""

import re
import sys
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from scdnet.raw.raw_files import RawFileError, quote
from scdnet.raw.ready_made.sequence_names import SUFFIX, UNKNOWN_BENCHMARK

# The benchmark, the side, and a number where a dataset has several random splits, as in `train1`.
SPLIT_KEY = re.compile(
    r"(?:([a-z]\w*?)_?)??(?:(train|training)|(val|valid|validation|test|testing))_?(\d*)",
    re.IGNORECASE | re.ASCII,
)


class Side(NamedTuple):
    """A side of a benchmark, as the name of a split tells it."""

    benchmark: str
    is_train: bool


@dataclass
class Sides:
    """The splits of a file."""

    # Sequence -> benchmark -> whether it is in the training split.
    is_train: dict[str, dict[str, bool]] = field(default_factory=dict)
    # Sequences that are in both splits of a benchmark.
    contradicting: set[str] = field(default_factory=set)

    def add(self, name: str, side: Side) -> None:
        """Record that a split lists a sequence."""
        found = self.is_train.setdefault(name, {}).setdefault(side.benchmark, side.is_train)
        if found != side.is_train:
            self.contradicting.add(name)


def parse_split_key(key: str) -> Side | None:
    """Return the benchmark and the side that a key names: `xsub_val` is the test split of xsub.

    Without a benchmark, `train` and `val` belong to "custom", `train1` and `test1` to "split1". All
    that is not for training is test. Returns None if the key names no side.
    """
    match = SPLIT_KEY.fullmatch(key)
    if match is None:
        return None
    benchmark, train, _, number = match.groups()
    if benchmark is None:
        benchmark = f"split{number}" if number else UNKNOWN_BENCHMARK
    else:
        benchmark += number
    return Side(benchmark.lower(), train is not None)


def find_sides(split: Any, where: str) -> Sides:
    """Return the sides of all sequences, from a dict of lists of names.

    Warns of keys that name no side. Raises RawFileError if it is anything else.
    """
    if not isinstance(split, dict):
        found = type(split).__name__
        raise RawFileError(where, 0, f"expected a dict of lists of names as split, found a {found}")
    sides = Sides()
    for key, names in split.items():
        side = parse_split_key(key) if isinstance(key, str) else None
        if side is None:
            print(
                f"warning: {where}: the split {quote(str(key))} is not used; expected a name like "
                "xsub_train, xsub_val, train1 or test",
                file=sys.stderr,
            )
            continue
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
            raise RawFileError(where, 0, f"expected a list of names as split {quote(key)}")
        for name in names:
            sides.add(name.removesuffix(SUFFIX), side)
    return sides
