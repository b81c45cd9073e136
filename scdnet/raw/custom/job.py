"""Custom recordings (docs/data/own.md): from files and their table to normalized sequences."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import h5py
import numpy as np

from scdnet.data.store import SkeletonSequence
from scdnet.errors import ScdnetError
from scdnet.raw.convert import NOT_STORABLE, Job, Outcome, Rejection, duplicate_rejection
from scdnet.raw.custom.frames import CaptureSpec, read_frames
from scdnet.raw.custom.openpose import Recording, group_recordings
from scdnet.raw.custom.table import Row, number_classes, read_table
from scdnet.raw.guess import describe_guess
from scdnet.raw.joint_mapping import filled_joints
from scdnet.raw.raw_files import RawFile, RawFileError

# A recording, its name in the store, and its label and numbers.
Item = tuple[Recording, str, Mapping[str, int]]


def convert_recording(capture: CaptureSpec, item: Item) -> Outcome:
    """Read a file and normalize it, to a sequence with the given numbers. Raises RawFileError."""
    file, name, numbers = item
    try:
        frames, notes = read_frames(file.read(), file.where, capture)
    except RawFileError as error:
        guess = None if file.inner else describe_guess(file.path)
        if guess is None:
            raise
        where, line, reason = error.args
        raise RawFileError(where, line, f"{reason}; this seems to be {guess}") from error
    return Outcome([SkeletonSequence(frames, name, **numbers)], [], notes)


def plan_job(
    files: Sequence[RawFile],
    *,
    dataset: str,
    capture: CaptureSpec,
    table_path: Path | None = None,
    has_class_folders: bool = False,
) -> Job:
    """Plan the conversion of the files that a table lists, or without one of all.

    Without a table all are one class, or the folders are the classes. Raises RawFileError if the
    table cannot be read.
    """
    # The table may lie among the recordings.
    table_file = table_path.resolve() if table_path else None
    files = [file for file in files if file.inner or Path(file.path).resolve() != table_file]
    named, rejected = name_recordings(group_recordings(files), has_class_folders=has_class_folders)
    if table_path is not None:
        lines, bad_lines = read_table(table_path)
        rows, misfits = match_table(lines, named, str(table_path))
        rejected = [*bad_lines, *misfits, *rejected]
    else:
        lines = rows = {
            name: Row(class_folder(file) if has_class_folders else "unlabeled", {}, True, 0)
            for name, file in named.items()
        }
    # The classes are those of the whole table.
    class_names, class_ids = number_classes(row.label for row in lines.values())
    filled = () if capture.target == capture.skeleton else filled_joints(capture.skeleton)
    train = [name for name, row in rows.items() if row.is_train]
    return Job(
        dataset=dataset,
        skeleton=capture.target,
        class_names=class_names,
        split_rules={"custom": lambda sequences: np.isin(sequences.name, train)},
        items=[
            (named[name], name, {"label": class_ids[rows[name].label], **rows[name].numbers})
            for name in sorted(rows)
        ],
        convert_item=partial(convert_recording, capture),
        rejected=rejected,
        attributes={
            **capture.attributes,
            "filled_joints": np.array(filled, dtype=h5py.string_dtype()),
        },
    )


def name_recordings(
    recordings: Sequence[Recording], *, has_class_folders: bool = False
) -> tuple[dict[str, Recording], list[Rejection]]:
    """Return the recordings by their names in the store, and those that cannot have one.

    The name is that of the file without suffix, or its relative path where such names repeat.
    """
    usable = []
    rejected = []
    for file in recordings:
        if NOT_STORABLE.search(file.relative):
            rejected.append(Rejection(file.where, 0, "name is not UTF-8"))
        elif has_class_folders and not class_folder(file):
            rejected.append(Rejection(file.where, 0, "lies in no folder, which would be its class"))
        else:
            usable.append(file)
    relative = {
        id(file): relative_path(file, has_class_folders=has_class_folders) for file in usable
    }
    # The same relative path in two places is the same recording, of which the first is used.
    counts = Counter(PurePosixPath(path).name for path in set(relative.values()))
    named: dict[str, Recording] = {}
    for file in usable:
        path = relative[id(file)]
        stem = PurePosixPath(path).name
        name = path if counts[stem] > 1 else stem
        if name in named:
            rejected.append(duplicate_rejection(file, named[name]))
        else:
            named[name] = file
    return named, rejected


def relative_path(file: Recording, *, has_class_folders: bool) -> str:
    """Return the path of a recording without suffix, with its class if that is a folder."""
    path = file.relative
    return f"{class_folder(file)}/{path}" if has_class_folders and "/" not in path else path


def class_folder(file: Recording) -> str:
    """Return the name of the folder that contains a recording, empty in the top of a zip."""
    folder = PurePosixPath(file.relative).parent.name
    return folder if folder or file.inner else Path(file.path).resolve().parent.name


def match_table(
    lines: Mapping[str, Row], named: Mapping[str, Recording], where: str
) -> tuple[dict[str, Row], list[Rejection]]:
    """Return the rows of a table by the names of the recordings, and what cannot be used.

    Names in the table may have folders in front, of which those that both have must agree. Raises
    ScdnetError if no line fits a recording.
    """
    rejected = []
    by_stem: dict[str, list[str]] = {}
    for name in named:
        by_stem.setdefault(PurePosixPath(name).name, []).append(name)
    rows: dict[str, Row] = {}
    for listed, row in lines.items():
        fitting = [
            name
            for name in by_stem.get(PurePosixPath(listed).name, [])
            if name == listed or _do_paths_agree(listed, named[name])
        ]
        if listed in fitting:
            fitting = [listed]
        if len(fitting) != 1 or fitting[0] in rows:
            rejected.append(Rejection(where, row.line, _misfit(listed, fitting)))
        else:
            rows[fitting[0]] = row
    if named and lines and not rows:
        raise ScdnetError(
            f"{where}: no line names a recording; the first line is that of "
            f"{next(iter(lines))!r}, the first recording is {next(iter(named))!r}"
        )
    rejected += [
        Rejection(file.where, 0, f"no usable line in the table {where}")
        for name, file in named.items()
        if name not in rows
    ]
    return rows, rejected


def _do_paths_agree(listed: str, file: Recording) -> bool:
    """Check whether a path in a table and that of a recording end in the same folders."""
    folders = PurePosixPath(listed).parts[::-1]
    others = PurePosixPath(file.relative).parts[::-1]
    return all(one == other for one, other in zip(folders, others, strict=False))


def _misfit(listed: str, fitting: Sequence[str]) -> str:
    """Return why a line of a table has not one recording of its own."""
    if not fitting:
        return f"no recording {listed!r}"
    if len(fitting) == 1:
        return f"recording {fitting[0]!r} has a line already"
    named = ", ".join(sorted(fitting)[:3])
    return f"{listed!r} may be one of {len(fitting)} recordings, such as {named}; write the folder"
