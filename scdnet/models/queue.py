"""The store of negative keys."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class KeyQueue(nn.Module):
    """First-in, first-out store of K unit-length negative keys. Source: He et al. 2020 (MoCo), sec. 3.2."""

    keys: Tensor  # (K, D)
    cursor: Tensor  # (), the slot that is overwritten next

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("cursor", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Replace the oldest keys by `keys` (N, D), N <= K. Raises ValueError if they do not fit."""
        size = len(self.keys)
        if len(keys) > size:
            raise ValueError(f"batch of {len(keys)} keys does not fit a queue of {size}")
        slots = (self.cursor + torch.arange(len(keys), device=keys.device)) % size
        self.keys[slots] = keys.to(self.keys.dtype)
        self.cursor.copy_((self.cursor + len(keys)) % size)
