"""What all commands share at their outer edge: arguments, and how an error is shown."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from scdnet.errors import ScdnetError

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
    rank = os.environ.get("RANK")  # as torchrun sets it
    try:
        sys.exit(main())
    except (ScdnetError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        text = " ".join(str(error).split())  # a library's message may have several lines
        print(f"error: {text}" if rank is None else f"error on rank {rank}: {text}", file=sys.stderr)
        if rank is not None:
            sys.stdout.flush()
            os._exit(BAD_INPUT)
        sys.exit(BAD_INPUT)
    except Exception:
        if rank is None:
            raise
        traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.stdout.flush()
        os._exit(INTERRUPTED)  # at once: an ordinary exit would wait for worker threads and processes
