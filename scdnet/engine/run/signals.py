"""Signals that ask a training to end, as SLURM and people send them."""

import os
import signal
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
    """A request to save a checkpoint and return after the current step."""

    # The signal that made the request; None if there is no request.
    signal: Signals | None = None

    @property
    def status(self) -> int | None:
        """Return the exit status of a stopped program, as shells have it, or None."""
        return None if self.signal is None else 128 + self.signal

    def is_made(self) -> bool:
        """Check whether this or another rank was asked; all ranks must call it together."""
        number = int(max(all_gather_scalar(self.signal or 0)))
        if number:
            self.signal = Signals(number)
        return number > 0


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Let SIGTERM and SIGINT only set the request; a second SIGINT interrupts at once.

    Outside of the main thread, where Python handles no signals, nothing changes.
    """
    request = StopRequest()
    owner = os.getpid()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(number: int, frame: FrameType | None) -> None:
        # Forked processes inherit the handler; the owner ends them.
        if os.getpid() != owner:
            return
        if number == SIGINT and request.signal == SIGINT:
            raise KeyboardInterrupt
        request.signal = Signals(number)
        again = "; interrupt again to stop at once without one" if number == SIGINT else ""
        line = f"{request.signal.name}: stopping after this step with a checkpoint{again}\n"
        # Not logged as usual, because the signal may have come in the middle of that. Whoever reads
        # stderr may be gone; the checkpoint matters more.
        with suppress(OSError):
            os.write(STDERR, line.encode())

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
