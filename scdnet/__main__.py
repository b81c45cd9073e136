"""The command line: `scdnet VERB ...`; `python -m scdnet` is the same."""

import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import NoReturn

from scdnet.cli import BAD_INPUT, run_command
from scdnet.version import __version__

# The summary of each command, by its verb; `prepare ntu` is scdnet/commands/prepare_ntu.py.
COMMANDS = {
    "demo": "synthetic recordings, pretraining and retrieval, in minutes on a CPU",
    "prepare ntu": "convert NTU RGB+D 60 or 120 to a sequence store",
    "prepare pku": "convert PKU-MMD I or II to a sequence store",
    "prepare custom": "convert recordings of your own to a sequence store",
    "prepare import": "convert files of other projects (pyskl, CTR-GCN, ...) to a sequence store",
    "prepare demo": "write synthetic recordings as .skeleton files",
    "prepare synthetic": "write a store of synthetic people in random actions",
    "inspect": "describe or draw the sequences of a store",
    "doctor": "check whether a run can start",
    "train": "pretrain an encoder",
    "evaluate": "run all evaluation protocols of a config",
    "knn": "evaluate by kNN retrieval",
    "linear": "evaluate by a linear probe",
    "finetune": "evaluate by fine-tuning, semi-supervised or transfer",
    "extract": "write the features of a store to an HDF5 file",
    "classify": "classify one recording",
    "report": "write a page on what an encoder learned, to open in a browser",
    "export": "write an encoder to a directory that can be shared, or as ONNX",
    "embed": "write the features of recordings, or of windows of long ones",
    "search": "find the recordings or moments that are most similar to a recording",
    "fuse": "add up the scores of several streams",
    "results": "tabulate the results of many runs",
    "sweep": "pretrain and evaluate every row of a table",
}

USAGE = """usage: scdnet COMMAND ...

Self-supervised skeleton-based action recognition, from recordings to a score.

commands:
{commands}

`scdnet COMMAND --help` describes a command, `scdnet --version` prints the version.
"""


def usage() -> str:
    """Return the help text, which lists all commands."""
    width = max(map(len, COMMANDS))
    rows = [f"  {verb:{width}}  {summary}" for verb, summary in COMMANDS.items()]
    return USAGE.format(commands="\n".join(rows))


def run_verb(verb: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command of a verb with `arguments`, by default those of the process, and exit."""
    command = import_module(f"scdnet.commands.{verb.replace(' ', '_')}")
    run_command(partial(command.main, arguments))


def main() -> NoReturn:
    """Run the command that the arguments name, and exit."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print(f"scdnet {__version__}")
        sys.exit()
    # A verb has one word or two.
    for words in (1, 2):
        verb = " ".join(arguments[:words])
        if verb in COMMANDS:
            run_verb(verb, arguments[words:])
    # `scdnet prepare` alone is no command, but asks for help as well.
    if not arguments or arguments[-1] in ("-h", "--help"):
        print(usage())
        sys.exit()
    print(f"error: {' '.join(arguments[:2])}: no such command\n\n{usage()}", file=sys.stderr)
    sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
