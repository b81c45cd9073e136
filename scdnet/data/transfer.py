"""Tensors to the device that makes the views, without making the host wait for it."""

from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

Tensors = TypeVar("Tensors", bound=tuple[Tensor, ...])


def send(tensors: Tensors, device: torch.device) -> Tensors:
    """A named tuple with its tensors on `device`; to a GPU by way of pinned memory, for the host waits for others."""
    if device.type == "cpu":
        return tensors
    return type(tensors)(
        *(
            x if x.device.type == device.type else x.pin_memory().to(device, non_blocking=True)
            for x in tensors
        )
    )


@cache
def joint_index(joints: tuple[int, ...], device: torch.device) -> Tensor:
    """`joints` (V,) int64 on `device`, copied once; a list as an index would be copied, and waited for, each time."""
    return torch.tensor(joints, device=device)
