"""Tell joints in a picture, with confidences or depths, from positions (docs/data/own.md)."""

import numpy as np

from scdnet.raw.raw_files import RawFileError
from scdnet.skeleton import Skeleton, mean_joint, trunk_vectors
from scdnet.skeletons import MEDIAPIPE_33, SKELETONS

# The extent along z is at least 0.09 of the larger of the other two in samples of UI-PRMD and
# IntelliRehabDS.
MIN_DEPTH_RATIO = 0.02
# The bones of a 2-D layout, drawn between the joints of a 3-D one with as many, are 1.8 times as
# long as its own or more in samples of the same data. Between its own joints they are 0.3 to 0.9
# times as long in synthetic recordings.
BONES_RATIO = 1.3
# The trunk of a person in a picture, as a share of its height, does not exceed the first of these.
# It measures 0.4 to 0.7 m in UI-PRMD and IntelliRehabDS, but down to 0.1 m in NW-UCLA.
# The longest way along bones, such as from a hand to a foot, measures 1.5 m or more in all three.
MAX_TRUNK_SHARE = 0.35
MAX_SPAN = 1.3
# Image landmarks may leave the picture.
PICTURE = (-0.5, 1.5)
MIN_INSIDE = 0.9
# The percentile of the lengths of a bone at which it is taken to be parallel to the picture.
STRETCHED = 95
# MediaPipe measures depth from the middle of the hips; this share of the trunk is noise.
MAX_HIP_DEPTH = 0.15
# A trunk in pixels. MediaPipe's world landmarks are meters.
MIN_PIXELS = 20


def check_depth(bodies: np.ndarray, where: str, skeleton: Skeleton) -> None:
    """Raise RawFileError if the third number of the joints (M, T, V, C) is not a coordinate.

    The positions are then those of a picture, with a confidence or a depth of another scale.
    """
    for body in bodies:
        present = body[body.any(axis=(1, 2))]
        if len(present):
            reason = (
                find_scores(present, skeleton)
                or find_flatness(present)
                or find_image_landmarks(present, skeleton)
            )
            if reason:
                raise RawFileError(where, 0, reason)


def find_scores(body: np.ndarray, skeleton: Skeleton) -> str | None:
    """Return what is wrong with (T, V, C) if the third numbers are confidences in 0..1."""
    scores = body[..., 2]
    if not ((scores >= 0) & (scores <= 1)).all():
        return None
    other = find_layout(body, skeleton, dims=2)
    if other is None and not (scores.any() and is_small_picture(body, skeleton)):
        return None
    name = f"use the layout {other}" if other else "use a 2-D layout"
    return (
        "the third number of each joint is a confidence, not a coordinate: joints of a picture; "
        f"{name} with --unit px --up -y"
    )


def find_layout(body: np.ndarray, skeleton: Skeleton, *, dims: int) -> str | None:
    """Return the layout of other dimensions to which the joints (T, V, C) belong, if any.

    The bones in the plane of x and y tell it.
    """
    length = bone_length(body, skeleton)
    # A 2-D skeleton has longer bones.
    ratio = BONES_RATIO if dims == 2 else 1 / BONES_RATIO
    for other in SKELETONS.values():
        is_alike = other.dims == dims and other.num_joints == skeleton.num_joints
        if is_alike and bone_length(body, other) < ratio * length:
            return other.name
    return None


def bone_length(body: np.ndarray, skeleton: Skeleton) -> float:
    """Return the mean length of the bones of (T, V, C) in the plane of x and y."""
    children, parents = np.array(skeleton.bones).T
    bones = body[:, children, :2] - body[:, parents, :2]
    return float(np.linalg.norm(bones, axis=-1).mean())


def is_share(bodies: np.ndarray) -> bool:
    """Check whether x and y of 2-D bodies (M, T, V, C) are shares of a picture, not pixels."""
    points = bodies[bodies[..., 2] > 0][:, :2]
    return bool(((points >= 0) & (points <= 1)).all())


def is_in_picture(body: np.ndarray) -> bool:
    """Check whether x and y of (T, V, C) may be shares of the width and height of a picture."""
    points = body[..., :2]
    low, high = PICTURE
    # Shares are positive, but for a few.
    is_share = ((points >= 0) & (points <= 1)).mean() > MIN_INSIDE
    return bool(is_share and points.min() >= low and points.max() <= high)


def is_small_picture(body: np.ndarray, skeleton: Skeleton) -> bool:
    """Check whether (T, V, C) is in a picture, and smaller than people are in meters."""
    length = np.median(np.linalg.norm(trunk_vectors(body, skeleton)[:, :2], axis=1))
    if not is_in_picture(body) or not length < MAX_TRUNK_SHARE:
        return False
    # The bones of MediaPipe run by way of the nose. Its positions in meters are not all positive.
    return skeleton.name == MEDIAPIPE_33.name or find_span(body, skeleton) < MAX_SPAN


def find_span(body: np.ndarray, skeleton: Skeleton) -> float:
    """Return the longest way along the bones of (T, V, C), stretched, in the plane of x and y."""
    ways = np.full((skeleton.num_joints, skeleton.num_joints), np.inf)
    np.fill_diagonal(ways, 0)
    for child, parent in skeleton.bones:
        lengths = np.linalg.norm(body[:, child, :2] - body[:, parent, :2], axis=-1)
        ways[child, parent] = ways[parent, child] = np.percentile(lengths, STRETCHED)
    for joint in range(skeleton.num_joints):
        ways = np.minimum(ways, ways[:, [joint]] + ways[[joint]])
    return float(ways.max())


def find_image_landmarks(body: np.ndarray, skeleton: Skeleton) -> str | None:
    """Return what is wrong with (T, V, C) if they are landmarks of MediaPipe in the image.

    Their depth is that from the middle of the hips, which is not the origin of x and y: shares of
    the picture, or pixels.
    """
    hips = mean_joint(body, skeleton.spine[0])
    length = np.median(np.linalg.norm(trunk_vectors(body, skeleton), axis=1))
    is_flat_at_hips = bool((np.abs(hips[:, 2]) <= MAX_HIP_DEPTH * length).all())
    is_centered = bool(np.median(np.abs(hips[:, :2]), axis=0).max() <= MAX_HIP_DEPTH * length)
    if is_centered or not is_flat_at_hips:
        return None
    if skeleton.name == MEDIAPIPE_33.name:
        is_image = is_in_picture(body) or (body[..., :2].min() >= 0 and length > MIN_PIXELS)
    else:
        is_image = is_small_picture(body, skeleton)
    if is_image:
        return (
            "image landmarks: x and y are places in the picture, and z is measured from the hips; "
            "positions in meters are needed, such as MediaPipe's world landmarks "
            "(pose_world_landmarks)"
        )
    return None


def find_flatness(body: np.ndarray) -> str | None:
    """Return what is wrong with (T, V, C) if all joints have about the same third number."""
    extents = np.ptp(body, axis=1)  # (T, C)
    if not np.median(extents[:, 2]) < MIN_DEPTH_RATIO * np.median(extents[:, :2].max(axis=1)):
        return None
    return (
        "the body has no depth: the third numbers of its joints are all but equal, such as "
        "confidences or zeros; joints of a picture need a 2-D layout"
    )
