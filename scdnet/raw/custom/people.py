"""People in frames that list them in changing order: each one becomes a body of its own."""

from collections.abc import Sequence

import numpy as np

# People of a recording of whom bodies are kept; normalization selects two of them.
MAX_PEOPLE = 4
# People to whom those of the next frame are compared: the ones that were seen last.
MAX_CANDIDATES = 64


def stack_people(tracks: Sequence[dict[int, np.ndarray]], num_frames: int) -> np.ndarray:
    """Return the people that are in most frames: (M, T, V, C), 0 where absent.

    Each is given by its joints (V, C) in the frames in which it is found, one or more. They stay
    in their order.
    """
    longest = sorted(range(len(tracks)), key=lambda index: -len(tracks[index]))[:MAX_PEOPLE]
    shape = next(iter(tracks[0].values())).shape
    bodies = np.zeros((len(longest), num_frames, *shape))
    for body, index in zip(bodies, sorted(longest), strict=True):
        body[list(tracks[index])] = list(tracks[index].values())
    return bodies


def link_people(frames: Sequence[np.ndarray], dims: int) -> list[dict[int, np.ndarray]]:
    """Follow people through frames that list them in any order, each (P, V, C), C > `dims` a score.

    Of all pairs of a known and a listed person, the one of the least mean distance of the joints
    that are found in both comes first, then the next among those that are left. A person farther
    away from each known one than the larger of both measures is new. Returns the joints of each
    person by frame; each person has a found joint.
    """
    tracks: list[dict[int, np.ndarray]] = []
    # The numbers of the tracks, the one that was seen last at the end.
    recent: list[int] = []
    for frame, people in enumerate(frames):
        candidates = recent[-MAX_CANDIDATES:]
        last = [tracks[number][next(reversed(tracks[number]))] for number in candidates]
        seen = [-1] * len(people)
        for candidate, person in _pair_nearest(last, people, dims):
            seen[person] = candidates[candidate]
        for person, joints in enumerate(people):
            if seen[person] < 0:
                seen[person] = len(tracks)
                tracks.append({})
            tracks[seen[person]][frame] = joints
        recent = [number for number in candidates if number not in seen] + sorted(seen)
    return tracks


def _pair_nearest(
    known: Sequence[np.ndarray], people: np.ndarray, dims: int
) -> list[tuple[int, int]]:
    """Return pairs of indices of `known` people and `people`, each used once at most."""
    if not len(known) or not len(people):
        return []
    distances = _mean_distances(np.stack(known), people, dims)  # (K, P)
    pairs = []
    while np.isfinite(distances).any():
        a, b = np.unravel_index(distances.argmin(), distances.shape)
        pairs.append((int(a), int(b)))
        distances[a] = np.inf
        distances[:, b] = np.inf
    return pairs


def _mean_distances(known: np.ndarray, people: np.ndarray, dims: int) -> np.ndarray:
    """Return the mean distances of joints found in both: (K, V, C) and (P, V, C) -> (K, P).

    They are infinite for people that have no such joint, or are too far apart.
    """
    is_known = np.any(known, axis=2, keepdims=True).swapaxes(1, 2)  # (K, 1, V)
    in_both = is_known & np.any(people, axis=2)  # (K, P, V)
    steps = known[:, None, :, :dims] - people[None, :, :, :dims]
    lengths = np.where(in_both, np.linalg.norm(steps, axis=3), 0)  # (K, P, V)
    num_joints = in_both.sum(axis=2)
    mean = lengths.sum(axis=2) / np.maximum(num_joints, 1)
    sizes = np.maximum.outer(_sizes(known, dims), _sizes(people, dims))
    return np.where((num_joints > 0) & (mean <= sizes), mean, np.inf)


def _sizes(people: np.ndarray, dims: int) -> np.ndarray:
    """Return the diagonals of the boxes around the found joints of (P, V, C): (P,)."""
    is_missing = np.logical_not(people.any(axis=2, keepdims=True))
    highest = np.where(is_missing, -np.inf, people[..., :dims]).max(axis=1)
    lowest = np.where(is_missing, np.inf, people[..., :dims]).min(axis=1)
    return np.linalg.norm(highest - lowest, axis=1)
