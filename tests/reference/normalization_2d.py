"""Reference implementation of the 2-D normalization: a plain loop wherever the rule says "each".

Source of the rules: docs/data/skeletons.md. Bodies are (M, T, V, C) of x, y and score, y up.
"""

import math
import statistics

import numpy as np

from scdnet.skeleton import Skeleton

Point = tuple[float, float]


def normalize(bodies: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Select two of any number of bodies and normalize them: (T, 2, V, C)."""
    chosen = sorted(range(len(bodies)), key=lambda m: -energy(bodies[m]))[:2]
    first = bodies[chosen[0]]
    centers = fill_gaps([mean_of(frame, skeleton.center) for frame in first])
    length = trunk_length(first, skeleton)
    found = np.zeros((bodies.shape[1], 2, *bodies.shape[2:]))
    for place, m in enumerate(chosen):
        for t, frame in enumerate(bodies[m]):
            for v, (x, y, score) in enumerate(frame):
                if score > 0:
                    x = (x - centers[t][0]) / length
                    y = (y - centers[t][1]) / length
                    found[t, place, v] = x, y, score
    return found


def energy(body: np.ndarray) -> float:
    """Add the standard deviations of x and y over the joints of the frames with the body."""
    present = [joint for frame in body if frame.any() for joint in frame]
    if not present:
        return -1.0
    return sum(statistics.pstdev(joint[axis] for joint in present) for axis in (0, 1))


def mean_of(frame: np.ndarray, joints: tuple[int, ...]) -> Point | None:
    """Return the mean of joints of a frame, or None if one of them was not found."""
    if any(frame[joint][2] <= 0 for joint in joints):
        return None
    x, y = (sum(frame[joint][axis] for joint in joints) / len(joints) for axis in (0, 1))
    return x, y


def fill_gaps(centers: list[Point | None]) -> list[Point]:
    """Interpolate the missing centers in time; before the first and after the last hold them."""
    known = [t for t, center in enumerate(centers) if center is not None]
    filled = []
    for t in range(len(centers)):
        before = max((k for k in known if k <= t), default=known[0])
        after = min((k for k in known if k >= t), default=known[-1])
        part = (t - before) / (after - before) if after > before else 0
        a, b = centers[before], centers[after]
        filled.append((a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])))
    return filled


def trunk_length(body: np.ndarray, skeleton: Skeleton) -> float:
    """Return the median length of the spine over the frames in which all its joints are found."""
    lengths = []
    for frame in body:
        lower, upper = (mean_of(frame, end) for end in skeleton.spine)
        if lower and upper:
            lengths.append(math.dist(lower, upper))
    return statistics.median(lengths)
