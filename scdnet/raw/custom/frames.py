"""Normalize custom recordings: unit, axes and joints (docs/data/own.md), then docs/method.md 1."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scdnet.errors import ScdnetError
from scdnet.raw.custom.checks import find_up
from scdnet.raw.custom.picture_checks import is_share
from scdnet.raw.custom.readers import read_joints
from scdnet.raw.custom.reading import Reading
from scdnet.raw.joint_mapping import MAPPINGS, can_be_mapped, joint_matrix
from scdnet.raw.normalize import NormalizeError, normalize, select_bodies
from scdnet.raw.raw_files import RawFileError
from scdnet.skeleton import Skeleton, shoulder_vectors, trunk_vectors
from scdnet.skeletons import NTU_25, SKELETONS, read_skeleton

# The number of units in a meter. Pixels, of 2-D skeletons, have no length.
UNITS = {"m": 1, "cm": 100, "mm": 1000, "px": 1}
PIXELS = "px"

# Rotations about x, (C, C), that turn the axis that points up to +y.
UP_ROTATIONS = {
    "y": np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "z": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "-y": np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1]]),
    "-z": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
}
# Factors of x, y and score of 2-D joints.
UP_FLIPS = {"y": np.array([1, 1, 1]), "-y": np.array([1, -1, 1])}

# The mean cosine between the direction of the toes and that in which the shoulders face lies
# between 0.3 and 1 in IntelliRehabDS and UI-PRMD.
MIN_TOE_COSINE = -0.5
ANKLE = "left ankle"
# The joint of the toes, of which a skeleton has one at most.
TOES = ("left foot", "left foot index")


@dataclass(frozen=True)
class CaptureSpec:
    """Facts about recordings that only their owner knows; `make_capture` checks them."""

    # The joints of the files.
    skeleton: Skeleton
    # A key of UNITS.
    unit: str
    # A key of UP_ROTATIONS.
    up: str
    # The joints of the sequences.
    target: Skeleton

    @property
    def attributes(self) -> dict[str, str]:
        """Return what a store records of it."""
        return {"layout": self.skeleton.name, "unit": self.unit, "up": self.up}


def make_capture(
    *,
    layout: str | None = None,
    skeleton: str | Path | Skeleton | None = None,
    unit: str | None = None,
    up: str | None = None,
    to: str | None = None,
) -> CaptureSpec:
    """Check options and look up the skeletons that they name.

    `skeleton` is a YAML file or a skeleton, instead of the built-in one called `layout`. Raises
    ScdnetError, naming the option.
    """
    if (layout is None) == (skeleton is None):
        found = "neither" if layout is None else "both"
        raise ScdnetError(
            f"expected either layout or skeleton, which state the joints, found {found}"
        )
    if skeleton is None:
        skeleton = SKELETONS.get(layout or "")
        if skeleton is None:
            raise ScdnetError(f"layout {layout}: expected one of {', '.join(SKELETONS)}")
    elif not isinstance(skeleton, Skeleton):
        skeleton = read_skeleton(Path(skeleton))
    units = [name for name in UNITS if (name == PIXELS) == (skeleton.dims == 2)]
    if unit not in units:
        raise ScdnetError(
            f"unit {unit or 'missing'}: expected {' or '.join(units)} for the {skeleton.dims}-D "
            f"skeleton {skeleton.name}"
        )
    ups = UP_FLIPS if skeleton.dims == 2 else UP_ROTATIONS
    if up not in ups:
        raise ScdnetError(
            f"up {up or 'missing'}: expected {' or '.join(ups)} for the {skeleton.dims}-D "
            f"skeleton {skeleton.name}"
        )
    if to is None:
        return CaptureSpec(skeleton, unit, up, skeleton)
    if to != NTU_25.name:
        raise ScdnetError(f"to {to}: expected {NTU_25.name}")
    if not can_be_mapped(skeleton):
        raise ScdnetError(
            f"to {to}: only {', '.join(MAPPINGS)} can be mapped to it, "
            f"found {skeleton.name}; omit it"
        )
    return CaptureSpec(skeleton, unit, up, NTU_25)


def read_frames(
    data: bytes, where: str, capture: CaptureSpec
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Normalize the content of one recording, of the format that the suffix of `where` tells.

    Returns and raises what `normalize_reading` does.
    """
    return normalize_reading(read_joints(data, where, capture.skeleton), where, capture)


def normalize_reading(
    reading: Reading, where: str, capture: CaptureSpec
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Normalize the positions of a recording that have been checked.

    Returns float32 (T, M, V, C) as a store contains them, with the joints of `capture.target`, and
    what the user should know about the recording. Raises RawFileError if it contradicts `capture`.
    """
    return normalize_bodies(reading.bodies, where, capture), describe_reading(reading, capture)


def describe_reading(reading: Reading, capture: CaptureSpec) -> tuple[str, ...]:
    """Return what the user should know about a recording."""
    notes = [f"dropped {dropped}" for dropped in reading.dropped]
    axis = find_up(reading.bodies, capture.skeleton)
    if axis not in (None, capture.up):
        notes.append(f"the trunk points along {axis}, not along {capture.up}: is 'up' right?")
    if capture.skeleton.dims == 2 and is_share(reading.bodies):
        notes.append(
            "x and y lie in 0..1, expected pixels: multiply them by the width and the height of "
            "the picture, or people are too wide or too narrow"
        )
    return tuple(notes)


def normalize_bodies(bodies: np.ndarray, where: str, capture: CaptureSpec) -> np.ndarray:
    """Normalize checked positions (any M, T, V, C) as `normalize_reading` does."""
    bodies = select_bodies(bodies, capture.skeleton.dims)
    try:
        if capture.skeleton.dims == 2:
            return normalize(bodies * UP_FLIPS[capture.up], capture.skeleton)
        bodies = bodies @ UP_ROTATIONS[capture.up].T / UNITS[capture.unit]
        if capture.target != capture.skeleton:
            bodies = joint_matrix(capture.skeleton) @ bodies
        check_body(bodies[0], where, capture.target)
        return normalize_facing(bodies, capture.target)
    except NormalizeError as error:
        raise RawFileError(where, 0, str(error)) from error


def normalize_facing(bodies: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Normalize (M, T, V, C), meters and y up, of a sensor other than that of NTU RGB+D.

    Returns float32 (T, 2, V, C). Raises NormalizeError.
    """
    return normalize(shift_zero_sums(face_camera(bodies, skeleton)), skeleton)


def face_camera(bodies: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Turn (M, T, V, C), y up, by half a turn if body 0 first appears with its back to the camera.

    Its shoulders then point roughly to +x, where normalization turns them by the shortest way (step
    7); from the opposite direction, that way may lead over the head.
    """
    body = bodies[0]
    first = body[body.any(axis=(1, 2)).argmax()]
    # Half a turn about y changes the signs of x and z.
    return bodies * [-1, 1, -1] if shoulder_vectors(first, skeleton)[0] < 0 else bodies


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


def check_body(body: np.ndarray, where: str, skeleton: Skeleton) -> None:
    """Raise RawFileError if (T, V, C), meters and y up, has an impossible trunk or backward toes.

    The unit is then wrong, or left and right are exchanged.
    """
    body = body[body.any(axis=(1, 2))]
    upward = trunk_vectors(body, skeleton)
    length = np.median(np.linalg.norm(upward, axis=1))
    # The trunk measures 0.4 to 0.7 m in IntelliRehabDS and UI-PRMD.
    if not 0.1 <= length <= 1.5:
        raise RawFileError(
            where, 0, f"expected a trunk of 0.1 to 1.5 m, found {length:.4g} m; is the unit right?"
        )
    toe_joint = next((joint for joint in TOES if joint in skeleton.joints), None)
    if toe_joint is None or ANKLE not in skeleton.joints:
        return
    ankle = skeleton.joints.index(ANKLE)
    toe = skeleton.joints.index(toe_joint)
    forward = np.cross(upward, shoulder_vectors(body, skeleton))
    toes = sum(
        body[:, end] - body[:, start]
        for start, end in ((ankle, toe), (skeleton.mirror[ankle], skeleton.mirror[toe]))
    )
    products = (forward * toes).sum(axis=1)
    lengths = np.linalg.norm(forward, axis=1) * np.linalg.norm(toes, axis=1)
    if products.sum() < MIN_TOE_COSINE * lengths.sum():
        raise RawFileError(
            where,
            0,
            "toes point backwards; are left and right exchanged, or the axes left-handed "
            "(then negate a horizontal one)?",
        )
