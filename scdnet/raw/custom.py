"""Custom recordings: from `.npz` and `.csv` files and their table to normalized sequences."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from scdnet.data.store import SkeletonSequence
from scdnet.raw.convert import Job, Outcome, Rejection, duplicate_rejection
from scdnet.raw.custom_frames import CaptureSpec, read_frames
from scdnet.raw.custom_table import NOT_STORABLE, NUMBERS, Row, Table, number_classes, read_table
from scdnet.raw.layouts import LAYOUTS, filled_joints
from scdnet.raw.raw_files import RawFile


class Recording(NamedTuple):
    """A raw file and what is known about it."""

    file: RawFile
    row: Row
    label: int


def convert_recording(capture: CaptureSpec, recording: Recording) -> Outcome:
    """Read one recording and normalize it. Raises RawFileError."""
    file, row, label = recording
    frames = read_frames(file.read(), file.where, capture)
    numbers = {column: getattr(row, column) for column in NUMBERS}
    return Outcome([SkeletonSequence(frames, file.stem, label, **numbers)], [])


def plan_job(
    files: Sequence[RawFile], *, dataset: str, capture: CaptureSpec, table_path: Path | None
) -> Job:
    """Plan the conversion of the files that a table lists, or without one of all, as one class.

    Raises RawFileError if the table cannot be read.
    """
    if table_path is None:
        table = Table("", {file.stem: Row() for file in files}, [])
    else:
        table = read_table(table_path)
        # The table may lie among the recordings.
        table_file = table_path.resolve()
        files = [file for file in files if Path(file.path).resolve() != table_file]
    class_names, class_ids = number_classes(row.label for row in table.rows.values())
    stems = {file.stem for file in files}
    rejected = [
        *table.rejected,
        *(
            Rejection(table.where, row.line, f"no recording {stem!r}")
            for stem, row in table.rows.items()
            if stem not in stems
        ),
    ]
    recordings: dict[str, Recording] = {}
    for file in files:
        row = table.rows.get(file.stem)
        if NOT_STORABLE.search(file.stem):
            rejected.append(Rejection(file.where, 0, "name is not UTF-8"))
        elif row is None:
            rejected.append(Rejection(file.where, 0, f"no usable line in the table {table.where}"))
        elif file.stem in recordings:
            rejected.append(duplicate_rejection(file, recordings[file.stem].file))
        else:
            recordings[file.stem] = Recording(file, row, class_ids[row.label])
    train = [stem for stem, row in table.rows.items() if row.is_train]
    filled = np.array(filled_joints(LAYOUTS[capture.layout]), dtype=h5py.string_dtype())
    return Job(
        dataset=dataset,
        class_names=class_names,
        split_rules={"custom": lambda sequences: np.isin(sequences.name, train)},
        items=[recordings[stem] for stem in sorted(recordings)],
        convert_item=partial(convert_recording, capture),
        rejected=rejected,
        attributes={**capture._asdict(), "filled_joints": filled},
    )
