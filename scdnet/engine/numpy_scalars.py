"""Numbers of numpy in checkpoints, such as a best accuracy, which torch refuses to read."""

from typing import Any

import numpy as np


def build_scalar(dtype: np.dtype, content: bytes) -> np.generic:
    """Build a number of numpy as its pickles do. Raises ValueError for anything but a number."""
    if dtype.kind not in "biuf" or not isinstance(content, bytes):
        raise ValueError(f"expected a number, found {dtype}")
    return np.frombuffer(content, dtype, count=1)[0]


# The pickle of a number refers to these, so `torch.serialization.safe_globals` takes them: a
# function, under its names in numpy 1 and 2, and the classes of types of numbers.
NUMPY_SCALARS: list[Any] = [
    (build_scalar, "numpy.core.multiarray.scalar"),
    (build_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *{type(np.dtype(code)) for code in "?bhilqBHILQefd"},
]
