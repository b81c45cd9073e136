"""The queue of negative keys."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class KeyQueue(nn.Module):
    """First-in, first-out queue of K unit-length negative keys.

    Source: He et al. 2020 (MoCo), sec. 3.2.
    """

    keys: Tensor  # (K, D)
    # The slot that is overwritten next.
    cursor: Tensor  # ()

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("cursor", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Replace the oldest keys by `keys` (N, D). Raises ValueError if N > K."""
        size = len(self.keys)
        if len(keys) > size:
            raise ValueError(f"batch of {len(keys)} keys does not fit a queue of {size}")
        slots = (self.cursor + torch.arange(len(keys), device=keys.device)) % size
        self.keys[slots] = keys.to(self.keys.dtype)
        self.cursor.copy_((self.cursor + len(keys)) % size)
