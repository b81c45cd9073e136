"""The outer edge of all commands: their arguments, and how an error is shown."""

import argparse
import os
import select
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TextIO

from scdnet.errors import ScdnetError
from scdnet.memory import describe_out_of_memory, is_out_of_memory

# Exit statuses: the first two as Python and argparse use them, the others as shells report signals.
FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141

# Options that have values which begin like an option.
DASHED_VALUES = {"--up": ("-y", "-z")}


class CommandParser(argparse.ArgumentParser):
    """A parser that takes `--up -y` as it takes `--up=-y`, where argparse sees an option -y."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments, after joining an option of DASHED_VALUES and its value."""
        joined: list[str] = []
        for argument in sys.argv[1:] if args is None else args:
            if joined and argument in DASHED_VALUES.get(joined[-1], ()):
                joined[-1] += f"={argument}"
            else:
                joined.append(argument)
        return super().parse_known_args(joined, namespace)


def command_parser(verb: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser for `scdnet <verb>`, with the option that `run_command` looks for."""
    # An abbreviated --debug would not be recognized there.
    parser = CommandParser(prog=f"scdnet {verb}", description=description, allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def config_parser(verb: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser for `-c CONFIG [key=value ...]`; call its `parse_intermixed_args`."""
    parser = command_parser(verb, description)
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        required=True,
        help="YAML file, or the name of a config of the package, e.g. ntu60_xsub",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="config values, e.g. optim.lr=0.02"
    )
    return parser


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and end the program with the status that it returns (None: 0).

    An error that a user can fix (`ScdnetError`, a file that the system refuses, memory that ran
    out) becomes one line on stderr and status 2; `--debug` shows the traceback instead. Ctrl-C ends
    with 130, and a closed output pipe, as in `| head`, silently with 141.
    """
    try:
        status = main()
        # Flush here, where a broken pipe is still handled below.
        sys.stdout.flush()
        sys.exit(status)
    except BrokenPipeError as error:
        closed = [stream for stream in (sys.stdout, sys.stderr) if _is_closed(stream)]
        if not closed:
            _end(error)
        for stream in closed:
            _discard(stream)
        sys.exit(BROKEN_PIPE)
    except Exception as error:
        _end(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.stdout.flush()
        # An ordinary exit would wait for worker threads and processes.
        os._exit(INTERRUPTED)


def _end(error: Exception) -> NoReturn:
    """Show the error and exit.

    Under torchrun exit at once: exit handlers could wait for other ranks.
    """
    rank = os.environ.get("RANK")
    is_memory = is_out_of_memory(error)
    is_users = is_memory or isinstance(error, ScdnetError | OSError)
    is_explained = is_users and "--debug" not in sys.argv
    if is_explained:
        text = " ".join(_describe(error).split())
        if is_memory:
            # A command that knows which key to lower has said so itself.
            text = describe_out_of_memory(error, "lower the batch size or workers, or free memory")
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


def _describe(error: Exception) -> str:
    """Return what an error tells; of a file that the system refuses, its name comes first."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _is_closed(stream: TextIO) -> bool:
    """Check whether nobody reads the pipe that a stream writes to."""
    # Windows has no poll; there the pipe that broke is taken to be that of the output.
    if not hasattr(select, "poll"):
        return stream is sys.stdout
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _discard(stream: TextIO) -> None:
    """Send what is still to be written, at the latest when Python ends, to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
