"""Normalize custom recordings: unit, axes and layout (docs/data/own.md), then docs/method.md 1."""

from typing import NamedTuple

import numpy as np

from scdnet.data.store import FRAME_SHAPE
from scdnet.raw.custom_files import read_joints
from scdnet.raw.layouts import LAYOUTS, joint_matrix
from scdnet.raw.normalize import SHOULDERS, normalize, select_bodies
from scdnet.raw.raw_files import RawFileError
from scdnet.skeleton import NTU_25

# The number of units in a meter.
UNITS = {"m": 1, "cm": 100, "mm": 1000}

# Rotations about x, (C, C), that turn the axis that points up to +y.
UP_ROTATIONS = {
    "y": np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "z": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "-y": np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1]]),
    "-z": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
}

TRUNK = (NTU_25.joints.index("base of spine"), NTU_25.joints.index("spine at shoulders"))

# The mean cosine between the direction of the toes and that in which the shoulders face lies
# between 0.3 and 1 in IntelliRehabDS and UI-PRMD.
FEET = [
    NTU_25.joints.index(joint) for joint in ("left ankle", "left foot", "right ankle", "right foot")
]
MIN_TOE_COSINE = -0.5


class CaptureSpec(NamedTuple):
    """Facts about recordings that only their owner knows; CAPTURE_CHOICES lists the values."""

    layout: str
    unit: str
    up: str


CAPTURE_CHOICES = {"layout": tuple(LAYOUTS), "unit": tuple(UNITS), "up": tuple(UP_ROTATIONS)}


def read_frames(data: bytes, where: str, capture: CaptureSpec) -> np.ndarray:
    """Normalize the content of one recording, `.npz` or `.csv` as the suffix of `where` tells.

    Returns float32 (T, M, V, C) as a store contains them, with the joints of NTU_25. Raises
    RawFileError for a file that cannot be used or that contradicts `capture`.
    """
    layout = LAYOUTS[capture.layout]
    bodies = select_bodies(read_joints(data, where, layout))
    bodies = joint_matrix(layout) @ (bodies @ UP_ROTATIONS[capture.up].T / UNITS[capture.unit])
    check_body(bodies[0], where)
    absent = np.zeros((FRAME_SHAPE[0] - len(bodies), *bodies.shape[1:]))
    return normalize(np.concatenate([shift_zero_sums(face_camera(bodies)), absent]))


def face_camera(bodies: np.ndarray) -> np.ndarray:
    """Turn (M, T, V, C), y up, by half a turn if body 0 first appears with its back to the camera.

    Its shoulders then point roughly to +x, where normalization turns them by the shortest way (step
    7); from the opposite direction, that way may lead over the head.
    """
    body = bodies[0]
    first = body[body.any(axis=(1, 2)).argmax()]
    left, right = first[list(SHOULDERS), 0]
    # Half a turn about y changes the signs of x and z.
    return bodies * [-1, 1, -1] if right < left else bodies


def shift_zero_sums(bodies: np.ndarray) -> np.ndarray:
    """Shift (M, T, V, C) along z if x + y + z of a joint is 0, as in positions relative to hips.

    Normalization takes such a joint for that of an absent body (step 5).
    """
    x, y, z = np.moveaxis(bodies.astype(np.float32), -1, 0)
    is_present = np.any(bodies, axis=(2, 3))  # (M, T)
    sums = (x + y + z)[is_present]
    if sums.all():
        return bodies
    return bodies + np.where(is_present[..., None, None], [0, 0, 1 - sums.min()], 0)


def check_body(body: np.ndarray, where: str) -> None:
    """Raise RawFileError if (T, V, C), meters and y up, has an impossible trunk or backward toes.

    The unit is then wrong, or left and right are exchanged.
    """
    body = body[body.any(axis=(1, 2))]
    spine = body[:, TRUNK[1]] - body[:, TRUNK[0]]
    length = np.median(np.linalg.norm(spine, axis=1))
    # The trunk measures 0.4 to 0.7 m in IntelliRehabDS and UI-PRMD.
    if not 0.1 <= length <= 1.5:
        raise RawFileError(
            where, 0, f"expected a trunk of 0.1 to 1.5 m, found {length:.4g} m; is the unit right?"
        )
    forward = np.cross(spine, body[:, SHOULDERS[1]] - body[:, SHOULDERS[0]])
    toes = body[:, FEET[1]] - body[:, FEET[0]] + body[:, FEET[3]] - body[:, FEET[2]]
    products = (forward * toes).sum(axis=1)
    lengths = np.linalg.norm(forward, axis=1) * np.linalg.norm(toes, axis=1)
    if products.sum() < MIN_TOE_COSINE * lengths.sum():
        raise RawFileError(
            where,
            0,
            "toes point backwards; are left and right exchanged, or the axes left-handed "
            "(then negate a horizontal one)?",
        )
