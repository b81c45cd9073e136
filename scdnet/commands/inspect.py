"""`scdnet inspect`: describe or draw the sequences of a store."""

import sys
from collections.abc import Sequence
from pathlib import Path

from scdnet.cli import command_parser
from scdnet.commands.store_report import compare_with_published, describe
from scdnet.data.store import VERSION, SequenceStore, open_sequences
from scdnet.viz.drawing import Drawing, check_picture, find_sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Describe the content of a sequence store, or draw sequences of it."""
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
    pictures.add_argument(
        "--skeleton",
        type=Path,
        metavar="OUT",
        help="draw the joints of the store, with numbers and names: OUT.png or OUT.svg",
    )
    pictures.add_argument(
        "--verify", action="store_true", help="read all of the store and verify its checksums"
    )
    args = parser.parse_args(argv)
    with open_sequences(args.store) as store:
        if args.contact_sheet:
            draw_classes(store, args.contact_sheet)
        elif args.skeleton:
            draw_joints(store, args.skeleton)
        elif args.render:
            names, out = args.render
            # A name may contain commas.
            is_one = names in store.table.name
            draw_sequences(store, [names] if is_one else names.split(","), Path(out))
        elif args.verify:
            verify(store)
        else:
            print(describe(store), flush=True)
            for line in compare_with_published(store):
                print(f"warning: {line}", file=sys.stderr)


def verify(store: SequenceStore) -> None:
    """Read all frames and report that they are as written; opening has verified the rest."""
    store.verify()
    print(f"{store.path}: all is as written: {len(store):,} sequences, {store.offset[-1]:,} frames")
    if store.version < VERSION:
        print(
            f"warning: {store.path}: version {store.version} has no checksums of single sequences "
            "and attributes; convert the recordings again to have them",
            file=sys.stderr,
        )


def draw_classes(store: SequenceStore, out: Path) -> None:
    """Draw a sequence of each class into a PNG."""
    check_picture(out, (".png",))
    # Matplotlib is an extra; reports of stores work without it.
    from scdnet.viz.contact_sheet import draw_contact_sheet

    num_drawn = draw_contact_sheet(store, out)
    print(f"Drew {num_drawn} of {len(store)} sequences: {out}")


def draw_joints(store: SequenceStore, out: Path) -> None:
    """Draw the skeleton of a store, as a viewer in front sees it, into a PNG or SVG."""
    check_picture(out, (".png", ".svg"))
    from scdnet.viz.skeleton_chart import draw_skeleton, front_pose

    draw_skeleton(store.skeleton, front_pose(store), out)
    print(f"Drew the {store.skeleton.num_joints} joints of {store.skeleton.name}: {out}")


def draw_sequences(store: SequenceStore, names: Sequence[str], out: Path) -> None:
    """Draw the sequences with these names into a PNG or GIF."""
    check_picture(out)
    from scdnet.viz.render import render

    sequences = [store[find_sequence(store, name)] for name in names]
    drawings = [
        Drawing(s.name, store.class_names[s.label], s.frames, store.skeleton) for s in sequences
    ]
    render(drawings, out)
    print(f"Drew {len(sequences)} of {len(store)} sequences: {out}")
