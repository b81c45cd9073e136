"""What the readers of custom recordings return (docs/data/own.md)."""

from typing import NamedTuple

import numpy as np


class Reading(NamedTuple):
    """The content of a recording, before it is checked and normalized."""

    # (M, T, V, C) in the unit and axes of the file; an absent body is all zero.
    bodies: np.ndarray
    # These are in the file but not used, such as "column Timestamp"; the summary of a conversion
    # counts equal ones.
    dropped: tuple[str, ...] = ()
    # The line of the first frame, where each frame has a line; 0 where it has none.
    first_line: int = 0
