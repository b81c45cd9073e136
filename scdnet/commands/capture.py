"""The options that describe recordings of one's own, shared by the commands that read them."""

import argparse

from scdnet.raw.custom.frames import UNITS, UP_ROTATIONS
from scdnet.skeletons import NTU_25, SKELETONS


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
