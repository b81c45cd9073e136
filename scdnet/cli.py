"""What all commands share at their outer edge: arguments, and how an error is shown."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from scdnet.errors import ScdnetError

FAILED = 1  # exit status, as Python uses it
BAD_INPUT = 2  # exit status, as argparse uses it
INTERRUPTED = 130  # exit status, as shells give it


def command_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the option that `run_command` looks for, which must not be abbreviated."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def config_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser for `-c CONFIG [key=value ...] [--debug]`; parse with `parse_intermixed_args`."""
    parser = command_parser(description)
    parser.add_argument("-c", "--config", type=Path, required=True, help="YAML file, e.g. configs/ntu60_xsub.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="config values, e.g. optim.lr=0.02")
    return parser


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and end the program with the status it returns (None: 0).

    What a user can put right (`ScdnetError`, a file the system refuses) is one line on stderr and status 2;
    with `--debug` among the arguments the traceback is shown instead. Ctrl-C ends with 130. Any error ends one of
    several processes that work together at once: an ordinary exit could wait for those that wait for this one.
    """
    try:
        sys.exit(main())
    except Exception as error:
        rank = os.environ.get("RANK")  # torchrun sets it
        is_explained = isinstance(error, ScdnetError | OSError) and "--debug" not in sys.argv
        if is_explained:
            text = " ".join(str(error).split())  # a library's message may have several lines
            print(f"error{f' on rank {rank}' if rank else ''}: {text}", file=sys.stderr)
        elif rank is None:
            raise
        else:
            traceback.print_exc()
        status = BAD_INPUT if is_explained else FAILED
        if rank is None:
            sys.exit(status)
        sys.stdout.flush()
        os._exit(status)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.stdout.flush()
        os._exit(INTERRUPTED)  # at once: an ordinary exit would wait for worker threads and processes
