"""Content of ready-made files: what each sequence is called, and how its frames are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scdnet.data.store import MAX_BODIES
from scdnet.raw.convert import Rejection
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.skeleton import Skeleton

# The scripts of several projects do this to recordings of NTU RGB+D.
FOLLOWED = "frames without a body dropped; bodies followed by their id"
DENOISED = (
    f"{FOLLOWED}; bodies that are short in time or too wide left out as noise; larger motion first"
)


@dataclass(frozen=True)
class Entry:
    """A sequence of a ready-made file, whose frames are not read yet; picklable."""

    name: str
    # The class id, from 0.
    label: int
    # The file, for messages and the rejected list.
    where: str
    # Returns (any M, T, V, 3): x y z in meters, y up, or x y score, y up; absent bodies are zero.
    # Raises RawFileError.
    read_bodies: Callable[[], np.ndarray]
    # subject, camera, setup and replication, as far as they are known.
    numbers: Mapping[str, int] = field(default_factory=dict)
    # Benchmark -> whether the sequence is in the training split.
    is_train: Mapping[str, bool] = field(default_factory=dict)


def finish_in_order(bodies: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Normalize the bodies (M, T, V, 3) in the order of the file, if there are at most two.

    Returns float32 (T, 2, V, 3). Of more bodies, the two of largest energy are used.
    """
    is_present = bodies.any(axis=(1, 2, 3))
    bodies = bodies[is_present]
    if len(bodies) > MAX_BODIES:
        bodies = select_bodies(bodies, skeleton.dims)
    return normalize(bodies, skeleton)


def finish_by_energy(bodies: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Select the two bodies of largest energy of (M, T, V, 3), and normalize them.

    Returns float32 (T, 2, V, 3).
    """
    return normalize(select_bodies(bodies, skeleton.dims), skeleton)


@dataclass(frozen=True)
class ReadyMade:
    """The content of the ready-made files of one format."""

    dataset: str
    # The joints of the files.
    skeleton: Skeleton
    class_names: tuple[str, ...]
    # They come in any order. Entries of different files with the same name are the same sequence.
    entries: list[Entry]
    rejected: list[Rejection]
    # It tells what had been done to the data already, and becomes an attribute of the store.
    source_processing: str
    # Bodies (M, T, V, 3), with the joints of the skeleton -> normalized float32 (T, 2, V, 3). It is
    # picklable, and gets the skeleton because --to may replace it. Raises NormalizeError.
    finish: Callable[[np.ndarray, Skeleton], np.ndarray] = finish_in_order
    # Attributes of the store besides those that every store has.
    attributes: Mapping[str, Any] = field(default_factory=dict)
