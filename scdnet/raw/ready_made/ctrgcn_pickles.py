"""The intermediate files of CTR-GCN: `raw_skes_data.pkl` and `raw_denoised_joints.pkl`.

Source of the format: CTR-GCN, data/ntu/get_raw_skes_data.py and get_raw_denoised_data.py.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from scdnet.data.store import MAX_BODIES
from scdnet.raw.convert import Rejection
from scdnet.raw.datasets import parse_ntu_name
from scdnet.raw.raw_files import MAX_FRAMES, RawFileError
from scdnet.raw.ready_made.arrays import StoredArray
from scdnet.raw.ready_made.ctrgcn_npz import BODY_WIDTH, split_bodies
from scdnet.raw.ready_made.entries import DENOISED, FOLLOWED, Entry
from scdnet.raw.ready_made.ntu_names import find_dataset, official_splits, parse_numbers
from scdnet.raw.ready_made.pickles import describe
from scdnet.raw.ready_made.sources import Source
from scdnet.skeletons import NTU_25

PROCESSING = {
    "raw": f"CTR-GCN: {FOLLOWED}",
    "denoised": f"CTR-GCN: {DENOISED}",
}


class Track(NamedTuple):
    """A body of a recording: its joints and the frames in which it is there."""

    joints: StoredArray  # (n * V, 3)
    frames: np.ndarray  # (n,)


class Recording(NamedTuple):
    """A recording of an intermediate file, its name and how to read its bodies."""

    name: str
    read_bodies: Callable[[], np.ndarray]


def is_raw(content: Any) -> bool:
    """Check whether this is the content of `raw_skes_data.pkl`."""
    return _is_list_of(content, dict)


def is_denoised(content: Any) -> bool:
    """Check whether this is the content of `raw_denoised_joints.pkl`."""
    return _is_list_of(content, StoredArray)


def _is_list_of(content: Any, kind: type) -> bool:
    # Single items may be damaged.
    return type(content) is list and any(type(item) is kind for item in content)


def make_entries(
    content: list[Any], source: Source, names: Sequence[str] | None
) -> tuple[str, list[Entry | Rejection]]:
    """Return the dataset and the recordings of a file, or why they cannot be used.

    `raw_denoised_joints.pkl` has neither names nor labels, so `names` must be given, in the order
    of its items. Raises RawFileError if they are not.
    """
    results: list[Entry | Rejection] = []
    recordings: list[Recording] = []
    if is_denoised(content):
        if names is None:
            raise RawFileError(
                source.where, 0, "contains neither names nor labels: give --names FILE"
            )
        if len(names) != len(content):
            raise RawFileError(
                source.where, 0, f"contains {len(content)} recordings, but {len(names)} names given"
            )
        parse: list[Callable[[Any], Recording]] = [partial(parse_denoised, name) for name in names]
    else:
        parse = [parse_raw] * len(content)
    for number, (item, parse_item) in enumerate(zip(content, parse, strict=True), start=1):
        try:
            recordings.append(parse_item(item))
        except ValueError as error:
            results.append(Rejection(source.where, 0, f"recording {number}: {error}"))
    found = [recording.name for recording in recordings]
    dataset = find_dataset(found) or "ntu120"
    sides = official_splits(found, dataset)
    for recording in recordings:
        name = parse_ntu_name(recording.name)
        assert name is not None, "names are checked above"
        results.append(
            Entry(
                name=recording.name,
                label=name.action - 1,
                where=source.where,
                read_bodies=recording.read_bodies,
                numbers=parse_numbers(recording.name),
                is_train=sides[recording.name],
            )
        )
    return dataset, results


def parse_denoised(name: str, item: Any) -> Recording:
    """Check an item of `raw_denoised_joints.pkl`. Raises ValueError."""
    shape = item.shape if isinstance(item, StoredArray) else ()
    is_valid = len(shape) == 2 and shape[1] in (BODY_WIDTH, 2 * BODY_WIDTH)
    if not is_valid or item.kind != "f" or shape[0] > MAX_FRAMES:
        raise ValueError(
            f"{name}: expected real numbers of shape (frames, {BODY_WIDTH} or {2 * BODY_WIDTH}), "
            f"found {describe(item)}"
        )
    return Recording(name, partial(read_denoised, item))


def read_denoised(item: StoredArray) -> np.ndarray:
    """Read the bodies (M, T, V, C) of a recording. Raises RawFileError."""
    return split_bodies(item.read())


def parse_raw(item: Any) -> Recording:
    """Check an item of `raw_skes_data.pkl`. Raises ValueError."""
    if type(item) is not dict:
        raise ValueError(f"expected a dict, found {describe(item)}")
    name = item.get("name")
    if type(name) is not str or parse_ntu_name(name) is None:
        raise ValueError(f"expected a name SxxxCxxxPxxxRxxxAxxx, found {describe(name)}")
    num_frames = item.get("num_frames")
    if type(num_frames) is not int or not 0 < num_frames <= MAX_FRAMES:
        raise ValueError(f"{name}: expected 1 to {MAX_FRAMES} frames, found {describe(num_frames)}")
    data = item.get("data")
    if type(data) is not dict:
        raise ValueError(f"{name}: expected a dict of bodies as data, found {describe(data)}")
    tracks = [parse_track(body, name, num_frames) for body in data.values()]
    return Recording(name, partial(read_raw, tracks, num_frames))


def parse_track(body: Any, name: str, num_frames: int) -> Track:
    """Check a body of a recording. Raises ValueError."""
    joints = body.get("joints") if type(body) is dict else None
    shape = joints.shape if isinstance(joints, StoredArray) else ()
    frames = body.get("interval") if type(body) is dict else None
    is_valid = len(shape) == 2 and shape[1] == 3 and joints is not None and joints.kind == "f"
    if not is_valid or joints is None:
        raise ValueError(
            f"{name}: expected real numbers of shape (frames * {NTU_25.num_joints}, 3) as joints, "
            f"found {describe(joints)}"
        )
    if (
        type(frames) is not list
        or not frames
        or shape[0] != len(frames) * NTU_25.num_joints
        or not all(type(frame) is int and 0 <= frame < num_frames for frame in frames)
    ):
        raise ValueError(
            f"{name}: expected as interval the frames of {shape[0]} joints, in 0..{num_frames - 1}"
        )
    return Track(joints, np.array(frames, np.int32))


def read_raw(tracks: Sequence[Track], num_frames: int) -> np.ndarray:
    """Read a recording as two bodies (2, T, V, C). Raises RawFileError.

    Beginning with that of largest energy, each track belongs to the first body that has none of its
    frames: a person whose id changes is one body. A track for which neither has room is left out.
    """
    bodies = np.zeros((MAX_BODIES, num_frames, NTU_25.num_joints, 3), np.float32)
    is_present = np.zeros((MAX_BODIES, num_frames), bool)
    moving = [(track, track.joints.read().reshape(-1, NTU_25.num_joints, 3)) for track in tracks]
    # The sort is stable: equal ones stay in the order of the file.
    moving.sort(key=lambda pair: -float(pair[1].reshape(-1, 3).std(axis=0).sum()))
    for track, joints in moving:
        has_room = np.logical_not(is_present[:, track.frames].any(axis=1))
        if has_room.any():
            body = has_room.argmax()
            bodies[body, track.frames] = joints
            is_present[body, track.frames] = True
    return bodies
