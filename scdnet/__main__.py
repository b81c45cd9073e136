"""The command line: `scdnet VERB ...`; `python -m scdnet` is the same."""

import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import NamedTuple, NoReturn

from scdnet.cli import BAD_INPUT, run_command
from scdnet.version import __version__


class Command(NamedTuple):
    """A verb of the command line."""

    # Its module within scdnet.commands, which is imported when the command runs.
    module: str
    summary: str


COMMANDS = {
    "demo": Command("demo", "synthetic recordings, pretraining and retrieval, in minutes on a CPU"),
    "prepare ntu": Command("prepare_ntu", "convert NTU RGB+D 60 or 120 to a sequence store"),
    "prepare pku": Command("prepare_pku", "convert PKU-MMD I or II to a sequence store"),
    "prepare custom": Command(
        "prepare_custom", "convert recordings of your own to a sequence store"
    ),
    "prepare demo": Command("prepare_demo", "write synthetic recordings as .skeleton files"),
    "inspect": Command("inspect_store", "describe or draw the sequences of a store"),
    "doctor": Command("doctor", "check whether a run can start"),
    "train": Command("train", "pretrain an encoder"),
    "evaluate": Command("evaluate", "run all evaluation protocols of a config"),
    "knn": Command("knn", "evaluate by kNN retrieval"),
    "linear": Command("linear", "evaluate by a linear probe"),
    "finetune": Command("finetune", "evaluate by fine-tuning, semi-supervised or transfer"),
    "extract": Command("extract", "write the features of a store to an HDF5 file"),
    "classify": Command("classify", "classify one recording"),
    "fuse": Command("fuse", "add up the scores of several streams"),
    "results": Command("results", "tabulate the results of many runs"),
    "sweep": Command("sweep", "pretrain and evaluate every row of a table"),
}


USAGE = """usage: scdnet COMMAND ...

commands:
{commands}

`scdnet COMMAND --help` describes a command.
"""


def usage() -> str:
    """Return the help text, which lists all commands."""
    width = max(map(len, COMMANDS))
    rows = [f"  {verb:{width}}  {command.summary}" for verb, command in COMMANDS.items()]
    return USAGE.format(commands="\n".join(rows))


def find_verb(arguments: Sequence[str]) -> str | None:
    """Return the verb that the arguments start with, of one word or two; None if there is none."""
    candidates = (" ".join(arguments[:words]) for words in (1, 2))
    return next((verb for verb in candidates if verb in COMMANDS), None)


def main() -> NoReturn:
    """Run the command that the arguments name."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        sys.exit(print(f"scdnet {__version__}"))
    if arguments in ([], ["-h"], ["--help"]):
        sys.exit(print(usage()))
    verb = find_verb(arguments)
    if verb is None:
        command = " ".join(arguments[:2])
        print(f"error: {command}: no such command\n\n{usage()}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    module = import_module(f"scdnet.commands.{COMMANDS[verb].module}")
    run_command(partial(module.main, arguments[len(verb.split()) :]))


if __name__ == "__main__":
    main()
