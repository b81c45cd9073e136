"""The `scdnet` command: `scdnet VERB ...`; `python -m scdnet` is the same."""

import sys
from importlib import import_module
from typing import NamedTuple, NoReturn

from scdnet.cli import BAD_INPUT, run_command
from scdnet.version import __version__


class Command(NamedTuple):
    """A verb of the command line."""

    module: str  # below scdnet.commands
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


def usage() -> str:
    """Return the help text, which lists all commands."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(
        f"  {verb:{width}}  {command.summary}" for verb, command in COMMANDS.items()
    )
    return f"usage: scdnet COMMAND ...\n\ncommands:\n{commands}\n\nscdnet COMMAND --help describes one of them."


def find_command(arguments: list[str]) -> tuple[str, list[str]] | None:
    """Split the arguments into a verb and the arguments of its command; None if they start with no verb."""
    for words in (2, 1):
        verb = " ".join(arguments[:words])
        if verb in COMMANDS:
            return verb, arguments[words:]
    return None


def main() -> NoReturn:
    """Run the command that the arguments name."""
    arguments = sys.argv[1:]
    if arguments in ([], ["-h"], ["--help"]):
        print(usage())
        sys.exit(0)
    if arguments == ["--version"]:
        print(f"scdnet {__version__}")
        sys.exit(0)
    found = find_command(arguments)
    if found is None:
        print(
            f"error: scdnet {' '.join(arguments[:2])}: unknown command\n\n{usage()}",
            file=sys.stderr,
        )
        sys.exit(BAD_INPUT)
    verb, rest = found
    command = import_module(f"scdnet.commands.{COMMANDS[verb].module}")
    run_command(lambda: command.main(rest))


if __name__ == "__main__":
    main()
