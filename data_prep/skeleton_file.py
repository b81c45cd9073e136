"""The text of NTU RGB+D `.skeleton` files: bodies to text and back (METHOD.md 1)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Body(NamedTuple):
    """One body as one frame lists it."""

    id: int
    joints: np.ndarray  # (V, C) metres, camera frame


def format_skeleton(frames: Sequence[Sequence[Body]]) -> str:
    """The text of a `.skeleton` file that lists `frames`, each a sequence of bodies.

    Columns that nothing in this project reads (image positions, orientations, hand states) are written as 0,
    tracking states as 2 (tracked).
    """
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body in bodies:
            lines.append(f"{body.id} 0 1 1 1 1 0 0 0 2")
            lines.append(str(len(body.joints)))
            lines += [f"{x:.5f} {y:.5f} {z:.5f} 0 0 0 0 0 0 0 0 2" for x, y, z in body.joints.tolist()]
    return "\n".join(lines) + "\n"
