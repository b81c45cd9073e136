"""Signals that ask a training to end, as SLURM and people send them."""

import os
import signal as signals
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from signal import SIGINT, SIGTERM, Signals
from types import FrameType

from scdnet.engine.distributed import all_gather_scalar

SIGNALS = (SIGTERM, SIGINT)
STDERR = 2


@dataclass
class StopRequest:
    """Asks a training to save and return after the step it is in."""

    signal: Signals | None = None  # what asked for it; None: nothing yet

    @property
    def status(self) -> int | None:
        """The exit status of a program that was asked to stop, as shells have it; None if it was not."""
        return None if self.signal is None else 128 + self.signal

    def is_made(self) -> bool:
        """Whether this rank or another was asked; all ranks call it at the same places and hear the same."""
        number = int(max(all_gather_scalar(self.signal or 0)))
        if number:
            self.signal = Signals(number)
        return number > 0


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within it SIGTERM and SIGINT only set the request; a second SIGINT interrupts at once.

    Outside of the main thread, where Python takes no signals, nothing is changed.
    """
    request, owner = StopRequest(), os.getpid()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a process forked off, which is ended by this one
            return
        if number == SIGINT and request.signal == SIGINT:
            raise KeyboardInterrupt
        request.signal = Signals(number)
        again = "; once more: at once, without one" if number == SIGINT else ""
        line = f"{request.signal.name}: stopping after this step, with a checkpoint{again}\n"
        with suppress(OSError):  # whoever read it may be gone; the checkpoint matters more
            os.write(
                STDERR, line.encode()
            )  # not by `say`, in the midst of which the signal may have come

    before = {number: signals.signal(number, handle) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signals.signal(number, handler)
