"""`scdnet embed`: write the features of recordings, or of windows of long ones."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from scdnet.cli import command_parser
from scdnet.commands.capture import add_capture_arguments, fit_capture
from scdnet.engine.device import resolve_device
from scdnet.engine.locate import state_anywhere
from scdnet.errors import ScdnetError
from scdnet.eval.embedding import WindowEncoder, load_window_encoder, window_starts
from scdnet.eval.embedding_file import WRITERS, Block, EmbeddingOrigin, write_embedding
from scdnet.eval.features import BATCH
from scdnet.files import check_writable
from scdnet.raw.convert import NOT_STORABLE, positive_int
from scdnet.raw.custom.frames import CaptureSpec
from scdnet.raw.custom.openpose import Recording
from scdnet.raw.positions import ALL_SUFFIXES, Positions, find_recordings, read_positions
from scdnet.raw.raw_files import RawFileError

# Windows lie a quarter of their length apart, unless --stride says otherwise.
STRIDES_OF_WINDOW = 4


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line. Raises ScdnetError for options that do not belong together."""
    parser = command_parser("embed", main.__doc__)
    parser.add_argument(
        "recordings",
        type=Path,
        metavar="FILE_OR_DIRECTORY",
        help="a recording, or a directory or zip of recordings, which is searched to any depth",
    )
    add_encoder_argument(parser, is_required=True)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help=f"{', '.join(WRITERS)}; replaced if it exists; scdnet search reads .h5",
    )
    parser.add_argument(
        "--window",
        type=positive_int,
        metavar="FRAMES",
        help="a row for each window of so many frames; without it, for each recording",
    )
    parser.add_argument(
        "--stride",
        type=positive_int,
        metavar="FRAMES",
        help="distance of two windows; default: a quarter of --window",
    )
    add_fps_argument(parser, default=30.0, text="frames per second of the recordings, for times")
    add_device_argument(parser)
    add_capture_arguments(
        parser.add_argument_group("recordings of your own", "not for .skeleton files"),
        is_required=False,
    )
    args = parser.parse_args(argv)
    if args.stride and not args.window:
        raise ScdnetError("--stride is only used with --window; add --window FRAMES")
    if args.out.suffix.lower() not in WRITERS:
        raise ScdnetError(f"{args.out}: expected a name that ends in {' or '.join(WRITERS)}")
    if args.window and not args.stride:
        args.stride = max(1, args.window // STRIDES_OF_WINDOW)
    return args


def add_encoder_argument(parser: argparse.ArgumentParser, *, is_required: bool) -> None:
    """Add --encoder."""
    text = (
        "a checkpoint of scdnet train, a directory of scdnet export, hf://OWNER/NAME or the name "
        "of weights that ship"
    )
    if not is_required:
        text += "; default: the one that the features were made with"
    parser.add_argument("--encoder", required=is_required, metavar="PATH", help=text)


def add_fps_argument(parser: argparse.ArgumentParser, *, default: float | None, text: str) -> None:
    """Add --fps."""
    parser.add_argument(
        "--fps",
        type=positive_float,
        default=default,
        metavar="RATE",
        help=text + (f" (default {default:g})" if default else ""),
    )


def positive_float(text: str) -> float:
    """Parse an option that must be finite and more than 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected more than 0, found {text}")
    return number


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: %(default)s"
    )


@dataclass
class Embedder:
    """Embeds recordings one after the other, and counts those that it skips."""

    encoder: WindowEncoder
    capture: CaptureSpec | None
    # Lengths are in frames; without a window, a recording is one.
    window: int | None
    stride: int | None
    device: torch.device
    # A recording that cannot be used is skipped with a warning, not an error.
    skips: bool
    skipped: list[str] = field(default_factory=list)

    def embed_all(self, recordings: Sequence[Recording]) -> Iterator[Block]:
        """Yield the features of the recordings, a batch of windows at a time."""
        for recording in tqdm(recordings, unit=" files", disable=None):
            try:
                yield from self.embed(recording)
            except RawFileError as error:
                if not self.skips:
                    raise
                self.skipped.append(recording.where)
                warn(f"left out: {error}")

    def embed(self, recording: Recording) -> Iterator[Block]:
        """Yield the features of a recording, which is read once. Raises RawFileError."""
        if NOT_STORABLE.search(recording.where):
            raise RawFileError(ascii(recording.where), 0, "name is not UTF-8")
        positions = read_positions(recording, self.capture)
        for note in positions.notes:
            warn(f"{positions.where}: {note}")
        starts = self.find_starts(positions)
        length = self.window or positions.num_frames
        faults: list[RawFileError] = []
        for i in range(0, len(starts), BATCH):
            first, clips = cut_windows(positions, starts[i : i + BATCH], length, faults)
            if len(clips):
                x = self.encoder.embed(clips, self.device)
                yield Block(positions.where, positions.num_frames, first, first + length - 1, x)
        if len(faults) == len(starts):
            raise faults[0]
        if faults:
            warn(
                f"{len(faults)} of {len(starts)} windows left out, the first because of {faults[0]}"
            )

    def find_starts(self, positions: Positions) -> np.ndarray:
        """Return the first frames of the windows. Raises RawFileError if there is none."""
        if self.window is None or self.stride is None:
            return np.zeros(1, dtype=int)
        if positions.num_frames < self.window:
            raise RawFileError(
                positions.where,
                0,
                f"expected at least the {self.window} frames of a window, found "
                f"{positions.num_frames}; use a shorter --window, or omit it for a row for each "
                "recording",
            )
        return window_starts(positions.num_frames, window=self.window, stride=self.stride)


def cut_windows(
    positions: Positions, starts: np.ndarray, length: int, faults: list[RawFileError]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the first frames (n,) and the clips of the windows that can be normalized.

    What is wrong with the others is appended to `faults`.
    """
    used = []
    clips = []
    for start in starts.tolist():
        try:
            clips.append(positions.normalize(start, start + length))
            used.append(start)
        except RawFileError as error:
            faults.append(error)
    return np.array(used, dtype=np.int64), clips


def warn(text: str) -> None:
    """Print a warning, below the progress bar if there is one."""
    tqdm.write(f"warning: {text}", file=sys.stderr)


def describe_capture(capture: CaptureSpec | None) -> dict[str, object]:
    """Return what a features file states about the files of recordings."""
    if capture is None:
        return {}
    to = {"to": capture.target.name} if capture.target != capture.skeleton else {}
    return {
        "skeleton": capture.skeleton.to_dict(),
        "unit": capture.unit,
        "up": capture.up,
        **to,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Write the features of recordings to a file: a row for each, or for each of its windows.

    Each window is normalized as if it were a recording of its own. A recording of a directory or
    zip that cannot be used is left out with a warning.
    """
    args = parse_arguments(argv)
    check_writable(args.out)
    device = resolve_device(args.device)
    encoder = load_window_encoder(args.encoder, device)
    recordings = find_recordings(args.recordings)
    if args.out.resolve() in [Path(recording.path).resolve() for recording in recordings]:
        raise ScdnetError(
            f"{args.out}: is one of the recordings, which would be overwritten; "
            "choose another --out"
        )
    trained = encoder.encoder.skeleton
    capture = fit_capture(args, recordings, trained=trained, encoder=args.encoder)
    is_file = args.recordings.is_file() and args.recordings.suffix.lower() in ALL_SUFFIXES
    embedder = Embedder(
        encoder, capture, args.window, args.stride, device=device, skips=not is_file
    )
    origin = EmbeddingOrigin(
        encoder=state_anywhere(args.encoder),
        encoder_sha256=encoder.sha256,
        stream=encoder.stream,
        skeleton=trained,
        root=str(args.recordings),
        capture=describe_capture(capture),
        fps=args.fps,
        window=args.window or 0,
        stride=args.stride or 0,
    )
    written = write_embedding(args.out, origin, embedder.embed_all(recordings))
    print(f"Embedded {len(recordings) - len(embedder.skipped)}, left out {len(embedder.skipped)}.")
    if written is None:
        print("No features written.")
        return 1
    print(f"Features: {args.out}, {written.num_rows:,} x {written.width} float32")
    return 0
