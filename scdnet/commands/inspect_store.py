import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from scdnet.cli import command_parser
from scdnet.commands.store_report import compare_with_published, describe
from scdnet.data.store import SequenceStore, open_sequences
from scdnet.errors import ScdnetError


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
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
        help="draw this sequence, or several with commas between them: OUT.png a strip of poses, OUT.gif in motion",
    )
    return parser.parse_args(argv)


def find_sequence(store: SequenceStore, name: str) -> int:
    """The index of the sequence called `name`. Raises ScdnetError, with the names most alike, if there is none."""
    found = np.flatnonzero(store.table.name == name)
    if not len(found):
        alike = get_close_matches(name, store.table.name.tolist(), n=3, cutoff=0)
        raise ScdnetError(f"{store.path}: no sequence {name!r}; most alike: {', '.join(alike)}")
    return int(found[0])


def render_sequences(store: SequenceStore, names: Sequence[str], out: Path) -> int:
    """Draw the sequences called `names`; returns how many. Raises ScdnetError for unknown names or another suffix."""
    sequences = [store[find_sequence(store, name)] for name in names]
    from scdnet.viz.render import Drawing, render  # only here: the rest works without matplotlib

    render([Drawing(s.name, store.class_names[s.label], s.frames) for s in sequences], out)
    return len(sequences)


def draw_classes(store: SequenceStore, out: Path) -> int:
    """Draw one sequence of each class; returns how many. Raises ScdnetError for another suffix."""
    from scdnet.viz.contact_sheet import draw_contact_sheet  # only here, as above

    return draw_contact_sheet(store, out)


def check_matplotlib() -> None:
    """Raise ScdnetError if nothing can be drawn here."""
    if find_spec("matplotlib") is None:
        raise ScdnetError("drawing needs matplotlib: pip install scdnet[plot]")


def report(store: SequenceStore) -> None:
    """Print what the store holds, and on stderr where it is not what is published."""
    print(describe(store), flush=True)
    for line in compare_with_published(store):
        print(f"warning: {line}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> None:
    """Say what a sequence store holds, or draw sequences of it."""
    args = parse_arguments(argv)
    with open_sequences(args.store) as store:
        if not args.render and not args.contact_sheet:
            report(store)
            return
        check_matplotlib()
        if args.contact_sheet:
            out = args.contact_sheet
            num_drawn = draw_classes(store, out)
        else:
            names, out = args.render[0].split(","), Path(args.render[1])
            num_drawn = render_sequences(store, names, out)
        print(f"drew {num_drawn} of {len(store)} sequences in {out}")
