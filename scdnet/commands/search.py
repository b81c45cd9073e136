"""`scdnet search`: find the recordings, or the moments of long ones, that resemble one."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from scdnet.cli import command_parser
from scdnet.commands.capture import add_capture_arguments, fit_capture
from scdnet.commands.embed import (
    add_device_argument,
    add_encoder_argument,
    add_fps_argument,
)
from scdnet.commands.search_hits import (
    PAGE,
    Found,
    describe_place,
    describe_rows,
    draw_hits,
    write_page_of,
)
from scdnet.engine.device import resolve_device
from scdnet.engine.hub import find_hub_name
from scdnet.engine.locate import find_path
from scdnet.errors import ScdnetError
from scdnet.eval.embedding import WindowEncoder, load_window_encoder
from scdnet.eval.embedding_file import Embedding, read_chunks, read_embedding
from scdnet.eval.feature_file import FeatureFileError
from scdnet.eval.search import Hit, cosine_similarity, select_hits
from scdnet.eval.search_index import MAX_HITS, NUM_SAMPLES, SearchIndex, open_index
from scdnet.files import check_writable
from scdnet.raw.convert import positive_int
from scdnet.raw.positions import Positions, find_recording, read_positions
from scdnet.skeleton import Skeleton
from scdnet.viz.drawing import check_picture


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser("search", main.__doc__)
    parser.add_argument("query", type=Path, help="a recording")
    parser.add_argument(
        "--in",
        dest="features",
        type=Path,
        required=True,
        metavar="FILE",
        help="the .h5 that scdnet embed has written",
    )
    parser.add_argument(
        "--top",
        type=positive_int,
        default=20,
        metavar="N",
        help="number of hits (default %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        nargs=2,
        metavar=("START", "END"),
        help="search for this part of the query; default: all of it",
    )
    add_fps_argument(
        parser,
        default=None,
        text="with --seconds: frames per second of the query; default: as in the features",
    )
    add_encoder_argument(parser, is_required=False)
    parser.add_argument(
        "--exact",
        action="store_true",
        help="compare the query with all rows, however many; default: with more than a million, "
        "an index that faiss builds proposes some",
    )
    parser.add_argument(
        "--render",
        type=Path,
        metavar="OUT",
        help="draw the query beside the hits: .png, .gif, or .html, a page with moving skeletons",
    )
    add_device_argument(parser)
    add_capture_arguments(
        parser.add_argument_group("a query of your own", "not for .skeleton files"),
        is_required=False,
    )
    args = parser.parse_args(argv)
    if args.fps and not args.seconds:
        raise ScdnetError("--fps is only used with --seconds; add --seconds START END")
    if args.render and args.render.suffix.lower() == PAGE:
        check_writable(args.render)
    elif args.render:
        check_picture(args.render, (".png", ".gif", PAGE))
    return args


def load_encoder_of(args: argparse.Namespace, embedding: Embedding) -> WindowEncoder:
    """Load the encoder that the features were made with. Raises ScdnetError if it is another."""
    known = embedding.origin.encoder
    source = args.encoder or known
    if source == known and find_hub_name(source) is None and find_path(source) is None:
        raise ScdnetError(
            f"{source}: no such encoder, but {args.features} was made with it; "
            "if it was moved, add --encoder PATH"
        )
    encoder = load_window_encoder(source, resolve_device(args.device))
    if encoder.sha256 != embedding.origin.encoder_sha256:
        raise FeatureFileError(
            f"{args.features}: made with {known}, whose hash is not that of {source}; give the "
            "same encoder by --encoder, or recreate the features with `scdnet embed`"
        )
    return encoder


def read_query(args: argparse.Namespace, fps: float, skeleton: Skeleton, encoder: str) -> Positions:
    """Read the query, or the part of it that is asked for. Raises ScdnetError."""
    recording = find_recording(args.query)
    capture = fit_capture(args, [recording], trained=skeleton, encoder=encoder)
    positions = read_positions(recording, capture)
    for note in positions.notes:
        print(f"warning: {args.query}: {note}", file=sys.stderr)
    if not args.seconds:
        return positions
    start, end = args.seconds
    length = positions.num_frames / fps
    if not 0 <= start < end <= length:
        raise ScdnetError(
            f"--seconds {start:g} {end:g}: expected a part of the {length:.2f} seconds of "
            f"{args.query} at {fps:g} frames per second"
        )
    first = int(start * fps)
    part = positions.bodies[:, first : max(first + 1, round(end * fps))]
    return positions._replace(bodies=part)


def format_hits(embedding: Embedding, hits: Sequence[Hit]) -> str:
    """Return the table of hits that is printed."""
    rows = [
        (str(rank), f"{hit.cosine:.3f}", *describe_place(embedding, hit))
        for rank, hit in enumerate(hits, start=1)
    ]
    return tabulate(
        rows,
        headers=("rank", "cosine", "file", "seconds"),
        colalign=("right", "right", "left", "right"),
        disable_numparse=True,
    )


def describe_method(index: SearchIndex | None, top: int) -> str:
    """Return how rows are compared; of an index, how many of the best hits it finds."""
    if index is None:
        return "exact"
    return (
        f"through an index: recall@{top} is {100 * index.facts.recall[top - 1]:.1f} % of an exact "
        f"search, measured with {NUM_SAMPLES} windows of the features; --exact compares with all"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Find the recordings, or the windows of long ones, that are most similar to a recording.

    The similarity is the cosine of the features. Of windows that overlap, the best is listed.
    """
    args = parse_arguments(argv)
    embedding = read_embedding(args.features)
    encoder = load_encoder_of(args, embedding)
    index = None if args.exact or args.top > MAX_HITS else open_index(embedding)
    skeleton = embedding.origin.skeleton
    fps = args.fps or embedding.origin.fps
    query = read_query(args, fps, skeleton, encoder.source)
    frames = query.normalize()
    x = encoder.embed([frames], resolve_device(args.device))
    if index is None:
        (cosines,) = cosine_similarity(x, read_chunks(embedding))
        hits = select_hits(embedding, cosines, args.top)
    else:
        hits = index.find_hits(x[0], args.top)
    print(f"{args.query}, compared with {describe_rows(embedding)}")
    method = describe_method(index, args.top)
    if index is not None:
        print(method)
    print(f"\n{format_hits(embedding, hits)}")
    if args.render:
        found = Found(args.query, frames, fps, embedding, hits, method)
        if args.render.suffix.lower() == PAGE:
            arguments = sys.argv[1:] if argv is None else argv
            write_page_of(found, args.render, command=["scdnet", "search", *arguments])
        else:
            draw_hits(found, args.render)
        print(f"\nDrawn in {args.render}")
