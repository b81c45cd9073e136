"""Recordings of NTU RGB+D as `.skeleton.npy`, pickled dicts.

Source of the format: NTURGB-D, Python/txt2npy.py.
"""

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scdnet.raw.convert import Rejection, duplicate_rejection, find_all
from scdnet.raw.datasets import class_names, missing_names, parse_ntu_name
from scdnet.raw.ntu import MAX_LISTED
from scdnet.raw.raw_files import MAX_FRAMES, RawFile, RawFileError
from scdnet.raw.ready_made import ntu_names
from scdnet.raw.ready_made.arrays import StoredArray
from scdnet.raw.ready_made.entries import Entry, ReadyMade, finish_by_energy
from scdnet.raw.ready_made.pickles import read_object_npy
from scdnet.raw.ready_made.scratch import Scratch
from scdnet.raw.ready_made.sources import Source
from scdnet.skeletons import NTU_25

SUFFIX = ".skeleton.npy"
# The bodies of a recording: this and their number, from 0.
BODY = "skel_body"


def open_files(roots: Sequence[Path], scratch: Scratch) -> ReadyMade:
    """Open the recordings below `roots`.

    Raises RawFileError if a root is neither a folder nor a zip.
    """
    selected: dict[str, RawFile] = {}
    rejected = []
    for file in find_all(roots, (SUFFIX,)):
        name = name_of(file)
        fault = find_fault(name)
        if fault is not None:
            rejected.append(Rejection(file.where, 0, fault))
        elif name in selected:
            rejected.append(duplicate_rejection(file, selected[name]))
        else:
            selected[name] = file
    dataset = ntu_names.find_dataset(list(selected)) or "ntu60"
    splits = ntu_names.official_splits(list(selected), dataset)
    return ReadyMade(
        dataset=dataset,
        skeleton=NTU_25,
        class_names=class_names(dataset),
        entries=[make_entry(name, file, splits[name]) for name, file in selected.items()],
        rejected=rejected,
        source_processing="none",
        finish=finish_by_energy,
    )


def name_of(file: RawFile) -> str:
    """Return the name of the recording in a file."""
    return file.stem.removesuffix(Path(SUFFIX).stem)


def find_fault(name: str) -> str | None:
    """Return why a recording of this name cannot be used, None if it can."""
    if parse_ntu_name(name) is None:
        return "expected a name of the form SxxxCxxxPxxxRxxxAxxx"
    dataset = ntu_names.find_dataset([name])
    if dataset is None:
        return f"expected a setup and a class of NTU RGB+D, found {name}"
    if name in missing_names(dataset):
        return "is on the list of recordings with missing skeletons"
    return None


def make_entry(name: str, file: RawFile, is_train: Mapping[str, bool]) -> Entry:
    """Describe the sequence in a file whose name is valid."""
    numbers = parse_ntu_name(name)
    assert numbers is not None, "open_files selects files by their names"
    return Entry(
        name=name,
        label=numbers.action - 1,
        where=file.where,
        read_bodies=partial(read_bodies, file),
        numbers=ntu_names.parse_numbers(name),
        is_train=is_train,
    )


def read_bodies(file: RawFile) -> np.ndarray:
    """Read the bodies of a recording that are used: float64 (M, T, V, 3). Raises RawFileError."""
    if not file.inner:
        return read_source(Source(Path(file.path), file.where))
    with tempfile.NamedTemporaryFile(suffix=".npy") as copy:
        copy.write(file.read())
        copy.flush()
        return read_source(Source(Path(copy.name), file.where))


def read_source(source: Source) -> np.ndarray:
    """Read the bodies of a recording as `read_bodies` does."""
    content = read_object_npy(source)
    if not isinstance(content, dict):
        raise RawFileError(source.where, 0, "expected a dict as txt2npy.py saves it")
    check_name(content, source)
    keys = [f"{BODY}{number}" for number in range(MAX_LISTED)]
    found = [key for key in keys if key in content]
    if not found or found != keys[: len(found)]:
        raise RawFileError(source.where, 0, f"expected {BODY}0 and so on, found {found or 'none'}")
    bodies = [read_body(content, key, source) for key in found]
    if len({len(body) for body in bodies}) > 1:
        lengths = ", ".join(str(len(body)) for body in bodies)
        raise RawFileError(source.where, 0, f"expected bodies of one length, found {lengths}")
    return np.stack(bodies)


def check_name(content: Mapping[str, Any], source: Source) -> None:
    """Raise RawFileError if the name in a file contradicts that of the file."""
    name = source.name.removesuffix(SUFFIX)
    found = content.get("file_name", name)
    if found != name:
        raise RawFileError(
            source.where, 0, f"expected file_name {name}, as the name of the file, found {found!r}"
        )


def read_body(content: Mapping[str, Any], key: str, source: Source) -> np.ndarray:
    """Read one body of a recording: float64 (T, V, 3). Raises RawFileError."""
    array = content[key]
    v = NTU_25.num_joints
    shape = array.shape if isinstance(array, StoredArray) else ()
    is_valid = len(shape) == 3 and shape[1:] == (v, 3) and 0 < shape[0] <= MAX_FRAMES
    if not is_valid or array.kind not in "fiu":
        found = f"one of shape {shape}" if isinstance(array, StoredArray) else "none"
        raise RawFileError(
            source.where, 0, f"expected {key} as an array (frames, {v}, 3), found {found}"
        )
    return np.array(array.read(), np.float64)
