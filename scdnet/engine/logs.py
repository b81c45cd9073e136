"""Messages and progress bars on the terminal."""

import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Generic, Self, TypeVar

from tqdm import tqdm

from scdnet.engine.distributed import is_main

Metrics = dict[str, float]
Item = TypeVar("Item")


def log(text: str) -> None:
    """Write a line to stderr, above a progress bar if there is one; only the first rank does."""
    if is_main():
        # A closed stderr, or a log on a full disk, must not end a training.
        with suppress(OSError):
            tqdm.write(text, file=sys.stderr)


def progress_bar(items: Iterable[Item] | None = None, **options: Any) -> tqdm:
    """Return a progress bar with the `options` of tqdm, shown on terminals of the first rank."""
    return tqdm(items, **options, disable=None if is_main() else True)


class TimedIterator(Generic[Item]):
    """Yields the items of an iterable; `seconds` is the time spent waiting for them."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self.seconds = 0.0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        start = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.seconds += time.perf_counter() - start
