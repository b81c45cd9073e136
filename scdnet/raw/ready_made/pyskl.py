"""Annotations of pyskl and MMAction2: `ntu60_3danno.pkl`, `ntu120_2d.pkl`, `ntu60_hrnet.pkl`, ...

Source of the format: pyskl, tools/data/README.md.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scdnet.errors import ScdnetError
from scdnet.raw.convert import Rejection
from scdnet.raw.datasets import NTU_DATASETS, class_names
from scdnet.raw.guess import hint_other_format
from scdnet.raw.raw_files import RawFileError
from scdnet.raw.ready_made.arrays import StoredArray
from scdnet.raw.ready_made.entries import DENOISED, Entry, ReadyMade, finish_by_energy
from scdnet.raw.ready_made.labels import MAX_LABEL
from scdnet.raw.ready_made.pickles import describe, read_pickle
from scdnet.raw.ready_made.scratch import Scratch
from scdnet.raw.ready_made.sequence_names import SUFFIX, parse_sequence_name
from scdnet.raw.ready_made.sources import Source, find_sources
from scdnet.raw.ready_made.splits import Sides, find_sides, parse_split_key
from scdnet.skeleton import Skeleton
from scdnet.skeletons import COCO_17, NTU_25

SUFFIXES = (".pkl", ".pickle")
# Files that name the version of NTU RGB+D.
NTU_FILE = re.compile(r"ntu_?(?:rgbd?_?)?(60|120)", re.IGNORECASE)
# Axes V and C of `keypoint` -> skeleton.
SKELETONS: Mapping[tuple[int, ...], Skeleton] = {(25, 3): NTU_25, (17, 2): COCO_17}
PROCESSING = {
    NTU_25.name: f"pyskl: {DENOISED}",
    COCO_17.name: "key points of a 2-D pose estimator, in pixels",
}


@dataclass(frozen=True)
class Annotation:
    """An annotation whose fields have the right types."""

    name: str
    label: int
    where: str
    skeleton: Skeleton
    keypoint: StoredArray
    score: StoredArray | None

    def entry(self, sides: Sides) -> Entry:
        """Return it as a sequence of a store."""
        return Entry(
            name=self.name,
            label=self.label,
            where=self.where,
            read_bodies=partial(read_bodies, self.keypoint, self.score),
            numbers=parse_sequence_name(self.name).numbers,
            is_train=sides.is_train.get(self.name, {}),
        )


def open_files(roots: Sequence[Path], scratch: Scratch) -> ReadyMade:
    """Open the annotation files below `roots`.

    Raises ScdnetError if they cannot be united, RawFileError if the only one cannot be read.
    """
    sources = find_sources(roots, SUFFIXES, scratch)
    files: list[tuple[list[Annotation], Sides]] = []
    rejected: list[Rejection] = []
    for source in sources:
        try:
            annotations, sides, faults = read_file(source)
        except RawFileError as error:
            if len(sources) == 1:
                raise
            rejected.append(Rejection(*error.args))
            continue
        files.append((annotations, sides))
        rejected += faults
    everything = [annotation for annotations, _ in files for annotation in annotations]
    skeleton = find_skeleton(everything)
    dataset, classes = find_classes(everything, sources)
    entries = []
    for annotations, sides in files:
        for annotation in annotations:
            if fault := find_fault(annotation, dataset, sides):
                rejected.append(Rejection(annotation.where, 0, f"{annotation.name}: {fault}"))
            else:
                entries.append(annotation.entry(sides))
    return ReadyMade(
        dataset=dataset,
        skeleton=skeleton,
        class_names=classes,
        entries=entries,
        rejected=rejected,
        finish=finish_by_energy,
        source_processing=describe_processing(everything, skeleton),
    )


def read_file(source: Source) -> tuple[list[Annotation], Sides, list[Rejection]]:
    """Read the annotations and splits of a file, and which annotations cannot be used.

    A file of a single split is a list of annotations; its name tells which split. Raises
    RawFileError.
    """
    content = read_pickle(source)
    annotations, rejected = read_annotations(content, source)
    if isinstance(content, dict):
        sides = find_sides(content.get("split", {}), source.where)
    else:
        sides = Sides()
        side = parse_split_key(NTU_FILE.sub("", Path(source.name).stem).strip("_"))
        if side is not None:
            for annotation in annotations:
                sides.add(annotation.name, side)
    warn_of_missing(source.where, sides, annotations)
    return annotations, sides, rejected


def describe_processing(annotations: Sequence[Annotation], skeleton: Skeleton) -> str:
    """Return what had been done to the data of the files."""
    is_rounded = any(annotation.keypoint.code == "f2" for annotation in annotations)
    return PROCESSING[skeleton.name] + ("; rounded to float16" if is_rounded else "")


def read_annotations(content: Any, source: Source) -> tuple[list[Annotation], list[Rejection]]:
    """Check the annotations of a file, each for itself.

    Raises RawFileError if there is none that can be used.
    """
    items = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(items, list):
        raise RawFileError(
            source.where,
            0,
            "expected pyskl's annotations: a dict of 'split' and 'annotations'"
            + hint_other_format(source.path, "pyskl"),
        )
    annotations = []
    rejected = []
    for number, item in enumerate(items, start=1):
        try:
            annotations.append(parse_annotation(item, source.where))
        except ValueError as error:
            rejected.append(Rejection(source.where, 0, f"annotation {number}: {error}"))
    if not annotations:
        reason = rejected[0].reason if rejected else "contains no annotation"
        hint = hint_other_format(source.path, "pyskl")
        raise RawFileError(source.where, 0, reason + hint)
    return annotations, rejected


def parse_annotation(item: Any, where: str) -> Annotation:
    """Check the fields of one annotation. Raises ValueError."""
    if not isinstance(item, dict):
        raise ValueError(f"expected a dict, found {describe(item)}")
    name = item.get("frame_dir")
    if not isinstance(name, str):
        raise ValueError(f"expected a name as frame_dir, found {describe(item.get('frame_dir'))}")
    label = item.get("label")
    if type(label) is not int:
        raise ValueError(f"{name}: expected an int as label, found {describe(item.get('label'))}")
    keypoint = item.get("keypoint")
    shape = keypoint.shape if isinstance(keypoint, StoredArray) else ()
    skeleton = SKELETONS.get(shape[2:]) if len(shape) == 4 else None
    if skeleton is None or not isinstance(keypoint, StoredArray) or keypoint.kind not in "fiu":
        raise ValueError(
            f"{name}: expected numbers of shape (bodies, frames, 25, 3) or (bodies, frames, 17, 2) "
            f"as keypoint, found {describe(item.get('keypoint'))}"
        )
    num_frames = item.get("total_frames", shape[1])
    if num_frames != shape[1]:
        raise ValueError(f"{name}: states {num_frames} frames, but keypoint has {shape[1]}")
    score = item.get("keypoint_score")
    if skeleton.dims == 3:
        score = None
    elif not isinstance(score, StoredArray) or score.shape != shape[:3] or score.kind != "f":
        found = describe(item.get("keypoint_score"))
        raise ValueError(
            f"{name}: expected scores of shape {shape[:3]} as keypoint_score, found {found}"
        )
    return Annotation(name.removesuffix(SUFFIX), label, where, skeleton, keypoint, score)


def find_skeleton(annotations: Sequence[Annotation]) -> Skeleton:
    """Return the skeleton of all annotations. Raises ScdnetError if there are several."""
    files: dict[str, str] = {}
    for annotation in annotations:
        files.setdefault(annotation.skeleton.name, annotation.where)
    if len(files) > 1:
        found = ", ".join(f"{name} in {where}" for name, where in files.items())
        raise ScdnetError(f"expected files of one skeleton, found {found}; import each alone")
    return annotations[0].skeleton if annotations else NTU_25


def find_classes(
    annotations: Sequence[Annotation], sources: Sequence[Source]
) -> tuple[str, tuple[str, ...]]:
    """Return the dataset and its class names: numbers, unless it is NTU RGB+D.

    It is NTU RGB+D if most labels are those that the names state. Raises ScdnetError if the files
    are named after several datasets.
    """
    agreeing = [
        parse_sequence_name(annotation.name).dataset
        for annotation in annotations
        if _has_label_of_name(annotation)
    ]
    if agreeing and 2 * len(agreeing) > len(annotations):
        named = {
            f"ntu{match[1]}": source.where
            for source in sources
            if (match := NTU_FILE.search(source.name))
        }
        if len(named) > 1:
            raise ScdnetError(f"expected files of one dataset, found {', '.join(named.values())}")
        # The recordings of NTU-60 are a part of NTU-120.
        dataset = next(iter(named), max(agreeing, key=lambda name: name == "ntu120"))
        return dataset, class_names(dataset)
    num_classes = 1 + max((a.label for a in annotations if a.label <= MAX_LABEL), default=-1)
    stem = Path(sources[0].name).stem.split("_")[0] if sources else ""
    return stem or "custom", tuple(map(str, range(num_classes)))


def _has_label_of_name(annotation: Annotation) -> bool:
    name = parse_sequence_name(annotation.name)
    return name.dataset in NTU_DATASETS and name.label == annotation.label


def find_fault(annotation: Annotation, dataset: str, sides: Sides) -> str | None:
    """Return how an annotation contradicts its name or the splits, None if it does not."""
    if annotation.name in sides.contradicting:
        return "is on both sides of a benchmark"
    if dataset in NTU_DATASETS and not _has_label_of_name(annotation):
        return f"expected a name SxxxCxxxPxxxRxxxAxxx of the action {annotation.label + 1}"
    return None


def warn_of_missing(where: str, sides: Sides, annotations: Sequence[Annotation]) -> None:
    """Warn of names that the splits of a file list and for which it has no annotation."""
    missing = sides.is_train.keys() - {annotation.name for annotation in annotations}
    if missing:
        print(
            f"warning: {where}: no annotation of {len(missing)} sequences that the splits list, "
            f"such as {min(missing)}",
            file=sys.stderr,
        )


def read_bodies(keypoint: StoredArray, score: StoredArray | None) -> np.ndarray:
    """Return the bodies (M, T, V, 3) of an annotation, with y up. Raises RawFileError."""
    points = keypoint.read().astype(np.float32)
    if score is None:
        return points
    # Pixels count from the top.
    points *= np.array([1, -1], np.float32)
    return np.concatenate([points, score.read().astype(np.float32)[..., None]], axis=-1)
