"""NW-UCLA as the users of CTR-GCN have it: a folder or zip `all_sqe` of json files."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from scdnet.raw.convert import Rejection, duplicate_rejection, find_all
from scdnet.raw.custom.frames import normalize_facing
from scdnet.raw.custom.json_text import parse_json, to_numbers
from scdnet.raw.normalize import select_bodies
from scdnet.raw.raw_files import MAX_FRAMES, RawFile, RawFileError, check_at_most, quote
from scdnet.raw.ready_made.entries import Entry, ReadyMade
from scdnet.raw.ready_made.scratch import Scratch
from scdnet.skeleton import Skeleton
from scdnet.skeletons import KINECT_V1_20

DATASET = "nwucla"
SUFFIX = ".json"
# Action, subject, take and view.
NAME = re.compile(r"a(\d\d)_s(\d\d)_e(\d\d)_v(\d\d)", re.ASCII | re.IGNORECASE)
# The number of each action in the names -> its class; 7 and 10 do not exist. Source: Wang et al.
# 2014, sect. 4.
ACTIONS: Mapping[int, str] = {
    1: "pick up with one hand",
    2: "pick up with two hands",
    3: "drop trash",
    4: "walk around",
    5: "sit down",
    6: "stand up",
    8: "donning",
    9: "doffing",
    11: "throw",
    12: "carry",
}
# Views 1 and 2 train, 3 tests. Source: Wang et al. 2014, sect. 4.1.
TRAIN_VIEWS = (1, 2)


class NwuclaName(NamedTuple):
    """The numbers in aXX_sXX_eXX_vXX."""

    action: int
    subject: int
    take: int
    view: int


def open_files(roots: Sequence[Path], scratch: Scratch) -> ReadyMade:
    """Open the recordings below `roots`; each is read once to count joints that were not tracked.

    Raises RawFileError if a root is neither a folder nor a zip.
    """
    selected: dict[str, RawFile] = {}
    rejected = []
    num_untracked: dict[str, int] = {}
    for file in find_all(roots, (SUFFIX,)):
        try:
            if file.stem in selected:
                rejected.append(duplicate_rejection(file, selected[file.stem]))
                continue
            parse_name(file)
            num_untracked[file.stem] = int(is_untracked(read_skeletons(file)).sum())
            selected[file.stem] = file
        except RawFileError as error:
            rejected.append(Rejection(*error.args))
    return ReadyMade(
        dataset=DATASET,
        skeleton=KINECT_V1_20,
        class_names=tuple(ACTIONS.values()),
        entries=[make_entry(file) for file in selected.values()],
        rejected=rejected,
        source_processing="none",
        finish=finish,
        attributes=report_untracked(num_untracked),
    )


def report_untracked(num_untracked: Mapping[str, int]) -> dict[str, object]:
    """Print how many joints were interpolated, and return it as attributes of the store.

    The argument is the number of joints at 0, 0, 0, over all frames, of each recording.
    """
    found = {name: number for name, number in sorted(num_untracked.items()) if number}
    total = sum(found.values())
    if total:
        print(
            f"Interpolated {total} joints that were not tracked (0, 0, 0), "
            f"in {len(found)} of {len(num_untracked)} recordings."
        )
    return {
        "num_interpolated_joints": total,
        "interpolated_recordings": np.array(list(found), dtype=h5py.string_dtype()),
    }


def parse_name(file: RawFile) -> NwuclaName:
    """Parse the name of a recording. Raises RawFileError if it is not one of NW-UCLA."""
    match = NAME.fullmatch(file.stem)
    if match is None:
        raise RawFileError(file.where, 0, "expected a name of the form aXX_sXX_eXX_vXX")
    name = NwuclaName(*map(int, match.groups()))
    if name.action not in ACTIONS:
        raise RawFileError(
            file.where,
            0,
            f"expected an action of {', '.join(map(str, ACTIONS))}, found {name.action}",
        )
    return name


def make_entry(file: RawFile) -> Entry:
    """Describe the sequence in a file whose name is valid."""
    name = parse_name(file)
    return Entry(
        name=file.stem,
        label=label_of(name.action),
        where=file.where,
        read_bodies=partial(read_bodies, file),
        numbers={"subject": name.subject, "camera": name.view, "replication": name.take},
        is_train={"xview": name.view in TRAIN_VIEWS, "xsub": name.subject % 2 == 1},
    )


def label_of(action: int) -> int:
    """Return the class id, from 0, of a number in a name."""
    return list(ACTIONS).index(action)


def finish(bodies: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Normalize as recordings of one's own are, but accept any trunk: float32 (T, 2, V, 3)."""
    return normalize_facing(select_bodies(bodies), skeleton)


def read_bodies(file: RawFile) -> np.ndarray:
    """Read a recording and interpolate joints that were not tracked: float64 (1, T, V, 3) meters.

    Raises RawFileError.
    """
    joints = read_skeletons(file)
    return interpolate(joints, is_untracked(joints))[None]


def read_skeletons(file: RawFile) -> np.ndarray:
    """Read a recording as it is: float64 (T, V, 3) meters, y up. Raises RawFileError."""
    fields = read_fields(file)
    check_facts(fields, file)
    joints = to_numbers(fields["skeletons"], file.where, "'skeletons'")
    v = KINECT_V1_20.num_joints
    if joints.ndim != 3 or joints.shape[1:] != (v, 3) or not len(joints):
        raise RawFileError(
            file.where,
            0,
            f"expected 'skeletons' of shape (frames, {v}, 3), found {joints.shape}",
        )
    check_at_most(MAX_FRAMES, len(joints), "frames", file.where)
    never = is_untracked(joints).all(axis=0)
    if never.any():
        lost = ", ".join(np.array(KINECT_V1_20.joints)[never])
        raise RawFileError(file.where, 0, f"not tracked in any frame (0, 0, 0): {lost}")
    return joints


def read_fields(file: RawFile) -> dict[str, object]:
    """Read a json file that contains an object with 'skeletons'. Raises RawFileError."""
    fields = parse_json(file.read(), file.where)
    if not isinstance(fields, dict) or "skeletons" not in fields:
        raise RawFileError(file.where, 0, "expected an object with 'skeletons'")
    return fields


def check_facts(fields: Mapping[str, object], file: RawFile) -> None:
    """Raise RawFileError if label or name in the file contradict the name of the file."""
    expected = {"file_name": file.stem, "label": label_of(parse_name(file).action) + 1}
    for key, value in expected.items():
        found = fields.get(key, value)
        if found != value:
            raise RawFileError(
                file.where,
                0,
                f"expected {key} {value}, as the name of the file, found {quote(str(found))}",
            )


def is_untracked(joints: np.ndarray) -> np.ndarray:
    """Return (T, V), True where a joint of (T, V, 3) was not tracked.

    A single joint at 0, 0, 0 in all frames is the origin of the positions.
    """
    is_zero = np.logical_not(joints.any(axis=2))
    is_always_zero = is_zero.all(axis=0)
    return is_zero & ~is_always_zero if is_always_zero.sum() == 1 else is_zero


def interpolate(joints: np.ndarray, is_missing: np.ndarray) -> np.ndarray:
    """Interpolate the missing joints of (T, V, 3) in time; hold the first and the last value.

    `is_missing` is (T, V), not all True for a joint.
    """
    joints = joints.copy()
    frames = np.arange(len(joints))
    for joint in np.flatnonzero(is_missing.any(axis=0)):
        missing = is_missing[:, joint]
        for axis in range(3):
            values = joints[:, joint, axis]
            values[missing] = np.interp(frames[missing], frames[~missing], values[~missing])
    return joints
