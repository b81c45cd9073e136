"""The processes of one run (ranks), as torchrun or srun start them, and what they exchange.

This is the only file that says `torch.distributed`. Each rank has a device of its own. All ranks
do the same, but only the first of them (`is_main`) writes files. A process that was started alone
is the only rank and has no process group, and the functions here return at once.
"""

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.rendezvous import rendezvous

from scdnet.data.clips import RankInfo
from scdnet.engine import slurm
from scdnet.errors import ScdnetError

# A rank that dies is noticed at once, because its connections close; a machine that vanishes
# silently is noticed after this time. Whatever the first rank does alone, such as writing a
# checkpoint, must take less.
TIMEOUT = timedelta(minutes=10)
T = TypeVar("T")


@cache
def rank_info() -> RankInfo:
    """Return this rank and the number of ranks; torchrun or srun state both in the environment.

    The environment is read once per process. Raises ScdnetError if the two do not go together.
    """
    is_slurm_task()
    rank = _read_variable("RANK", default=0)
    world_size = _read_variable("WORLD_SIZE", default=1)
    if rank >= world_size:
        raise ScdnetError(
            f"RANK={rank} is out of range for WORLD_SIZE={world_size}; "
            "torchrun sets both environment variables"
        )
    return RankInfo(rank, world_size)


@cache
def local_rank_info() -> RankInfo:
    """Return this rank and the number of ranks among those on its machine."""
    is_slurm_task()
    return RankInfo(
        _read_variable("LOCAL_RANK", default=0), _read_variable("LOCAL_WORLD_SIZE", default=1)
    )


@cache
def is_slurm_task() -> bool:
    """Check whether this rank is one of several tasks of a SLURM step, started without torchrun.

    Then the environment gets the variables that torchrun would have set, which also torch and the
    message of an error read. Raises ScdnetError if SLURM's variables are not as expected, or if
    mpirun started this process as one of several.
    """
    slurm.refuse_mpirun(os.environ)
    if not slurm.is_task_of_several(os.environ):
        return False
    os.environ.update(slurm.torchrun_variables(os.environ))
    return True


def has_own_gpu() -> bool:
    """Check whether SLURM gave this task a GPU that the other tasks on its machine do not see."""
    num_gpus = os.environ.get("SLURM_GPUS_ON_NODE", "")
    enough = num_gpus.isdecimal() and int(num_gpus) >= local_rank_info().world_size
    return is_slurm_task() and enough


def is_main() -> bool:
    """Check whether this is the rank that writes files and logs."""
    return rank_info().rank == 0


def is_initialized() -> bool:
    """Check whether there is a process group; torchrun makes one for a single rank too."""
    return dist.is_initialized()


def _read_variable(name: str, *, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise ScdnetError(
            f"{name}: expected a number in this environment variable, found {text!r}; "
            "torchrun sets it"
        )
    return int(text)


def require_single_process(what: str) -> None:
    """Raise ScdnetError if there are several ranks."""
    if rank_info().world_size > 1:
        raise ScdnetError(
            f"{what} runs in a single process; start it without torchrun, or with `srun -n 1`"
        )


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Connect the ranks, each with its `device`, within the context; an existing group is reused.

    After an error the group is left as it is: destroying it could wait for ranks that wait for this
    one. Raises ScdnetError if the ranks cannot connect, or lose one another.
    """
    if dist.is_initialized() or not _is_group_wanted():
        yield
        return
    # The backend of a collective follows from where its tensors are.
    backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
    try:
        store, rank, world_size = next(rendezvous("env://", timeout=TIMEOUT))
        if is_slurm_task():
            # Another job may have drawn the same port.
            store = dist.PrefixStore(slurm.step_name(os.environ), store)
        store = dist.PrefixStore(_agree_on_prefix(store, rank, world_size), store)
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=world_size, timeout=TIMEOUT
        )
    except (RuntimeError, ValueError) as error:
        raise ScdnetError(
            f"the ranks cannot form a process group ({error}); start them with torchrun or srun"
        ) from error
    try:
        if is_slurm_task():
            _require_same_arguments()
        yield
    except RuntimeError as error:
        # Gloo raises plain RuntimeErrors that begin with a file name of its own.
        if isinstance(error, dist.DistError) or "gloo/" in str(error):
            reason = str(error).splitlines()[0]
            raise ScdnetError(
                f"Lost connection to another rank; see its log. ({reason})"
            ) from error
        raise
    dist.destroy_process_group()


def _is_group_wanted() -> bool:
    """Check whether there are several ranks, or one with an address: torchrun always gives one."""
    address = {"WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
    return rank_info().world_size > 1 or address <= os.environ.keys()


def _require_same_arguments() -> None:
    """Raise ScdnetError if the tasks of a SLURM step are different programs, not one run."""
    all_arguments = all_gather_object(sys.argv[1:])
    for rank, arguments in enumerate(all_arguments):
        if arguments != all_arguments[0]:
            raise ScdnetError(
                f"the tasks of SLURM step {slurm.step_name(os.environ)} have different arguments, "
                f"task 0 {' '.join(all_arguments[0])!r}, task {rank} {' '.join(arguments)!r}; "
                "ranks of one run need the same; to run each task on its own, set RANK=0 "
                "WORLD_SIZE=1"
            )


def _agree_on_prefix(store: dist.Store, rank: int, world_size: int) -> str:
    """Return a prefix for the keys of this start of the job, the same on all its ranks.

    Needed because torchrun shares one store between restarts: it still contains the keys of the
    ranks that died, their addresses among them (torch 2.11 to 2.15, unless
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1).
    """
    own = uuid.uuid4().hex
    if rank == 0:
        store.set("first rank", own)
        others = [store.get(f"{own} meets {other}").decode() for other in range(1, world_size)]
        store.set(f"{own} has met", " ".join(others))
        return own
    deadline = time.monotonic() + TIMEOUT.total_seconds()
    while time.monotonic() < deadline:
        # The first rank of this start, or still that of an earlier one, which will not answer.
        first = store.get("first rank").decode()
        store.set(f"{first} meets {rank}", own)
        with suppress(dist.DistStoreError):
            store.wait([f"{first} has met"], timedelta(seconds=1))
            if own in store.get(f"{first} has met").decode().split():
                return first
        time.sleep(0.1)
    raise RuntimeError("the first rank did not connect")


def all_gather(x: Tensor) -> Tensor:
    """Return the tensors (...) of all ranks, which have one shape: (ranks, ...), no gradient."""
    if not dist.is_initialized():
        return x.detach()[None]
    world_size = dist.get_world_size()
    gathered = x.new_empty(world_size * x.numel())
    dist.all_gather_into_tensor(gathered, x.detach().reshape(-1))
    return gathered.view(world_size, *x.shape)


def all_gather_rows(x: Tensor, counts: Sequence[int]) -> Tensor:
    """Return the rows (counts[rank], D) of all ranks, rank by rank: (sum of counts, D).

    A rank without rows may pass a width of 0.
    """
    if not dist.is_initialized():
        return x
    padded = x.new_zeros(max(counts), int(max(all_gather_scalar(x.shape[1]))))
    padded[: len(x), : x.shape[1]] = x
    return torch.cat([rows[:count] for rows, count in zip(all_gather(padded), counts, strict=True)])


def all_gather_object(value: T) -> list[T]:
    """Return the values of all ranks."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def all_gather_scalar(value: float) -> list[float]:
    """Return the numbers of all ranks, once every rank has called this; a GPU is not waited for."""
    return all_gather(torch.tensor(value, dtype=torch.float64)).tolist()


def run_on_main(make: Callable[[], T]) -> T:
    """Call `make` on the first rank only and return its value on all; an error there ends all."""
    if not dist.is_initialized():
        return make()
    value: T | None = None
    error: Exception | None = None
    if is_main():
        try:
            value = make()
        except Exception as problem:
            error = problem
    answer: list[Any] = [value, error is not None]
    dist.broadcast_object_list(answer)
    if error is not None:
        raise error
    if answer[1]:
        # Silent, because the first rank reports the error.
        raise SystemExit(1)
    return answer[0]


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradients of each rank by their mean over the ranks.

    One message after the backward pass, instead of DistributedDataParallel's several during it,
    works with the plain model.
    """
    if not dist.is_initialized():
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    pieces = flat.split([gradient.numel() for gradient in gradients])
    views = [piece.view_as(x) for piece, x in zip(pieces, gradients, strict=True)]
    torch._foreach_copy_(gradients, views)


@torch.no_grad()
def broadcast_(tensors: Iterable[Tensor]) -> None:
    """Overwrite the tensors of all ranks by those of the first."""
    if dist.is_initialized():
        for x in tensors:
            dist.broadcast(x, src=0)
