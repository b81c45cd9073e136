from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from scdnet.cli import command_parser
from scdnet.data.store import SkeletonSequence
from scdnet.raw.convert import (
    Job,
    Outcome,
    Rejection,
    add_arguments,
    check_output,
    convert,
    duplicate_rejection,
    find_all,
    report,
)
from scdnet.raw.custom_file import SUFFIXES
from scdnet.raw.custom_frames import UNITS, UP_ROTATIONS, CaptureSpec, read_frames
from scdnet.raw.custom_table import NOT_STORABLE, NUMBERS, Row, Table, number_classes, read_table
from scdnet.raw.layouts import LAYOUTS, filled_joints
from scdnet.raw.raw_files import RawFile

BENCHMARK = "custom"


class Recording(NamedTuple):
    """A raw file and what is known of it."""

    file: RawFile
    row: Row
    label: int


def convert_recording(capture: CaptureSpec, recording: Recording) -> Outcome:
    """Read one recording and normalize it. Raises RawFileError."""
    file, row, label = recording
    frames = read_frames(file.read(), file.where, capture)
    numbers = {column: getattr(row, column) for column in NUMBERS}
    return Outcome([SkeletonSequence(frames, file.stem, label, **numbers)], [])


def plan_job(files: Sequence[RawFile], dataset: str, capture: CaptureSpec, table: Table) -> Job:
    """Sort out which files to work on: those in the table, each name once."""
    stems = {file.stem for file in files}
    unknown = [(row.line, name) for name, row in table.rows.items() if name not in stems]
    rejected = [
        *table.rejected,
        *(Rejection(table.where, line, f"no recording {name!r}") for line, name in unknown),
    ]
    found = {}
    for file in files:
        if NOT_STORABLE.search(file.stem):
            rejected.append(Rejection(file.where, 0, "name is not UTF-8"))
        elif file.stem not in table.rows:
            rejected.append(
                Rejection(file.where, 0, f"no line that can be used in the table {table.where}")
            )
        elif file.stem in found:
            rejected.append(duplicate_rejection(file, found[file.stem]))
        else:
            found[file.stem] = file
    classes = number_classes(row.label for row in table.rows.values())
    items = [
        Recording(found[name], table.rows[name], classes.ids[table.rows[name].label])
        for name in sorted(found)
    ]
    train = [name for name, row in table.rows.items() if row.is_train]
    rules = {BENCHMARK: lambda sequences: np.isin(sequences.name, train)}
    filled = np.array(
        filled_joints(LAYOUTS[capture.layout]), dtype=h5py.string_dtype()
    )  # perhaps of none
    attributes = {**capture._asdict(), "filled_joints": filled}
    work = partial(convert_recording, capture)
    return Job(dataset, classes.names, rules, items, work, rejected, attributes=attributes)


def main(argv: Sequence[str] | None = None) -> int:
    """Convert recordings of your own, `.npz` or `.csv` files of 3-D joint positions, to a sequence store."""
    parser = command_parser("prepare custom", main.__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--layout", choices=LAYOUTS, required=True, help="which joints, in which order"
    )
    parser.add_argument("--unit", choices=UNITS, required=True, help="of the positions")
    parser.add_argument(
        "--up",
        choices=UP_ROTATIONS,
        required=True,
        help="axis that points up; write --up=-y for -y",
    )
    parser.add_argument(
        "--table", type=Path, help="csv of labels, subjects, splits; without it there is one class"
    )
    parser.add_argument(
        "--dataset", default="custom", help="what the store is called (default %(default)s)"
    )
    args = parser.parse_args(argv)
    check_output(args.out, overwrite=args.overwrite)
    files = list(find_all(args.raw, SUFFIXES))
    if args.table:
        table = read_table(args.table)
        files = [
            file for file in files if Path(file.path).resolve() != args.table.resolve()
        ]  # it may lie among them
    else:
        table = Table("", dict.fromkeys((file.stem for file in files), Row()), [])
    job = plan_job(files, args.dataset, CaptureSpec(args.layout, args.unit, args.up), table)
    return report(args.out, convert(job, args.out, workers=args.workers))
