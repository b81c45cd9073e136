"""An ordered map over worker processes that keeps little in flight and outlives no one."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from scdnet.errors import ScdnetError

BATCH = 16  # items handed over at a time: handing over costs little beside working on them
BATCHES_AHEAD = 3  # per worker; with their size it bounds the results that wait in memory
MAX_DEFAULT_WORKERS = 8  # more do not help: the one process that writes is then busy

Item, Result = TypeVar("Item"), TypeVar("Result")


class WorkerError(ScdnetError):
    """A worker process died."""


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers() -> int:
    """One worker per usable core, within reason."""
    return min(usable_cores(), MAX_DEFAULT_WORKERS)


def map_ordered(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, *, batch: int = BATCH
) -> Iterator[Result]:
    """`work(item)` of all items in their order, by `workers` processes (1: by this one, no other is started).

    `batch` items are handed over at a time: few where results are large, many where handing over costs more than work.
    `work`, items and results must be picklable. Raises WorkerError if a process dies; what `work` raises comes through.
    Close the iterator to stop early.
    """
    if workers == 1:
        yield from map(work, items)
        return
    pool = ProcessPoolExecutor(workers, initializer=_start_worker)
    pending = deque()
    try:
        for start in range(0, len(items), batch):
            pending.append(pool.submit(_work_batch, work, items[start : start + batch]))
            if len(pending) >= BATCHES_AHEAD * workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    except BrokenProcessPool:
        raise WorkerError(
            "a worker process died (killed, or out of memory?); nothing was written"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _work_batch(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [work(item) for item in items]


def _start_worker() -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all processes; the parent ends the workers
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    # A parent that is killed cannot end its workers; without this they would wait for work for ever.
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
