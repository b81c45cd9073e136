import os
import signal
import threading
from collections.abc import Callable

import pytest

from scdnet.config import Config
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.run import signals
from scdnet.engine.run.checkpoints import progress_of
from scdnet.engine.run.signals import stop_on_signals
from scdnet.engine.train.pretrain import pretrain
from tests.engine.runs import call_before_each_step


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """`at_step(n, do)`: `do` is called in the n-th training step from the start."""
    calls = {}
    call_before_each_step(monkeypatch, lambda step: calls.get(step, lambda: None)())
    return calls.__setitem__


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_after_the_step_with_a_checkpoint(
    small_config: Config, at_step, number: signal.Signals
):
    before = handlers()
    at_step(3, lambda: signal.raise_signal(number))
    with stop_on_signals() as stop:
        path = pretrain(small_config, stop=stop)
    assert stop.status == 128 + number
    # An epoch has two steps.
    assert progress_of(read_checkpoint(path).state) == (1, 1)
    assert handlers() == before


def test_a_second_interrupt_stops_at_once(small_config: Config, at_step):
    def interrupt_twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before = handlers()
    at_step(2, interrupt_twice)
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as stop:
        pretrain(small_config, stop=stop)
    assert not (small_config.run_dir / "last.pt").exists()
    assert handlers() == before


def test_a_signal_that_comes_too_late_stops_nothing(small_config: Config):
    config = small_config.model_copy(update={"eval_every": 2})
    with stop_on_signals() as stop:
        path = pretrain(
            config,
            stop=stop,
            score=lambda *_: signal.raise_signal(signal.SIGTERM) or {"knn@1": 1.0},
        )
    assert stop.status is None
    assert progress_of(read_checkpoint(path).state) == (2, 0)


def test_a_signal_whose_line_nobody_reads_still_stops_with_a_checkpoint(
    small_config: Config, at_step, monkeypatch: pytest.MonkeyPatch
):
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(signals, "STDERR", writer)
    at_step(1, lambda: signal.raise_signal(signal.SIGTERM))
    with stop_on_signals() as stop:
        path = pretrain(small_config, stop=stop)
    os.close(writer)
    assert stop.status == 143
    assert progress_of(read_checkpoint(path).state) == (0, 1)


def test_a_second_sigterm_changes_nothing():
    with stop_on_signals() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert stop.status == 143


def test_without_a_signal_there_is_no_status():
    with stop_on_signals() as stop:
        pass
    assert stop.status is None


def test_in_another_thread_signals_stay_as_they_are():
    before = handlers()
    seen = []

    def run() -> None:
        with stop_on_signals() as stop:
            seen.extend([*handlers(), stop.status])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [*before, None]


def test_a_run_called_from_python_has_the_signals_as_they_were(small_config: Config, at_step):
    before = handlers()
    seen = []

    def look() -> None:
        seen.extend(handlers())
        raise KeyboardInterrupt

    at_step(1, look)
    with pytest.raises(KeyboardInterrupt):
        pretrain(small_config)
    assert seen == before
