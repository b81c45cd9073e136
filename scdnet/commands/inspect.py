"""`scdnet inspect`: describe or draw the sequences of a store."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scdnet.cli import command_parser
from scdnet.commands.store_report import compare_with_published, describe
from scdnet.data.store import SequenceStore, open_sequences
from scdnet.viz.drawing import Drawing, check_matplotlib, find_sequence


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser("inspect", main.__doc__)
    parser.add_argument("store", type=Path, help="sequence store, e.g. data/ntu60.h5")
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument(
        "--contact-sheet", type=Path, metavar="OUT.png", help="draw one sequence of each class"
    )
    pictures.add_argument(
        "--render",
        nargs=2,
        metavar=("NAME", "OUT"),
        help="draw this sequence, or several comma-separated ones: "
        "OUT.png a strip of poses, OUT.gif an animation",
    )
    return parser.parse_args(argv)


def draw(store: SequenceStore, args: argparse.Namespace) -> str:
    """Draw the picture that the arguments ask for; returns the line to print."""
    check_matplotlib()
    # Matplotlib is an extra; reports of stores work without it.
    from scdnet.viz.contact_sheet import draw_contact_sheet
    from scdnet.viz.render import render

    if args.contact_sheet:
        out = args.contact_sheet
        num_drawn = draw_contact_sheet(store, out)
    else:
        names, out = args.render
        sequences = [store[find_sequence(store, name)] for name in names.split(",")]
        num_drawn = len(sequences)
        render(
            [Drawing(s.name, store.class_names[s.label], s.frames) for s in sequences], Path(out)
        )
    return f"Drew {num_drawn} of {len(store)} sequences: {out}"


def main(argv: Sequence[str] | None = None) -> None:
    """Describe the content of a sequence store, or draw sequences of it."""
    args = parse_arguments(argv)
    with open_sequences(args.store) as store:
        if args.render or args.contact_sheet:
            print(draw(store, args))
            return
        print(describe(store), flush=True)
        for line in compare_with_published(store):
            print(f"warning: {line}", file=sys.stderr)
