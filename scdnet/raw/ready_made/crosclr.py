"""Padded arrays of CrosSCLR and AimCLR: `train_data.npy` of 300 frames, `train_position.npy` of 50.

Source of the format: AimCLR, tools/*_gendata.py and feeder/preprocess_*.py.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from scdnet.errors import ScdnetError
from scdnet.raw.datasets import NTU_DATASETS
from scdnet.raw.raw_files import RawFileError
from scdnet.raw.ready_made import ntu_names
from scdnet.raw.ready_made.arrays import ArrayFile
from scdnet.raw.ready_made.ctrgcn import read_names
from scdnet.raw.ready_made.entries import ReadyMade, finish_by_energy, finish_in_order
from scdnet.raw.ready_made.padded import Part, count_frames, find_parts, read_row
from scdnet.raw.ready_made.padded_entries import benchmark_of, find_dataset, make_ready_made
from scdnet.raw.ready_made.scratch import Scratch
from scdnet.raw.ready_made.sequence_names import parse_sequence_name
from scdnet.skeleton import Skeleton, mean_joint
from scdnet.skeletons import NTU_25

RAW_SUFFIX = "_data.npy"
RESIZED_SUFFIX = "_position.npy"
RAW_PROCESSING = (
    "none but at most as many frames as the arrays have; frames without any body at the end of a "
    "recording are missing"
)
RESIZED_PROCESSING = (
    "resampled to {num_frames} frames; the spine at the shoulders of each body at the origin in "
    "each frame, so that the bodies do not move in space, nor to each other; each frame of each "
    "body turned about the vertical until its shoulders have no depth; frames without any body at "
    "the end of a recording are missing; labels counted from the smallest of each file"
)


def open_files(roots: Sequence[Path], scratch: Scratch, names: Path | None = None) -> ReadyMade:
    """Open the arrays below `roots`, with the labels beside them.

    `names` lists the recordings of NTU RGB+D for arrays without names. Raises RawFileError if a
    root cannot be searched or the files are of several datasets, and ScdnetError if arrays of both
    kinds are there or the names do not fit.
    """
    parts, rejected = find_parts(roots, (RAW_SUFFIX, RESIZED_SUFFIX), scratch)
    resized = [part for part in parts if is_resized(part)]
    if 0 < len(resized) < len(parts):
        raise ScdnetError(
            f"expected arrays of one kind, found {resized[0].where}, which is resampled, and "
            f"others that are not; give --raw only one of them"
        )
    if names is not None:
        parts = add_names(parts, names)
    if not resized:
        return make_ready_made(
            parts,
            rejected,
            read_bodies=read_bodies,
            # Our own converter of PKU-MMD keeps the order of the bodies, as these files do.
            finish=finish_by_energy if find_dataset(parts) in NTU_DATASETS else finish_in_order,
            source_processing=RAW_PROCESSING,
        )
    lengths = sorted({part.array.shape[2] for part in resized})
    return make_ready_made(
        parts,
        rejected,
        read_bodies=read_resized,
        finish=finish_resized,
        source_processing=RESIZED_PROCESSING.format(num_frames=" or ".join(map(str, lengths))),
    )


def is_resized(part: Part) -> bool:
    """Check whether the frames of a part are resampled."""
    return part.where.lower().endswith(RESIZED_SUFFIX)


def add_names(parts: Sequence[Part], path: Path) -> list[Part]:
    """Name the rows of parts that have no names, in the order in which CrosSCLR writes them.

    This is the sorted order of the recordings on each side. `path` lists all of them, of NTU RGB+D.
    Raises RawFileError if the list cannot be read, ScdnetError if it does not fit.
    """
    names = sorted(read_names(path))
    dataset = ntu_names.find_dataset(names)
    if dataset is None:
        raise ScdnetError(f"--names {path}: expected setups and classes of NTU RGB+D")
    if all(part.names is not None for part in parts):
        raise ScdnetError(f"--names {path}: all files have names; omit it")
    splits = ntu_names.official_splits(names, dataset)
    named = []
    for part in parts:
        benchmark = benchmark_of(part, dataset)
        side = [name for name in names if splits[name].get(benchmark) == part.is_train]
        parsed = [parse_sequence_name(name) for name in side]
        labels = [name.label or 0 for name in parsed]
        if part.names is None:
            # preprocess_*.py subtracts the smallest label of the side.
            if _from_zero(labels) != _from_zero(part.labels):
                raise ScdnetError(
                    f"--names {path}: expected the {len(part.labels)} recordings of "
                    f"{part.where}, found {len(side)} on that side of {benchmark}, or others"
                )
            part = part._replace(names=parsed, labels=labels)
        named.append(part)
    return named


def _from_zero(labels: Iterable[int]) -> list[int]:
    labels = list(labels)
    return [label - min(labels) for label in labels]


def read_bodies(array: ArrayFile, row: int, num_frames: int) -> np.ndarray:
    """Read a sequence up to its last frame that is not zero: (M, T, V, 3). Raises RawFileError."""
    bodies = read_row(array, row)
    length = count_frames(bodies)
    if not length:
        raise RawFileError(array.where, 0, f"no body in any of {bodies.shape[1]} frames")
    bodies = bodies[:, :length]
    if bodies[0].any() and not mean_joint(bodies[0], NTU_25.center).any():
        raise RawFileError(
            array.where,
            0,
            "expected frames as the sensor gives them, found centered ones; "
            "arrays that are normalized are imported with --format agcn, as *_data_joint.npy",
        )
    return bodies


def read_resized(array: ArrayFile, row: int, num_frames: int) -> np.ndarray:
    """Read a resampled sequence, with all frames: (M, T, V, 3). Raises RawFileError."""
    return read_row(array, row)


def finish_resized(bodies: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Normalize bodies (M, T, V, 3) of which each has a joint at 0, 0, 0: float32 (T, 2, V, 3).

    They are centered first, since normalization takes a joint at 0, 0, 0 for that of an absent
    body. Their order is that of the file, as their energy in space is lost.
    """
    bodies = bodies[bodies.any(axis=(1, 2, 3))]
    center = mean_joint(bodies[0], skeleton.center)[:, None]
    is_present = bodies.any(axis=(2, 3), keepdims=True)
    return finish_in_order(np.where(is_present, bodies - center, 0), skeleton)
