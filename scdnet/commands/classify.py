import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scdnet import load_classifier, open_sequences
from scdnet.cli import command_parser
from scdnet.commands import prepare_ntu as ntu_gendata
from scdnet.commands.inspect_store import check_matplotlib, find_sequence
from scdnet.data.store import SequenceStore
from scdnet.errors import ScdnetError
from scdnet.eval.classify import Prediction
from scdnet.eval.feature_table import FeatureTable
from scdnet.files import file_sha256
from scdnet.raw import custom_file, custom_frames
from scdnet.raw.layouts import LAYOUTS
from scdnet.raw.raw_files import RawFile

NUM_CLASSES = 5  # that are printed


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command_parser("classify", main.__doc__)
    parser.add_argument(
        "recording", type=Path, help="a .skeleton of NTU RGB+D, or an .npz or .csv of your own"
    )
    parser.add_argument(
        "--checkpoint", required=True, metavar="PATH", help="ours, or the authors' with --heads"
    )
    parser.add_argument(
        "--features",
        required=True,
        metavar="FILE",
        help="tools/extract_features.py made it with that",
    )
    parser.add_argument(
        "--heads", type=int, metavar="N", help="attention heads, where the checkpoint does not say"
    )
    parser.add_argument(
        "--layout", choices=LAYOUTS, help="of .npz and .csv: which joints, in which order"
    )
    parser.add_argument(
        "--unit", choices=custom_frames.UNITS, help="of .npz and .csv: unit of the positions"
    )
    parser.add_argument(
        "--up",
        choices=custom_frames.UP_ROTATIONS,
        help="of .npz and .csv: axis that points up, e.g. --up=-y",
    )
    parser.add_argument(
        "--render",
        type=Path,
        metavar="OUT",
        help="draw it beside what is most similar: .png or .gif",
    )
    parser.add_argument(
        "--store", type=Path, help="with --render: where the store of the features is, if it moved"
    )
    return parser.parse_args(argv)


def read_recording(path: Path, capture: custom_frames.CaptureSpec) -> np.ndarray:
    """The recording as a store holds it: float32 (T, M, V, C). Raises ScdnetError."""
    suffix, suffixes = path.suffix.lower(), (ntu_gendata.SUFFIX, *custom_file.SUFFIXES)
    own = suffix in custom_file.SUFFIXES
    if suffix not in suffixes:
        raise ScdnetError(f"{path}: expected a name that ends in one of {', '.join(suffixes)}")
    for option, value in capture._asdict().items():
        if own != (value is not None):
            raise ScdnetError(
                f"{path}: --{option} is {'needed' if own else 'not'} for a {path.suffix} file"
            )
    file = RawFile(str(path))
    if own:
        return custom_frames.read_frames(file.read(), file.where, capture)
    return ntu_gendata.read_frames(file.read(), file.where)


def check_drawing(out: Path, known: FeatureTable, store: Path) -> None:
    """Raise ScdnetError if nothing can be drawn into `out`, or `store` is not what the features were made from."""
    check_matplotlib()
    from scdnet.viz.render import find_painter  # only here: the rest works without matplotlib

    find_painter(out)
    if not store.is_file():
        raise ScdnetError(
            f"{store}: the store that the features were made from is not there; --store says where it is"
        )
    if file_sha256(store) != known.store_sha256:
        raise ScdnetError(
            f"{store}: not the store that the features were made from, {known.store}: its hash differs"
        )


def format_answer(recording: Path, answer: Prediction, known: FeatureTable) -> str:
    """The answer for the eye."""
    likely = list(answer.probabilities.items())[:NUM_CLASSES]
    width = max(len(neighbour.class_name) for neighbour in answer.neighbours)
    lines = [
        f"{recording}, by {len(known.x)} known sequences of {len(answer.probabilities)} classes",
        "",
    ]
    lines += [
        "probability  class",
        *(f"{100 * chance:>9.1f} %  {name}" for name, chance in likely),
        "",
    ]
    lines += [f"similarity   {'class':<{width}}  sequence"]
    lines += [
        f"{n.similarity:>10.3f}   {n.class_name:<{width}}  {n.name}" for n in answer.neighbours
    ]
    return "\n".join(lines)


def draw_answer(
    recording: Path, frames: np.ndarray, answer: Prediction, store: SequenceStore, out: Path
) -> None:
    """Draw the recording, marked, and its neighbours."""
    from scdnet.viz.render import Drawing, render  # only here, as above

    name, chance = next(iter(answer.probabilities.items()))
    drawings = [Drawing(recording.stem, f"{100 * chance:.0f} % {name}", frames, is_marked=True)]
    for neighbour in answer.neighbours:
        known = store[find_sequence(store, neighbour.name)]
        drawings.append(
            Drawing(known.name, f"{neighbour.similarity:.3f} {neighbour.class_name}", known.frames)
        )
    render(drawings, out)


def main(argv: Sequence[str] | None = None) -> None:
    """Say what a recording shows: probabilities of classes, by a linear probe on known ones, and the most similar."""
    args = parse_arguments(argv)
    if args.store and not args.render:
        raise ScdnetError("--store is for --render, which is not given")
    frames = read_recording(
        args.recording, custom_frames.CaptureSpec(args.layout, args.unit, args.up)
    )
    classifier = load_classifier(args.checkpoint, args.features, num_heads=args.heads)
    store = args.store or Path(classifier.known.store)
    if args.render:
        check_drawing(args.render, classifier.known, store)
    answer = classifier(frames)
    print(format_answer(args.recording, answer, classifier.known))
    if args.render:
        with open_sequences(store) as sequences:
            draw_answer(args.recording, frames, answer, sequences, args.render)
        print(f"\ndrawn in {args.render}")
