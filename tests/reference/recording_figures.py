"""Figures of recordings of people: how the sensor errs, how people differ, where cameras stand.

They need no ground truth: whatever changes the length of a bone is an error, and so is what a joint
does from one frame to the next while it stands nearly still. A recording is (T, V, C), in meters in
the axes of its camera: x to the side, y up, z ahead. All lengths of time count frames of 30 Hz.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scdnet.skeleton import Skeleton

FRAME_RATE = 30  # Hz
# A bone belongs to the first group with a word in the name of its outer joint.
GROUPS = {
    "hand": ("tip", "thumb", "hand"),
    "arm": ("elbow", "wrist"),
    "foot": ("foot",),
    "leg": ("knee", "ankle"),
    "trunk": ("",),
}
# Shorter recordings contain too little of slow errors.
MIN_FRAMES = 20
# Frames of the moving average that separates slow errors from fast ones.
SLOW_FRAMES = 9
# An excursion is a run of frames in which a bone is off its usual length by this fraction.
EXCURSION = 0.25
# To scale a median absolute deviation to the standard deviation of normal noise.
MAD_TO_STD = 1.4826
# Lags of the autocorrelation, in frames.
LAGS = (1, 5, 15)


class Recording(NamedTuple):
    """One person in one recording; what is unknown is 0."""

    joints: np.ndarray  # (T, V, C)
    subject: int
    action: int
    view: int
    # The same in all recordings of one performance.
    take: str


def group_of(joint: str) -> str:
    """Return the group in GROUPS of the bone that ends in `joint`."""
    return next(name for name, words in GROUPS.items() if any(word in joint for word in words))


def bone_lengths(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Compute the lengths (T, B) of skeleton.bones."""
    child, parent = np.array(skeleton.bones).T
    return np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)


def bones_by_group(skeleton: Skeleton) -> dict[str, list[int]]:
    """Return the places in skeleton.bones of the bones of each group."""
    groups = defaultdict(list)
    for place, (child, _) in enumerate(skeleton.bones):
        groups[group_of(skeleton.joints[child])].append(place)
    return groups


def bone_variation(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Compute the standard deviation within the recording of each bone by its median; (B,)."""
    lengths = bone_lengths(joints, skeleton)
    return lengths.std(axis=0) / usual_lengths(lengths)


def slow_variation(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Compute the same of lengths that are averaged over SLOW_FRAMES: drift without jitter; (B,)."""
    lengths = bone_lengths(joints, skeleton)
    windows = np.lib.stride_tricks.sliding_window_view(lengths, SLOW_FRAMES, axis=0)
    return windows.mean(axis=-1).std(axis=0) / usual_lengths(lengths)


def usual_lengths(lengths: np.ndarray) -> np.ndarray:
    """Return the median (B,) of lengths (T, B), not below a millimeter."""
    return np.maximum(np.median(lengths, axis=0), 1e-3)


def bone_correlation(joints: np.ndarray, skeleton: Skeleton, lag: int) -> np.ndarray:
    """Compute the autocorrelation (B,) of the bones' lengths over `lag` frames."""
    lengths = bone_lengths(joints, skeleton)
    off = lengths - lengths.mean(axis=0)
    power = np.maximum((off**2).mean(axis=0), 1e-12)
    return (off[lag:] * off[:-lag]).mean(axis=0) / power


def jitter(joints: np.ndarray) -> np.ndarray:
    """Estimate the standard deviation (V,), in meters, of a joint's noise along one axis.

    It is the median absolute deviation of second differences in the slowest 30 % of the joint's
    frames, where they contain little motion, scaled as for white noise.
    """
    steps = np.linalg.norm(np.diff(joints, axis=0), axis=-1)
    speed = np.maximum(steps[1:], steps[:-1])
    is_slow = speed <= np.quantile(speed, 0.3, axis=0)
    bends = np.abs(np.diff(joints, n=2, axis=0))
    values = np.where(is_slow[..., None], bends, np.nan)
    # The second difference of white noise has 6 times its variance.
    return MAD_TO_STD / np.sqrt(6) * np.nanmedian(np.moveaxis(values, 1, 0).reshape(joints.shape[1], -1), axis=1)


def excursions(joints: np.ndarray, skeleton: Skeleton) -> list[tuple[int, int, float]]:
    """List the excursions of all bones: bone, frames, and largest error in meters."""
    lengths = bone_lengths(joints, skeleton)
    usual = usual_lengths(lengths)
    error = np.abs(lengths - usual)
    is_off = np.pad(error > EXCURSION * usual, ((1, 1), (0, 0)))
    found = []
    for bone in range(lengths.shape[1]):
        edges = np.diff(is_off[:, bone].astype(int))
        for start, stop in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
            found.append((bone, int(stop - start), float(error[start:stop, bone].max())))
    return found


def frozen_fraction(joints: np.ndarray) -> float:
    """Return the fraction of steps in which no joint moves at all."""
    return float((np.diff(joints, axis=0) == 0).all(axis=(1, 2)).mean())


def yaw_rad(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Compute the angle (T,) of the shoulders to the image plane; 0 faces the camera.

    Positive: turned to the own left, so that the right side is nearer.
    """
    left, right = (joints[:, list(side)].mean(axis=1) for side in skeleton.shoulders)
    # Facing the camera, which looks along +z, the left shoulder is at -x in Kinect's axes.
    x, _, z = (left - right).T
    return np.arctan2(z, -x)
