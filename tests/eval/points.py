"""Made-up features."""

import torch

from scdnet.eval.features import Features


def synthetic(n: int, seed: int, classes: int = 3) -> Features:
    """Points around one direction per class."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (n,), generator=generator)
    return Features(torch.eye(classes, 8)[y] + 0.3 * torch.randn(n, 8, generator=generator), y)
