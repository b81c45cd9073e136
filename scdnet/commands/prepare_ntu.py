from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

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
from scdnet.raw.datasets import NTU_DATASETS, NtuName, class_names, missing_names, parse_ntu_name
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.raw_files import RawFile, RawFileError
from scdnet.raw.skeleton_file import parse_skeleton

SUFFIX = ".skeleton"


class Recording(NamedTuple):
    """A raw file and the numbers in its name."""

    file: RawFile
    numbers: NtuName


def read_frames(data: bytes, where: str) -> np.ndarray:
    """Read and normalize a `.skeleton` file: float32 (T, M, V, C) as a store holds them. Raises RawFileError."""
    return normalize(select_bodies(parse_skeleton(data, where)))


def convert_recording(recording: Recording) -> Outcome:
    """Read one recording and normalize it. Raises RawFileError."""
    file, numbers = recording
    sequence = SkeletonSequence(
        frames=read_frames(file.read(), file.where),
        name=file.stem,
        label=numbers.action - 1,
        subject=numbers.subject,
        camera=numbers.camera,
        setup=numbers.setup,
        replication=numbers.replication,
    )
    return Outcome([sequence], [])


def plan_job(files: Iterable[RawFile], dataset: str, missing: frozenset[str]) -> Job:
    """Sort out which files to work on: by name, each name once, without those in `missing`."""
    names, recordings, rejected, num_missing = class_names(dataset), {}, [], 0
    for file in files:
        numbers = parse_ntu_name(file.stem)
        if numbers is None:
            rejected.append(Rejection(file.where, 0, "name is not SxxxCxxxPxxxRxxxAxxx"))
        elif file.stem in missing:
            num_missing += 1
        elif not 1 <= numbers.action <= len(names):
            rejected.append(
                Rejection(file.where, 0, f"class {numbers.action}, expected 1..{len(names)}")
            )
        elif file.stem in recordings:
            rejected.append(duplicate_rejection(file, recordings[file.stem].file))
        else:
            recordings[file.stem] = Recording(file, numbers)
    items = [recordings[name] for name in sorted(recordings)]
    return Job(
        dataset, names, NTU_DATASETS[dataset].rules, items, convert_recording, rejected, num_missing
    )


def read_missing_list(path: Path) -> frozenset[str]:
    """The recordings named in the text file `path`, with or without suffix; prose around them is ignored.

    Raises RawFileError if it holds text but no name. An empty file stands for an empty list.
    """
    words = path.read_text(encoding="utf-8", errors="replace").split()
    names = frozenset(
        word.removesuffix(SUFFIX) for word in words if parse_ntu_name(word.removesuffix(SUFFIX))
    )
    if words and not names:
        raise RawFileError(str(path), 0, "expected names like S001C001P001R001A001, found none")
    return names


def main(argv: Sequence[str] | None = None) -> int:
    """Convert the `.skeleton` files of NTU RGB+D 60 or 120, in folders or the published zips, to a sequence store."""
    parser = command_parser("prepare ntu", main.__doc__)
    parser.add_argument("--dataset", choices=NTU_DATASETS, required=True)
    add_arguments(parser)
    parser.add_argument(
        "--missing-list", type=Path, help="names to leave out, in place of the published list"
    )
    args = parser.parse_args(argv)
    check_output(args.out, overwrite=args.overwrite)
    missing = (
        read_missing_list(args.missing_list) if args.missing_list else missing_names(args.dataset)
    )
    job = plan_job(find_all(args.raw, SUFFIX), args.dataset, missing)
    return report(args.out, convert(job, args.out, workers=args.workers))
