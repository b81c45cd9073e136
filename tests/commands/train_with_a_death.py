"""`scdnet train`, killed or stopped at a drawn event. No test itself; a script for torchrun too.

An event is a training step that begins, or a file that is renamed: a checkpoint, the metrics or the
config.
"""

import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from scdnet.engine.train import start as starting

WAITING = "waiting for the end"
TRAIN = Path(__file__).parents[2] / "tools" / "train.py"


def count_events(act: Callable[[int], None], *, renames: bool = True) -> None:
    """Let this process call `act` with the number, from 1 on, of each event; cannot be undone."""
    original = starting.train_step
    num_events = 0

    def count(name: str, args: tuple = ()) -> None:
        nonlocal num_events
        if name in ("step", "os.rename"):
            num_events += 1
            act(num_events)

    def step(*args: object, **kwargs: object) -> object:
        count("step")
        return original(*args, **kwargs)

    starting.train_step = step
    if renames:
        sys.addaudithook(count)


def die_at(event: int) -> Callable[[int], None]:
    """Return an action that kills this process at the event."""

    def act(number: int) -> None:
        if number == event:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def wait_for_signal_at(event: int, announce: Callable[[], None]) -> Callable[[int], None]:
    """Return an action that calls `announce` at the event and waits there for a signal."""

    def act(number: int) -> None:
        if number == event:
            reader, writer = os.pipe()
            os.set_blocking(writer, False)
            # Each signal writes a byte, whichever thread receives it.
            signal.set_wakeup_fd(writer)
            announce()
            os.read(reader, 1)
            signal.set_wakeup_fd(-1)

    return act


def stop_job() -> None:
    """Ask torchrun, the parent of this process, to stop."""
    os.kill(os.getppid(), signal.SIGTERM)


def announce_wait() -> None:
    """Tell the test that this process waits to be killed."""
    print(WAITING, file=sys.stderr, flush=True)


def run_train(arguments: list[str]) -> None:
    """Run tools/train.py in this process, and end it."""
    sys.argv = [str(TRAIN), *arguments]
    runpy.run_path(str(TRAIN), run_name="__main__")


if __name__ == "__main__":
    # $DIE_AT, $STOP_AT and $WAIT_AT count the steps of a rank in the first life of the job.
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        if os.environ["RANK"] == "1" and "DIE_AT" in os.environ:
            count_events(die_at(int(os.environ["DIE_AT"])), renames=False)
        if os.environ["RANK"] == "0" and "STOP_AT" in os.environ:
            stop = wait_for_signal_at(int(os.environ["STOP_AT"]), stop_job)
            count_events(stop, renames=False)
        if "WAIT_AT" in os.environ:
            wait = wait_for_signal_at(int(os.environ["WAIT_AT"]), announce_wait)
            count_events(wait, renames=False)
    run_train(sys.argv[1:])
