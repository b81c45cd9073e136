"""What all commands share at their outer edge: arguments, and how an error is shown."""

import argparse
import os
import select
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TextIO

from scdnet.errors import ScdnetError

FAILED = 1  # exit status, as Python uses it
BAD_INPUT = 2  # exit status, as argparse uses it
INTERRUPTED = 130  # exit status, as shells give it
UNREAD = 141  # the same: output that nobody reads any more, as with `| head`


def command_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the option that `run_command` looks for, which must not be abbreviated."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def config_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser for `-c CONFIG [key=value ...] [--debug]`; parse with `parse_intermixed_args`."""
    parser = command_parser(description)
    parser.add_argument(
        "-c", "--config", type=Path, required=True, help="YAML file, e.g. configs/ntu60_xsub.yaml"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="config values, e.g. optim.lr=0.02"
    )
    return parser


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and end the program with the status it returns (None: 0).

    What a user can put right (`ScdnetError`, a file the system refuses) is one line on stderr and status 2;
    with `--debug` among the arguments the traceback is shown instead. Ctrl-C ends with 130, a reader of the output
    that has gone, quietly, with 141.
    """
    try:
        status = main()
        sys.stdout.flush()  # here, where an error is still one of ours
        sys.exit(status)
    except Exception as error:
        unread = [stream for stream in (sys.stdout, sys.stderr) if _is_unread(stream, error)]
        if unread:
            _discard(unread)
            sys.exit(UNREAD)
        _end(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.stdout.flush()
        os._exit(
            INTERRUPTED
        )  # at once: an ordinary exit would wait for worker threads and processes


def _end(error: Exception) -> NoReturn:
    """Show the error and leave; one of several ranks at once: an exit could wait for those that wait for this one."""
    rank = os.environ.get("RANK")  # torchrun sets it
    is_explained = isinstance(error, ScdnetError | OSError) and "--debug" not in sys.argv
    if is_explained:
        text = " ".join(str(error).split())  # a library's message may have several lines
        print(f"error{f' on rank {rank}' if rank else ''}: {text}", file=sys.stderr)
    elif rank is None:
        raise error
    else:
        traceback.print_exception(error)
    status = BAD_INPUT if is_explained else FAILED
    if rank is None:
        sys.exit(status)
    sys.stdout.flush()
    os._exit(status)


def _is_unread(stream: TextIO, error: Exception) -> bool:
    """Whether it is this stream that `error` came from: a pipe whose reader has gone."""
    if not isinstance(error, BrokenPipeError):
        return False
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _discard(streams: list[TextIO]) -> None:
    """Send what is still to be written, at the latest when Python ends, to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())
