#!/usr/bin/env python3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tabulate import tabulate

from scdnet.cli import command_parser, run_command
from scdnet.raw.convert import find_all
from scdnet.raw.datasets import parse_ntu_name
from scdnet.raw.ntu import parse_skeleton
from scdnet.raw.raw_files import RawFile
from scdnet.raw.ready_made import nwucla
from scdnet.skeletons import KINECT_V1_20, NTU_25
from tests.reference.recording_figures import Measurement, Recording, left_hand_share, measure

# NTU-60's actions from here on are those of two people.
FIRST_OF_TWO_PEOPLE = 50


def main() -> None:
    """Measure errors of sensors and differences between people in raw recordings.

    Each PATH is a folder or zip of NTU .skeleton files, or of NW-UCLA's json files, and becomes a
    column. Recordings of two people are left out.
    """
    parser = command_parser("", main.__doc__)
    parser.prog = "measure_recordings.py"
    parser.add_argument("raw", nargs="+", type=Path, metavar="PATH")
    parser.add_argument(
        "--one-handed",
        nargs="+",
        type=int,
        default=[],
        metavar="ACTION",
        help="actions of one hand: also report how often it is the left one",
    )
    args = parser.parse_args()
    columns = {}
    for path in args.raw:
        measurement = measure_path(path)
        columns[path.name] = measure(measurement)
        if args.one_handed:
            share = left_hand_share(measurement, args.one_handed)
            columns[path.name]["left hand, %"] = share
    rows = dict.fromkeys(name for figures in columns.values() for name in figures)
    table = [[row, *(figures.get(row) for figures in columns.values())] for row in rows]
    print(tabulate(table, ["", *columns], floatfmt=".2f", tablefmt="github"))


def measure_path(path: Path) -> Measurement:
    """Read the recordings of a folder or zip."""
    files = list(find_all([path], (".skeleton", nwucla.SUFFIX)))
    if files and files[0].where.endswith(nwucla.SUFFIX):
        return Measurement(map(read_nwucla, files), KINECT_V1_20)
    return Measurement(read_ntu(files), NTU_25)


def read_nwucla(file: RawFile) -> Recording:
    """Read one recording of NW-UCLA."""
    name = nwucla.parse_name(file)
    take = (name.action, name.subject, name.take)
    return Recording(nwucla.read_skeletons(file), name.subject, name.action, name.view, take)


def read_ntu(files: list[RawFile]) -> Iterator[Recording]:
    """Read the frames that list somebody in each recording of one person."""
    for file in files:
        name = parse_ntu_name(file.stem)
        if name is None or name.action >= FIRST_OF_TWO_PEOPLE:
            continue
        body = parse_skeleton(file.read(), file.where)[0]
        present = body[np.any(body, axis=(1, 2))]
        take = (name.setup, name.subject, name.replication, name.action)
        yield Recording(present, name.subject, name.action, name.camera, take)


if __name__ == "__main__":
    run_command(main)
