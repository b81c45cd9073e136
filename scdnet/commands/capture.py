"""The options that describe recordings of one's own, shared by the commands that read them."""

import argparse

from scdnet.raw.custom.frames import UNITS, UP_ROTATIONS
from scdnet.skeletons import NTU_25, SKELETONS


def add_capture_arguments(parser: argparse._ActionsContainer, *, is_required: bool) -> None:
    """Add --layout, --skeleton, --unit, --up and --to; `make_capture` checks their values."""
    joints = parser.add_mutually_exclusive_group(required=is_required)
    joints.add_argument(
        "--layout", choices=SKELETONS, help="which joints the files contain, in which order"
    )
    joints.add_argument(
        "--skeleton", metavar="FILE", help="a YAML file that describes joints of your own"
    )
    parser.add_argument("--unit", choices=UNITS, required=is_required, help="unit of the positions")
    parser.add_argument(
        "--up",
        choices=UP_ROTATIONS,
        required=is_required,
        help="axis that points up",
    )
    parser.add_argument("--to", choices=(NTU_25.name,), help="map the joints to another skeleton")
