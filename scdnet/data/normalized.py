"""Check that frames are normalized as those of a store."""

import numpy as np

from scdnet.data.store import COORDINATES, MAX_BODIES
from scdnet.errors import ScdnetError
from scdnet.skeleton import Skeleton, mean_joint

# Rounding moves a center by micrometers; frames that were never centered are decimeters off.
MAX_OFFSET = 1e-3  # meters
MIN_SHOULDER_COSINE = 0.999
# The trunk of 2-D frames has length 1.
MAX_TRUNK_ERROR = 0.01

ADVICE = "make them with scdnet.read_recording or scdnet.normalize_frames"


def check_normalized(frames: np.ndarray, skeleton: Skeleton) -> None:
    """Raise ScdnetError if frames (T, M, V, C) cannot be those of a normalized recording.

    Checked are shape and finite numbers; the center of body 0 at the origin in every frame; and in
    3-D its shoulders along +x in frame 0, in 2-D a trunk of length 1. Its spine is not along z,
    since the shoulders are turned last.
    """
    expected = (MAX_BODIES, skeleton.num_joints, COORDINATES)
    if frames.ndim != 4 or frames.shape[1:] != expected or not len(frames):
        sizes = ", ".join(map(str, expected))
        raise ScdnetError(
            f"expected frames (T, {sizes}) of {skeleton.name}, found {frames.shape}; {ADVICE}"
        )
    if not np.isfinite(frames).all():
        raise ScdnetError(f"frames contain NaN or Inf, expected finite numbers; {ADVICE}")
    body = frames[:, 0]
    if not body[0].any() and skeleton.dims == 3:
        raise ScdnetError(f"body 0 is absent in frame 0, expected one that is present; {ADVICE}")
    is_found = (body[..., skeleton.dims - 1 :] != 0).any(axis=-1)  # (T, V)
    if skeleton.dims == 2:
        body = body[is_found[:, list(skeleton.center)].all(axis=1), :, :2]
    offset = np.linalg.norm(mean_joint(body, skeleton.center), axis=-1).max(initial=0)
    if offset > MAX_OFFSET:
        raise ScdnetError(
            f"the center of body 0 lies up to {offset:.3g} from the origin, expected 0 in every "
            f"frame: the frames are not normalized; {ADVICE}"
        )
    check_orientation = _check_shoulders if skeleton.dims == 3 else _check_trunk
    check_orientation(frames[:, 0], skeleton)


def _check_shoulders(body: np.ndarray, skeleton: Skeleton) -> None:
    left, right = (mean_joint(body[0], side) for side in skeleton.shoulders)
    across = right - left
    length = np.linalg.norm(across)
    if across[0] < MIN_SHOULDER_COSINE * length:
        raise ScdnetError(
            "the shoulders of body 0 are not along +x in frame 0: the frames are not normalized; "
            f"{ADVICE}"
        )


def _check_trunk(body: np.ndarray, skeleton: Skeleton) -> None:
    lower, upper = skeleton.spine
    body = body[(body[:, [*lower, *upper], 2] > 0).all(axis=1), :, :2]
    lengths = np.linalg.norm(mean_joint(body, upper) - mean_joint(body, lower), axis=-1)
    if not len(lengths) or abs(np.median(lengths) - 1) > MAX_TRUNK_ERROR:
        found = f"{np.median(lengths):.3g}" if len(lengths) else "none"
        raise ScdnetError(
            f"expected a trunk of length 1, found {found}: the frames are not normalized; {ADVICE}"
        )
