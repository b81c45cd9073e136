import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from scdnet.cli import command_parser, run_command
from scdnet.data.store import SequenceStore, open_sequences
from scdnet.errors import ScdnetError


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command_parser(main.__doc__)
    parser.add_argument("store", type=Path, help="sequence store, e.g. data/ntu60.h5")
    parser.add_argument(
        "--render",
        nargs=2,
        metavar=("NAME", "OUT"),
        help="draw this sequence, or several with commas between them: OUT.png a strip of poses, OUT.gif in motion",
    )
    return parser.parse_args(argv)


def describe(store: SequenceStore) -> str:
    """A few lines on what a store holds."""
    classes, per_class = np.unique(store.table.label, return_counts=True)
    lengths = np.diff(store.offset)
    lines = [
        f"{store.path}: {store.dataset}",
        f"{len(store)} sequences of {lengths.min()} to {lengths.max()} frames (median {np.median(lengths):.0f})",
        f"{len(classes)} classes with {per_class.min()} to {per_class.max()} sequences each",
    ]
    for benchmark in store.benchmarks:
        is_train = store.is_train(benchmark)
        lines.append(f"{benchmark}: {is_train.sum()} training, {(~is_train).sum()} test")
    return "\n".join(lines)


def find_sequence(store: SequenceStore, name: str) -> int:
    """The index of the sequence called `name`. Raises ScdnetError, with the names most alike, if there is none."""
    found = np.flatnonzero(store.table.name == name)
    if not len(found):
        alike = get_close_matches(name, store.table.name.tolist(), n=3, cutoff=0)
        raise ScdnetError(f"{store.path}: no sequence {name!r}; most alike: {', '.join(alike)}")
    return int(found[0])


def render_sequences(store: SequenceStore, names: Sequence[str], out: Path) -> None:
    """Draw the sequences called `names`. Raises ScdnetError without matplotlib, for unknown names or another suffix."""
    sequences = [store[find_sequence(store, name)] for name in names]
    if find_spec("matplotlib") is None:
        raise ScdnetError("--render needs matplotlib: pip install scdnet[plot]")
    from data_prep.render import Drawing, render  # only here: the rest works without matplotlib

    render([Drawing(s.name, store.class_names[s.label], s.frames) for s in sequences], out)


def main(argv: Sequence[str] | None = None) -> None:
    """Say what a sequence store holds, or draw sequences of it."""
    args = parse_arguments(argv)
    with open_sequences(args.store) as store:
        if args.render is None:
            print(describe(store))
            return
        names, out = args.render[0].split(","), Path(args.render[1])
        render_sequences(store, names, out)
        print(f"drew {len(names)} of {len(store)} sequences in {out}")


if __name__ == "__main__":
    run_command(main)
