"""The processes of one run (ranks), as torchrun starts them, and what they tell one another.

The only file that says `torch.distributed`. A rank has a device of its own; everything else all ranks do alike, and the
first of them (`is_main`) alone writes. Without torchrun there is one rank, no process group, and nothing here does
anything.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.rendezvous import rendezvous

from scdnet.data.rank_info import RankInfo
from scdnet.errors import ScdnetError

# A rank that dies is noticed at once: its connections close. This is for a machine that vanishes without a word; what
# the first rank does alone, to write a checkpoint say, must take less.
TIMEOUT = timedelta(minutes=10)
T = TypeVar("T")


def rank_info() -> RankInfo:
    """This rank, and how many there are; from the variables that torchrun sets."""
    rank, size = _variable("RANK", 0), _variable("WORLD_SIZE", 1)
    if rank >= size:
        raise ScdnetError(
            f"RANK: {rank} in this environment variable is none of WORLD_SIZE {size}; torchrun sets both"
        )
    return RankInfo(rank, size)


def is_main() -> bool:
    """Whether this is the rank that writes files and talks."""
    return rank_info().rank == 0


def is_initialized() -> bool:
    """Whether ranks talk to one another; of one rank under torchrun this is true too."""
    return dist.is_initialized()


def local_rank_info() -> RankInfo:
    """This rank among those on its machine."""
    return RankInfo(_variable("LOCAL_RANK", 0), _variable("LOCAL_WORLD_SIZE", 1))


def _variable(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise ScdnetError(
            f"{name}: expected a number in this environment variable, found {text!r}; torchrun sets it"
        )
    return int(text)


def require_single_process(what: str) -> None:
    """Raise ScdnetError if there are several ranks."""
    if rank_info().world_size > 1:
        raise ScdnetError(f"{what} runs in one process; start it without torchrun")


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Within it the ranks, each with its `device`, can talk to one another; those that are process_group already stay so.

    After an error the group is left as it is: to take it down could mean to wait for ranks that wait for this one.
    """
    if dist.is_initialized() or "WORLD_SIZE" not in os.environ:
        yield
        return
    backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"  # by where the tensors are
    try:
        store, rank, size = next(rendezvous("env://", timeout=TIMEOUT))
        store = dist.PrefixStore(_meet(store, rank, size), store)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise ScdnetError(
            f"the ranks cannot be process_group ({error}); start them with torchrun"
        ) from error
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo/" in str(
            error
        ):  # gloo names a file of its own
            reason = str(error).splitlines()[0]
            raise ScdnetError(
                f"another rank is lost ({reason}); what it said itself is elsewhere"
            ) from error
        raise
    dist.destroy_process_group()


def _meet(store: dist.Store, rank: int, size: int) -> str:
    """A name that the ranks of this start of the job share.

    After a restart torchrun's store still holds what the dead had put there, the addresses of the ranks too.
    """
    own = uuid.uuid4().hex
    if rank == 0:
        store.set("first rank", own)
        store.set(
            f"{own} has met",
            " ".join(store.get(f"{own} meets {other}").decode() for other in range(1, size)),
        )
        return own
    deadline = time.monotonic() + TIMEOUT.total_seconds()
    while time.monotonic() < deadline:
        first = store.get("first rank").decode()  # of this start, or still of one before
        store.set(f"{first} meets {rank}", own)
        with suppress(dist.DistStoreError):  # not yet, or never
            store.wait([f"{first} has met"], timedelta(seconds=1))
            if own in store.get(f"{first} has met").decode().split():
                return first
        time.sleep(0.1)
    raise RuntimeError("the first rank did not come")


def gather(x: Tensor) -> Tensor:
    """The tensors (...) of all ranks, of one shape: (ranks, ...), without gradient."""
    if not dist.is_initialized():
        return x.detach()[None]
    size = dist.get_world_size()
    gathered = x.new_empty(size * x.numel())
    dist.all_gather_into_tensor(gathered, x.detach().reshape(-1))
    return gathered.view(size, *x.shape)


def gather_rows(x: Tensor, counts: Sequence[int]) -> Tensor:
    """The rows (counts[rank], D) of all ranks, rank by rank: (sum of counts, D); of no rows the width may be 0."""
    if not dist.is_initialized():
        return x
    padded = x.new_zeros(max(counts), int(max(all_gather_scalar(x.shape[1]))))
    padded[: len(x), : x.shape[1]] = x
    return torch.cat([rows[:count] for rows, count in zip(gather(padded), counts, strict=True)])


def gather_objects(value: T) -> list[T]:
    """The values of all ranks."""
    if not dist.is_initialized():
        return [value]
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def all_gather_scalar(value: float) -> list[float]:
    """The numbers of all ranks; none goes on before all have come here. On the CPU: a GPU is not waited for."""
    return gather(torch.tensor(value, dtype=torch.float64)).tolist()


def run_on_main(make: Callable[[], T]) -> T:
    """What `make` returns on the first rank, called there alone; after an error there all ranks end."""
    if not dist.is_initialized():
        return make()
    value, error = None, None
    if is_main():
        try:
            value = make()
        except Exception as problem:
            error = problem
    answer = [value, error is not None]
    dist.broadcast_object_list(answer)
    if error is not None:
        raise error
    if answer[1]:
        raise SystemExit(1)  # without a word: the first rank says what is wrong
    return answer[0]


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradients of each rank by their mean over the ranks: that of the mean loss over all their rows.

    In one message after the backward pass, not in DistributedDataParallel's several during it: it keeps to the ordinary
    model and its compilation.
    """
    if not dist.is_initialized():
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    pieces = flat.split([gradient.numel() for gradient in gradients])
    torch._foreach_copy_(
        gradients, [piece.view_as(x) for piece, x in zip(pieces, gradients, strict=True)]
    )


@torch.no_grad()
def broadcast_(tensors: Iterable[Tensor]) -> None:
    """Overwrite the tensors of all ranks by those of the first."""
    if dist.is_initialized():
        for x in tensors:
            dist.broadcast(x, src=0)
