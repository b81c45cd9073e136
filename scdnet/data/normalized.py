"""Check that frames are normalized as those of a store."""

import numpy as np

from scdnet.data.store import COORDINATES, MAX_BODIES
from scdnet.errors import ScdnetError
from scdnet.skeleton import (
    Skeleton,
    shoulder_vectors,
    spine_vectors,
    trunk_vectors,
)

# Rounding moves a center by micrometers; frames that were never centered are decimeters off.
MAX_OFFSET = 1e-3  # meters
MIN_SHOULDER_COSINE = 0.999
# Trunks of people measure 0.4 to 0.7 m; what is in centimeters or millimeters is far beyond.
TRUNK_RANGE = (0.05, 10.0)  # meters
# The trunk of 2-D frames has length 1.
MAX_TRUNK_ERROR = 0.01

ADVICE = "make them with scdnet.read_recording or scdnet.normalize_frames"


def check_normalized(frames: np.ndarray, skeleton: Skeleton) -> None:
    """Raise ScdnetError if frames (T, M, V, C) cannot be those of a normalized recording.

    Checked are shape and finite numbers; the center of body 0 at the origin in every frame; in 3-D
    its shoulders along +x in frame 0 and the length of its trunk, in 2-D a trunk of length 1. Its
    spine is not along z, since the shoulders are turned last.
    """
    expected = (MAX_BODIES, skeleton.num_joints, COORDINATES)
    if frames.ndim != 4 or frames.shape[1:] != expected or not len(frames):
        sizes = ", ".join(map(str, expected))
        raise ScdnetError(
            f"expected frames (T, {sizes}) of {skeleton.name}, found {frames.shape}; {ADVICE}"
        )
    if not np.isfinite(frames).all():
        raise ScdnetError(f"frames contain NaN or Inf, expected finite numbers; {ADVICE}")
    # The squares of large numbers would overflow.
    body = frames[:, 0].astype(np.float64)
    _check_center(body, skeleton)
    if skeleton.dims == 3:
        _check_shoulders(body, skeleton)
    _check_trunk(body, skeleton)


def _check_center(body: np.ndarray, skeleton: Skeleton) -> None:
    center = body[:, list(skeleton.center)]  # (T, joints, C)
    # Joints that were not found are zero, and the mean of several joints is then another one.
    is_found = np.any(center, axis=2) | (len(skeleton.center) == 1)
    if skeleton.dims == 2:
        is_found = center[..., 2] > 0
    is_whole = np.all(is_found, axis=1)
    offsets = np.linalg.norm(center[is_whole][..., : skeleton.dims].mean(axis=1), axis=1)
    offset = offsets.max(initial=0)
    if offset > MAX_OFFSET:
        raise ScdnetError(
            f"the center of body 0 lies up to {offset:.3g} from the origin, expected 0 in every "
            f"frame: the frames are not normalized; {ADVICE}"
        )


def _check_shoulders(body: np.ndarray, skeleton: Skeleton) -> None:
    if not body[0].any():
        raise ScdnetError(f"body 0 is absent in frame 0, expected one that is present; {ADVICE}")
    across = shoulder_vectors(body[0], skeleton)
    length = np.linalg.norm(across)
    if across[0] < MIN_SHOULDER_COSINE * length:
        raise ScdnetError(
            "the shoulders of body 0 are not along +x in frame 0: the frames are not normalized; "
            f"{ADVICE}"
        )


def _check_trunk(body: np.ndarray, skeleton: Skeleton) -> None:
    """Raise ScdnetError if the median length of a trunk (T, V, C) is not that of a person."""
    if skeleton.dims == 2:
        lower, upper = skeleton.spine
        body = body[np.all(body[:, [*lower, *upper], 2] > 0, axis=1), :, :2]
        trunks = spine_vectors(body, skeleton)
        unit = ""
        trunk_range = (1 - MAX_TRUNK_ERROR, 1 + MAX_TRUNK_ERROR)
    else:
        trunks = trunk_vectors(body[np.any(body, axis=(1, 2))], skeleton)
        unit = " m"
        trunk_range = TRUNK_RANGE
    shortest, longest = trunk_range
    lengths = np.linalg.norm(trunks, axis=1)
    length = np.median(lengths) if len(lengths) else np.nan
    if not shortest <= length <= longest:
        raise ScdnetError(
            f"expected a trunk of {shortest:g} to {longest:g}{unit}, found {length:.3g}{unit}: "
            f"the frames are not normalized; {ADVICE}"
        )
