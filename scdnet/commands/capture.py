"""The options that describe recordings of one's own, shared by the commands that read them."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scdnet import read_recording
from scdnet.errors import ScdnetError
from scdnet.raw.custom.frames import UNITS, UP_ROTATIONS, CaptureSpec, make_capture
from scdnet.raw.custom.openpose import Recording
from scdnet.raw.joint_mapping import can_be_mapped
from scdnet.raw.positions import is_ntu
from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25, SKELETONS

# The options of `add_capture_arguments`.
OPTIONS = ("layout", "skeleton", "unit", "up", "to")


def add_capture_arguments(parser: argparse._ActionsContainer, *, is_required: bool) -> None:
    """Add --layout, --skeleton, --unit, --up and --to; `make_capture` checks their values."""
    joints = parser.add_mutually_exclusive_group(required=is_required)
    joints.add_argument(
        "--layout",
        choices=SKELETONS,
        metavar="LAYOUT",
        help=f"joints of the files, in their order: {', '.join(SKELETONS)}",
    )
    joints.add_argument(
        "--skeleton",
        metavar="FILE",
        help="YAML file of joints of your own, instead of --layout",
    )
    parser.add_argument(
        "--unit",
        choices=UNITS,
        required=is_required,
        help="unit of the positions; px for the 2-D layouts",
    )
    parser.add_argument(
        "--up",
        choices=UP_ROTATIONS,
        required=is_required,
        help="axis of the files that points up",
    )
    add_target_argument(parser)


def add_target_argument(parser: argparse._ActionsContainer) -> None:
    """Add --to."""
    parser.add_argument(
        "--to",
        choices=(NTU_25.name,),
        help="compute the joints of NTU RGB+D; without it, the joints of the files are kept",
    )


def read_frames(args: argparse.Namespace, path: Path) -> np.ndarray:
    """Read a recording (T, M, V, C) as the options say, and print its warnings."""
    given = {name: getattr(args, name) for name in OPTIONS}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        frames = read_recording(path, **given)
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)
    return frames


def fit_capture(
    args: argparse.Namespace,
    recordings: Sequence[Recording],
    *,
    trained: Skeleton,
    encoder: str,
) -> CaptureSpec | None:
    """Return how to read recordings that are not `.skeleton` files, None if all are such files.

    Joints that the encoder was not trained on are mapped to those it was trained on, where that is
    possible. Raises ScdnetError where it is not, and for options that do not fit.
    """
    given = {name: getattr(args, name) for name in OPTIONS}
    named = [f"--{name}" for name, value in given.items() if value is not None]
    own = [recording for recording in recordings if not is_ntu(recording)]
    if len(own) < len(recordings):
        check_trained_on(NTU_25, trained, encoder=encoder)
    if not own:
        if named:
            raise ScdnetError(
                f"{', '.join(named)}: not used for .skeleton files, and there are no others; "
                f"omit {'it' if len(named) == 1 else 'them'}"
            )
        return None
    try:
        capture = make_capture(**given)
        if capture.target != trained == NTU_25 and can_be_mapped(capture.skeleton):
            capture = make_capture(**given | {"to": NTU_25.name})
    except ScdnetError as error:
        raise ScdnetError(f"{own[0].where}: {error}") from None
    check_trained_on(capture.target, trained, encoder=encoder)
    return capture


def check_trained_on(found: Skeleton, trained: Skeleton, *, encoder: str) -> None:
    """Raise ScdnetError if recordings have other joints than the encoder was trained on."""
    if found != trained:
        raise ScdnetError(
            f"the recordings have the joints of {found.name}, but {encoder} was trained on those "
            f"of {trained.name}, to which they cannot be mapped; use another encoder"
        )
