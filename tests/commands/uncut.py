"""Synthetic uncut recordings: takes of the demo, one after the other, without a cut."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scdnet.synthetic.dataset import DemoPlan, Take, perform_take, record_take

# The frames in which a person moves from the end of a take to the begin of the next.
JOIN = 12


class Uncut(NamedTuple):
    """An uncut recording, and where its takes are."""

    joints: np.ndarray  # (T, V, C) meters, y up, in front of a camera
    # The first frame of each take and the first frame after it.
    places: list[tuple[int, int]]


def record(take: Take, camera: int = 2) -> np.ndarray:
    """Return (T, V, C) of the first body that a camera sees in a take."""
    plan = DemoPlan()
    frames = record_take(perform_take(take, plan), take, plan, number=camera)
    return np.stack([bodies[0].joints for bodies in frames if bodies])


def join_takes(takes: Sequence[Take]) -> Uncut:
    """Record takes one after the other, with smooth movements between them."""
    parts: list[np.ndarray] = []
    places = []
    length = 0
    progress = np.linspace(0, 1, JOIN + 2)[1:-1, None, None]
    ease = (3 - 2 * progress) * progress**2
    for take in takes:
        joints = record(take)
        if parts:
            parts.append((1 - ease) * parts[-1][-1] + ease * joints[0])
            length += JOIN
        places.append((length, length + len(joints)))
        parts.append(joints)
        length += len(joints)
    return Uncut(np.concatenate(parts), places)
