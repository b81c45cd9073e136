"""`scdnet classify`: classify one recording."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from scdnet import load_classifier, open_sequences
from scdnet.cli import command_parser
from scdnet.commands.capture import add_capture_arguments, read_frames
from scdnet.data.store import SequenceStore
from scdnet.errors import ScdnetError
from scdnet.eval.classify import Prediction
from scdnet.eval.feature_table import FeatureTable
from scdnet.raw.joint_mapping import can_be_mapped
from scdnet.skeleton import Skeleton
from scdnet.skeletons import DEFAULT_SKELETON, SKELETONS, read_skeleton
from scdnet.viz.drawing import Drawing, check_picture, find_sequence

MAX_CLASSES = 5


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line. Raises ScdnetError for options that do not belong together."""
    parser = command_parser("classify", main.__doc__)
    parser.add_argument(
        "recording", type=Path, help="a .skeleton file of NTU RGB+D, or a recording of your own"
    )
    parser.add_argument(
        "--checkpoint",
        required=True,
        metavar="PATH",
        help="a checkpoint of scdnet train, a directory of scdnet export, hf://OWNER/NAME, the "
        "name of weights that ship, or the authors' checkpoint with --num-heads",
    )
    parser.add_argument(
        "--features",
        required=True,
        metavar="FILE",
        help="the features that scdnet extract has written with this checkpoint",
    )
    parser.add_argument(
        "--num-heads", type=int, metavar="N", help="attention heads, if the checkpoint lacks them"
    )
    add_capture_arguments(
        parser.add_argument_group("recordings of your own", "not for .skeleton files"),
        is_required=False,
    )
    parser.add_argument(
        "--render",
        type=Path,
        metavar="OUT",
        help="draw the recording beside the most similar sequences: .png or .gif",
    )
    parser.add_argument(
        "--store", type=Path, help="with --render: the store of the features, if it was moved"
    )
    args = parser.parse_args(argv)
    if args.store and not args.render:
        raise ScdnetError("--store is only used with --render; add --render OUT")
    if args.render:
        check_picture(args.render)
    return args


def check_joints(args: argparse.Namespace, trained: Skeleton) -> None:
    """Raise ScdnetError if the recording has other joints than the encoder was trained on."""
    if args.skeleton:
        found = read_skeleton(Path(args.skeleton))
    else:
        # A recording without a layout is a .skeleton file, which has the joints of NTU RGB+D.
        found = SKELETONS[args.to or args.layout or DEFAULT_SKELETON.name]
    if found == trained:
        return
    way_out = f"expected a recording of {trained.name}"
    if trained == DEFAULT_SKELETON and can_be_mapped(found):
        way_out = f"add --to {DEFAULT_SKELETON.name}"
    raise ScdnetError(
        f"{args.recording}: has the joints of {found.name}, but {args.checkpoint} was trained on "
        f"those of {trained.name}; {way_out}"
    )


def check_drawing(known: FeatureTable, store: Path) -> None:
    """Raise ScdnetError if `store` is not that of the features."""
    if not store.is_file():
        raise ScdnetError(
            f"{store}: no such file, but the features were extracted from it; "
            "if it was moved, add --store PATH"
        )
    with open_sequences(store) as sequences:
        found = sequences.content_sha256
    if found != known.store_sha256:
        raise ScdnetError(
            f"{store}: not the store that the features were extracted from ({known.store}): "
            "its content differs"
        )


def format_prediction(recording: Path, prediction: Prediction, known: FeatureTable) -> str:
    """Return the tables that are printed: the likeliest classes and the most similar sequences.

    Where the known sequences have a single class, as unlabeled ones do, classes are left out.
    """
    num_classes = len(prediction.probabilities)
    title = f"{recording}, compared with {len(known.x)} sequences"
    neighbors = [(f"{n.similarity:.3f}", n.class_name, n.name) for n in prediction.neighbours]
    if not num_classes:
        unlabeled = [(similarity, name) for similarity, _, name in neighbors]
        return f"{title}\n\n{_tabulate(unlabeled, ('similarity', 'sequence'))}"
    likeliest = list(prediction.probabilities.items())[:MAX_CLASSES]
    percents = [(f"{100 * probability:.1f} %", name) for name, probability in likeliest]
    classes = _tabulate(percents, ("probability", "class"))
    similar = _tabulate(neighbors, ("similarity", "class", "sequence"))
    return f"{title} of {num_classes} classes\n\n{classes}\n\n{similar}"


def _tabulate(rows: Sequence[tuple[str, ...]], headers: tuple[str, ...]) -> str:
    alignment = ("right", *["left"] * (len(headers) - 1))
    return tabulate(rows, headers=headers, colalign=alignment, disable_numparse=True)


def draw_prediction(
    recording: Path, frames: np.ndarray, prediction: Prediction, store: SequenceStore, out: Path
) -> None:
    """Draw the recording, marked, and its neighbors."""
    # Classification without a drawing works without matplotlib.
    from scdnet.viz.render import render

    title = "the recording"
    if prediction.probabilities:
        name, probability = next(iter(prediction.probabilities.items()))
        title = f"{100 * probability:.0f} % {name}"
    drawings = [Drawing(recording.stem, title, frames, store.skeleton, is_marked=True)]
    for neighbor in prediction.neighbours:
        known = store[find_sequence(store, neighbor.name)]
        title = f"{neighbor.similarity:.3f} {neighbor.class_name}"
        drawings.append(Drawing(known.name, title, known.frames, store.skeleton))
    render(drawings, out)


def main(argv: Sequence[str] | None = None) -> None:
    """Classify a recording by a linear probe on known sequences, and list the most similar ones.

    Unlabeled sequences are only searched for the most similar ones.
    """
    args = parse_arguments(argv)
    frames = read_frames(args, args.recording)
    classifier = load_classifier(args.checkpoint, args.features, num_heads=args.num_heads)
    check_joints(args, classifier.skeleton)
    store = args.store or Path(classifier.known.store)
    if args.render:
        check_drawing(classifier.known, store)
    prediction = classifier(frames)
    print(format_prediction(args.recording, prediction, classifier.known))
    if args.render:
        with open_sequences(store) as sequences:
            draw_prediction(args.recording, frames, prediction, sequences, args.render)
        print(f"\nDrawn in {args.render}")
