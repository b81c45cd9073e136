"""Arrays that are normalized already: `train_data_joint.npy` of 2s-AGCN, CMD, HiCo and others.

Source of the format: 2s-AGCN, data_gen/ntu_gendata.py and preprocess.py.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scdnet.data.normalized import check_normalized
from scdnet.data.store import MAX_BODIES
from scdnet.errors import ScdnetError
from scdnet.raw.normalize import normalize
from scdnet.raw.raw_files import MAX_COORDINATE, RawFileError
from scdnet.raw.ready_made.arrays import ArrayFile
from scdnet.raw.ready_made.entries import ReadyMade
from scdnet.raw.ready_made.padded import count_frames, find_parts, read_row
from scdnet.raw.ready_made.padded_entries import make_ready_made
from scdnet.raw.ready_made.scratch import Scratch
from scdnet.skeleton import Skeleton, spine_vectors
from scdnet.skeletons import NTU_25

SUFFIX = "_data_joint.npy"
# Rows of an array that are looked at to find out which way is up.
NUM_SAMPLES = 64
# Rounding errors of normalized coordinates, in meters, when frames are compared.
TOLERANCE = 1e-5
PROCESSING = (
    "normalized by the script that made the files as docs/method.md 1; at most as many frames as "
    "the arrays have"
)
LEFT_UPRIGHT = (
    "centered and turned to the front, but the spine not turned to z, as by early versions of "
    "HiCo's script; normalized again; at most as many frames as the arrays have"
)
LENGTHS_FOUND = (
    "; without *_num_frame.npy the length is that of the loop, so frames without any body at the "
    "start or end of a recording are missing"
)


def open_files(roots: Sequence[Path], scratch: Scratch) -> ReadyMade:
    """Open the arrays below `roots`, with the labels and numbers of frames beside them.

    Raises RawFileError if a root cannot be searched or the files are of several datasets, and
    ScdnetError if arrays of two kinds are there.
    """
    parts, rejected = find_parts(roots, (SUFFIX,), scratch)
    left_upright = [part for part in parts if is_y_up(part.array)]
    if 0 < len(left_upright) < len(parts):
        raise ScdnetError(
            f"expected arrays of one kind, found {left_upright[0].where}, where y is up, and "
            f"others, where z is; give --raw only one of them"
        )
    processing = LEFT_UPRIGHT if left_upright else PROCESSING
    if any(-1 in part.num_frames for part in parts):
        processing += LENGTHS_FOUND
    return make_ready_made(
        parts,
        rejected,
        read_bodies=read_y_up if left_upright else read_bodies,
        finish=finish,
        source_processing=processing,
    )


def is_y_up(array: ArrayFile) -> bool:
    """Check whether the spine of body 0 points along y rather than z in frame 0 of most rows.

    Single rows do not tell, since the shoulders are turned last. Source: HiCo before b7e6037,
    data_gen/preprocess.py.
    """
    rows = np.unique(np.linspace(0, array.shape[0] - 1, NUM_SAMPLES, dtype=int))
    first = array.map()[rows, :, 0, :, 0].swapaxes(1, 2).astype(np.float64)
    spines = spine_vectors(first, NTU_25)
    # Damaged rows have NaN or absurd numbers.
    spines = spines[(np.abs(spines) < MAX_COORDINATE).all(axis=1) & spines.any(axis=1)]
    directions = spines / np.linalg.norm(spines, axis=1, keepdims=True)
    return bool(directions[:, 1].sum() > directions[:, 2].sum())


def read_y_up(array: ArrayFile, row: int, num_frames: int) -> np.ndarray:
    """Read a sequence where y is up, and turn its spine to z. Raises as `read_bodies` does."""
    return normalize(read_bodies(array, row, num_frames), NTU_25).swapaxes(0, 1)


def finish(bodies: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Return normalized bodies (M, T, V, 3) as a store has them: float32 (T, 2, V, 3)."""
    frames = np.zeros((bodies.shape[1], MAX_BODIES, *bodies.shape[2:]), np.float32)
    frames[:, : len(bodies)] = bodies.swapaxes(0, 1)
    return frames


def read_bodies(array: ArrayFile, row: int, num_frames: int) -> np.ndarray:
    """Read a sequence without what fills the array: (2, T, V, 3). Raises RawFileError.

    `num_frames` is -1 where it is unknown.
    """
    bodies = read_row(array, row)
    if len(bodies) > MAX_BODIES:
        raise RawFileError(array.where, 0, f"expected two bodies, found {len(bodies)}")
    if not num_frames:
        raise RawFileError(array.where, 0, "expected one frame or more, found 0")
    length = num_frames if num_frames > 0 else find_length(bodies)
    # The scripts for PKU-MMD cut the frames, but not their number.
    bodies = bodies[:, :length]
    try:
        check_normalized(finish(bodies, NTU_25), NTU_25)
    except ScdnetError as error:
        raise RawFileError(
            array.where,
            0,
            f"expected normalized frames, as in the files of 2s-AGCN ({error}); "
            f"frames as the sensor gives them are imported with --format crosclr",
        ) from error
    return bodies


def find_length(bodies: np.ndarray) -> int:
    """Find how many frames of (M, T, V, C) come before their repetition, or before zeros.

    Each body may repeat after another number of frames, if it came late or left early; the largest
    is that of the recording, if one of them was there in its first and its last frame.
    """
    length = count_frames(bodies)
    if length < bodies.shape[1]:
        return length
    # All is relative to body 0, which repeats on its own, so for others only the pose repeats.
    poses = [bodies[0], *(body - body[:, :1] for body in bodies[1:])]
    return max(find_period(pose) for pose in poses)


def find_period(body: np.ndarray) -> int:
    """Find the smallest number of frames after which (T, V, C) repeats; T if it does not."""
    is_first = (np.abs(body - body[0]) <= TOLERANCE).all(axis=(1, 2))
    for period in np.flatnonzero(is_first)[1:]:
        if (np.abs(body[period:] - body[:-period]) <= TOLERANCE).all():
            return int(period)
    return len(body)
