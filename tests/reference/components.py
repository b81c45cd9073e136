"""Principal components as their definition reads."""

import numpy as np


def slow_fit(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Fit as the definition reads: mean, weights and number of components of x (n, D)."""
    mean = x.mean(axis=0)
    _, singular, components = np.linalg.svd(x - mean, full_matrices=False)
    num = 1
    while (singular[:num] ** 2).sum() < 0.95 * (singular**2).sum():
        num += 1
    num = min(num, len(x) // 4)
    return mean, components[:num].T / singular[:num] ** 0.5, num
