import os
import signal
from contextlib import closing

import pytest

from scdnet.raw.worker_pool import (
    BATCH,
    BATCHES_AHEAD,
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
    os.kill(os.getpid(), signal.SIGKILL)


def work_of_process(_: int) -> int:
    return os.getpid()


class CountingList(list):
    """Remembers the farthest item that was asked for."""

    asked = 0

    def __getitem__(self, index):
        self.asked = max(self.asked, index.stop)
        return super().__getitem__(index)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("count", [0, 1, BATCH, 5 * BATCH + 3])
def test_results_come_in_the_order_of_the_items(workers, count):
    assert list(map_ordered(double, range(count), workers)) == [2 * i for i in range(count)]


def test_one_worker_is_this_process_and_two_are_others():
    assert set(map_ordered(work_of_process, range(3), 1)) == {os.getpid()}
    assert os.getpid() not in set(map_ordered(work_of_process, range(3), 2))


def test_little_is_in_flight_however_many_items_wait():
    items = CountingList(range(100 * BATCH))
    with closing(map_ordered(double, items, 2)) as results:
        next(results)
        assert items.asked == 2 * BATCHES_AHEAD * BATCH


def test_there_is_a_worker_for_each_core_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 5}, raising=False)
    assert default_workers() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert default_workers() == MAX_DEFAULT_WORKERS
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert default_workers() == 1


def test_what_the_work_raises_comes_through():
    with pytest.raises(KeyError, match="7"):
        list(map_ordered(refuse_seven, range(20), 2))


def test_a_killed_worker_is_an_error_and_no_hang():
    with pytest.raises(WorkerError, match="a worker process died"):
        list(map_ordered(die, range(3), 2))
