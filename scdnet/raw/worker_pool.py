"""An ordered map over worker processes, with bounded memory and no process left behind."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from scdnet.errors import ScdnetError

# Items that a worker takes at a time, so that sending them costs little beside the work on them.
CHUNK_SIZE = 16
# Chunks in flight per worker; together with their size they bound the results that wait in memory.
CHUNKS_AHEAD = 3
# More workers do not help, because a single process writes what they return.
MAX_DEFAULT_WORKERS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerError(ScdnetError):
    """A worker process died."""


def usable_cores() -> int:
    """Count the cores that this process may use."""
    # macOS and Windows have no affinity.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_workers() -> int:
    """Return the number of usable cores, at most MAX_DEFAULT_WORKERS."""
    return min(usable_cores(), MAX_DEFAULT_WORKERS)


def map_ordered(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    num_workers: int,
    chunk_size: int = CHUNK_SIZE,
) -> Generator[Result, None, None]:
    """Yield `work(item)` for all items in their order, computed by `num_workers` processes.

    With one worker, this process does the work. `work`, items and results must be picklable;
    results wait in memory, so `chunk_size` should be small where they are large. Close the
    generator to stop early. Raises WorkerError if a process dies, and whatever `work` raises.
    """
    if num_workers == 1:
        yield from map(work, items)
        return
    pool = ProcessPoolExecutor(num_workers, initializer=_start_worker)
    pending: deque[Future[list[Result]]] = deque()
    try:
        for start in range(0, len(items), chunk_size):
            pending.append(pool.submit(_work_on_chunk, work, items[start : start + chunk_size]))
            if len(pending) >= CHUNKS_AHEAD * num_workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    except BrokenProcessPool:
        raise WorkerError(
            "a worker process died, perhaps for lack of memory; nothing was written; "
            "try fewer workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _work_on_chunk(work: Callable[[Item], Result], chunk: Sequence[Item]) -> list[Result]:
    return [work(item) for item in chunk]


def _start_worker() -> None:
    """Prepare a worker process, whether it was forked or spawned."""
    # Ctrl-C reaches all processes of a terminal; the parent stops the workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    # A parent that is killed cannot stop its workers, which would wait for work for ever.
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in worker processes only"
    wait([parent.sentinel])
    os._exit(1)
