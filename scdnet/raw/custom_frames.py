"""From one recording of one's own to normalised frames: unit, axes, layout (docs/data.md), then docs/method.md 1."""

from typing import NamedTuple

import numpy as np

from scdnet.data.store import FRAME_SHAPE
from scdnet.raw.custom_file import read_joints
from scdnet.raw.layouts import LAYOUTS, joint_matrix
from scdnet.raw.normalize import SHOULDERS, normalize, select_bodies
from scdnet.raw.raw_files import RawFileError
from scdnet.skeleton import NTU_25

UNITS = {"m": 1, "cm": 100, "mm": 1000}  # how many of it are a metre
UP_ROTATIONS = {  # by the axis that points up: (C, C) rotation about x that makes it +y
    "y": np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "z": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "-y": np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1]]),
    "-z": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
}
HALF_TURN = np.array([-1, 1, -1])  # about the vertical, y
TRUNK = (NTU_25.joints.index("base of spine"), NTU_25.joints.index("spine at shoulders"))
TRUNK_LENGTH = (0.1, 1.5)  # metres; 0.4 to 0.7 in IntelliRehabDS and UI-PRMD
FEET = [
    NTU_25.joints.index(joint) for joint in ("left ankle", "left foot", "right ankle", "right foot")
]
BACKWARDS = -0.5  # mean cosine between toes and where the shoulders face; 0.3 to 1 in the same


class CaptureSpec(NamedTuple):
    """What the user says about the recordings."""

    layout: str  # of LAYOUTS
    unit: str  # of UNITS
    up: str  # of UP_ROTATIONS


def read_frames(data: bytes, where: str, capture: CaptureSpec) -> np.ndarray:
    """Normalise the content of one recording, an `.npz` or `.csv` as the end of `where` says.

    Returns float32 (T, M, V, C) as a store holds them, joints of NTU_25. Raises RawFileError for a file that cannot be
    used, or that contradicts `capture`.
    """
    layout = LAYOUTS[capture.layout]
    bodies = select_bodies(read_joints(data, where, layout))
    bodies = joint_matrix(layout) @ (bodies @ UP_ROTATIONS[capture.up].T / UNITS[capture.unit])
    check_body(bodies[0], where)
    absent = np.zeros((FRAME_SHAPE[0] - len(bodies), *bodies.shape[1:]))
    return normalize(np.concatenate([shift_zero_sums(face_camera(bodies)), absent]))


def face_camera(bodies: np.ndarray) -> np.ndarray:
    """Turn (M, T, V, C), y up, by half a turn if body 0 shows its back to the camera when it is first there.

    Its shoulders then point to +x or thereabouts, where the normalisation turns them by the shortest way (step 7); from
    the opposite direction that way may lead over the head.
    """
    body = bodies[0]
    first = body[body.any(axis=(1, 2)).argmax()]
    left, right = first[list(SHOULDERS), 0]
    return bodies * HALF_TURN if right < left else bodies


def shift_zero_sums(bodies: np.ndarray) -> np.ndarray:
    """Move (M, T, V, C) along z where a joint of a body would be taken for absent: x + y + z = 0 (step 5).

    Positions relative to the hips hold such joints.
    """
    x, y, z = np.moveaxis(bodies.astype(np.float32), -1, 0)
    present = bodies.any(axis=(2, 3))  # (M, T)
    sums = (x + y + z)[present]
    if sums.all():
        return bodies
    return bodies + np.where(present[..., None, None], [0, 0, 1 - sums.min()], 0)


def check_body(body: np.ndarray, where: str) -> None:
    """Raise RawFileError if (T, V, C), metres and y up, cannot be a body: another unit, or left and right exchanged."""
    body = body[body.any(axis=(1, 2))]
    spine = body[:, TRUNK[1]] - body[:, TRUNK[0]]
    length = np.median(np.linalg.norm(spine, axis=1))
    low, high = TRUNK_LENGTH
    if not low <= length <= high:
        raise RawFileError(
            where,
            0,
            f"expected a trunk of {low} to {high} m, found {length:.4g} m; is the unit right?",
        )
    forward = np.cross(spine, body[:, SHOULDERS[1]] - body[:, SHOULDERS[0]])
    toes = body[:, FEET[1]] - body[:, FEET[0]] + body[:, FEET[3]] - body[:, FEET[2]]
    cosines = (forward * toes).sum(axis=1)  # times both lengths
    lengths = np.linalg.norm(forward, axis=1) * np.linalg.norm(toes, axis=1)
    if cosines.sum() < BACKWARDS * lengths.sum():
        cause = "are left and right exchanged, or the axes left-handed (then negate one that is horizontal)?"
        raise RawFileError(where, 0, f"toes point backwards; {cause}")
