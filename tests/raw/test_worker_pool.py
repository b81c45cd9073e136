import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial

import pytest

from scdnet.raw import worker_pool
from scdnet.raw.worker_pool import (
    CHUNK_SIZE,
    CHUNKS_AHEAD,
    MAX_DEFAULT_WORKERS,
    WorkerError,
    default_workers,
    map_ordered,
)


def double(number: int) -> int:
    return 2 * number


def refuse_seven(number: int) -> int:
    if number == 7:
        raise KeyError(number)
    return number


def die(_: int) -> None:
    os._exit(1)


def process_id(_: int) -> int:
    return os.getpid()


class CountingList(list):
    """Remembers the farthest item that was asked for."""

    asked = 0

    def __getitem__(self, index):
        self.asked = max(self.asked, index.stop)
        return super().__getitem__(index)


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("count", [0, 1, CHUNK_SIZE, 5 * CHUNK_SIZE + 3])
def test_results_come_in_the_order_of_the_items(num_workers, count):
    found = list(map_ordered(double, range(count), num_workers=num_workers))
    assert found == [2 * i for i in range(count)]


def test_workers_may_be_spawned_as_on_windows_and_macos(monkeypatch):
    spawn = partial(ProcessPoolExecutor, mp_context=multiprocessing.get_context("spawn"))
    monkeypatch.setattr(worker_pool, "ProcessPoolExecutor", spawn)
    # One chunk: a second worker would only cost its start.
    assert list(map_ordered(double, range(3), num_workers=2)) == [0, 2, 4]


def test_one_worker_is_this_process_and_two_are_others():
    assert set(map_ordered(process_id, range(3), num_workers=1)) == {os.getpid()}
    assert os.getpid() not in set(map_ordered(process_id, range(3), num_workers=2))


def test_few_items_are_in_flight_however_many_wait():
    items = CountingList(range(100 * CHUNK_SIZE))
    with closing(map_ordered(double, items, num_workers=2)) as results:
        next(results)
        assert items.asked == 2 * CHUNKS_AHEAD * CHUNK_SIZE


def test_there_is_a_worker_for_each_core_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 5}, raising=False)
    assert default_workers() == 3
    # macOS and Windows have no affinity.
    monkeypatch.delattr(os, "sched_getaffinity")
    assert default_workers() == MAX_DEFAULT_WORKERS
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert default_workers() == 1


def test_errors_of_the_work_come_through():
    with pytest.raises(KeyError, match="7"):
        list(map_ordered(refuse_seven, range(20), num_workers=2))


def test_a_worker_that_dies_is_an_error_and_no_hang():
    with pytest.raises(WorkerError, match="a worker process died"):
        list(map_ordered(die, range(3), num_workers=2))
