"""What all commands share at their outer edge: how an error is shown."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from scdnet.errors import ScdnetError

BAD_INPUT = 2  # exit status, as argparse uses it


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and end the program with the status it returns (None: 0).

    What a user can put right (`ScdnetError`, a file the system refuses) is one line on stderr and status 2;
    with `--debug` among the arguments the traceback is shown instead. Ctrl-C ends with 130.
    """
    try:
        sys.exit(main())
    except (ScdnetError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        os._exit(130)
