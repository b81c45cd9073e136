"""Recordings of NTU RGB+D 60 and 120: from `.skeleton` files to normalized sequences."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from scdnet.data.store import SkeletonSequence
from scdnet.raw.convert import Job, Outcome, Rejection, duplicate_rejection
from scdnet.raw.datasets import NTU_DATASETS, class_names, parse_ntu_name
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.raw_files import RawFile, RawFileError
from scdnet.raw.skeleton_file import parse_skeleton

SUFFIX = ".skeleton"


def read_frames(data: bytes, where: str) -> np.ndarray:
    """Parse and normalize a `.skeleton` file: float32 (T, M, V, C). Raises RawFileError."""
    return normalize(select_bodies(parse_skeleton(data, where)))


def convert_recording(file: RawFile) -> Outcome:
    """Read one recording and normalize it. Raises RawFileError."""
    name = parse_ntu_name(file.stem)
    assert name is not None, "plan_job selects files by their names"
    sequence = SkeletonSequence(
        frames=read_frames(file.read(), file.where),
        name=file.stem,
        label=name.action - 1,
        subject=name.subject,
        camera=name.camera,
        setup=name.setup,
        replication=name.replication,
    )
    return Outcome([sequence], [])


def plan_job(files: Iterable[RawFile], dataset: str, missing: frozenset[str]) -> Job:
    """Select the files to convert: sorted, unique names, without those in `missing`."""
    classes = class_names(dataset)
    selected: dict[str, RawFile] = {}
    rejected = []
    num_skipped = 0
    for file in files:
        name = parse_ntu_name(file.stem)
        if name is None:
            reason = "expected a name of the form SxxxCxxxPxxxRxxxAxxx"
            rejected.append(Rejection(file.where, 0, reason))
        elif file.stem in missing:
            num_skipped += 1
        elif not 1 <= name.action <= len(classes):
            reason = f"expected a class in 1..{len(classes)}, found {name.action}"
            rejected.append(Rejection(file.where, 0, reason))
        elif file.stem in selected:
            rejected.append(duplicate_rejection(file, selected[file.stem]))
        else:
            selected[file.stem] = file
    return Job(
        dataset=dataset,
        class_names=classes,
        split_rules=NTU_DATASETS[dataset].rules,
        items=[selected[stem] for stem in sorted(selected)],
        convert_item=convert_recording,
        rejected=rejected,
        num_skipped=num_skipped,
    )


def read_missing_list(path: Path) -> frozenset[str]:
    """Read the names of recordings, with or without suffix, in a text file.

    Other words are ignored; an empty file is an empty list. Raises RawFileError if there is text
    but no name.
    """
    words = path.read_text(encoding="utf-8", errors="replace").split()
    stems = [word.removesuffix(SUFFIX) for word in words]
    names = frozenset(stem for stem in stems if parse_ntu_name(stem))
    if words and not names:
        raise RawFileError(str(path), 0, "expected names like S001C001P001R001A001, found none")
    return names
