"""Made-up recordings for the converter's tests."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from data_prep.skeleton_file import Body, format_skeleton


@pytest.fixture(scope="session")
def skeleton_text() -> Callable[[Sequence[int]], str]:
    """Text of a recording of random joints, given the number of bodies in each frame."""

    def make(bodies_per_frame: Sequence[int] = (1, 1, 1), seed: int = 0) -> str:
        rng = np.random.default_rng(seed)
        return format_skeleton([[Body(m, rng.normal(size=(25, 3))) for m in range(n)] for n in bodies_per_frame])

    return make
