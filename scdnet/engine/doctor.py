"""Checks of what a run needs, before it starts: each check is one finding, a problem too."""

import os
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from scdnet.config import Config, DataConfig
from scdnet.data.cache import CPU, NONE, choose_cache, frame_size, free_memory
from scdnet.data.mixture import TrainingRows, open_stores, select_training
from scdnet.data.store import SequenceStore
from scdnet.engine.build import build_model, build_objective, check_sizes
from scdnet.engine.device import device_name, resolve_device
from scdnet.engine.distributed import rank_info
from scdnet.engine.run.directory import check_outputs
from scdnet.engine.train.initial import read_initial
from scdnet.engine.train.plan import make_plan
from scdnet.errors import ScdnetError
from scdnet.memory import GB
from scdnet.models.scdnet import SCDNet
from scdnet.skeleton import Skeleton
from scdnet.skeletons import DEFAULT_SKELETON
from scdnet.version import __version__

SHARED_MEMORY = Path("/dev/shm")
# Batches that each worker prepares ahead: torch's default.
READY_BATCHES = 2
# Numbers that the optimizer keeps for each parameter.
OPTIMIZER_STATES = {"sgd": 1, "adamw": 2}


class Finding(NamedTuple):
    """The result of one check."""

    name: str
    # The facts, or the problem.
    text: str
    is_problem: bool = False


def examine(config: Config) -> list[Finding]:
    """Check everything that a run of `config` needs; problems are findings, nothing is raised."""
    device_finding = check("device", lambda: _describe(resolve_device(config.device)))
    device = torch.device("cpu") if device_finding.is_problem else resolve_device(config.device)
    objective = build_objective(config)
    skeleton, num_train = look_into(config.data)
    # Only the sizes of the model are needed.
    with torch.device("meta"):
        model = build_model(config, objective, skeleton=skeleton, num_train=num_train)
    return [
        device_finding,
        check("versions", _versions),
        check("model", partial(_count_parameters, model)),
        *_check_init(config, skeleton),
        *_check_store(config, device),
        check("disk", partial(_check_disk, config, checkpoint_bytes(model, config.optim.name))),
    ]


def look_into(data: DataConfig) -> tuple[Skeleton, tuple[int, ...] | None]:
    """Return the skeleton of the stores and the number of training sequences of each.

    The skeleton is the paper's if there is no store yet, the numbers None if there is no split.
    """
    skeleton = DEFAULT_SKELETON
    try:
        with ExitStack() as stack:
            stores = open_stores(data, stack)
            skeleton = stores[0].skeleton
            selected = select_training(stores, data.benchmarks)
            return skeleton, tuple(len(train.rows) for train in selected)
    except (ScdnetError, OSError):
        return skeleton, None


def check(name: str, find: Callable[[], str]) -> Finding:
    """Return what `find` returns, or the error that it raises if a user can fix it."""
    try:
        return Finding(name, find())
    except (ScdnetError, OSError, RuntimeError) as error:
        # torch raises a RuntimeError if a GPU does not respond.
        return Finding(name, " ".join(str(error).split()), is_problem=True)


def checkpoint_bytes(model: SCDNet, optimizer: str) -> int:
    """Estimate the size of a checkpoint."""
    weights = sum(x.numel() * x.itemsize for x in model.state_dict().values())
    trained = sum(x.numel() * x.itemsize for x in model.trained_parameters())
    return weights + trained * OPTIMIZER_STATES[optimizer]


def _size(num_bytes: float) -> str:
    return f"{num_bytes / GB:.2f} GB" if num_bytes >= GB else f"{num_bytes / 1e6:.1f} MB"


def _describe(device: torch.device) -> str:
    if device.type != "cpu":
        free, total = torch.accelerator.get_memory_info(device)
        return f"{device_name(device)}, {_size(total)} of memory, {_size(free)} free"
    free_main = free_memory(device)[CPU]
    return (
        f"{device_name(device)}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"{_size(free_main)} free"
    )


def _versions() -> str:
    cuda = f", CUDA {torch.version.cuda}" if torch.version.cuda else ""
    python = platform.python_version()
    return f"scdnet {__version__}, Python {python}, torch {torch.__version__}{cuda}"


def _count_parameters(model: SCDNet) -> str:
    query = sum(x.numel() for x in model.trained_parameters())
    total = sum(x.numel() for x in model.parameters())
    return f"{query / 1e6:.2f} M parameters to train, {total / 1e6:.2f} M with the key encoder"


def _check_init(config: Config, skeleton: Skeleton) -> list[Finding]:
    """Check that the weights that the run starts from can be read and fit, if there are any."""
    if config.init is None:
        return []

    def read() -> str:
        return f"{config.init}, SHA-256 {read_initial(config, skeleton).sha256[:12]}..."

    return [check("init", read)]


def _check_store(config: Config, device: torch.device) -> Iterator[Finding]:
    data = config.data
    try:
        with ExitStack() as stack:
            stores = open_stores(data, stack)
            selected = select_training(stores, data.benchmarks)
            for store, benchmark, train in zip(stores, data.benchmarks, selected, strict=True):
                yield Finding("store", _describe_store(store, benchmark, train))
            yield from _check_frames(stores, data, device)
            num_train = tuple(len(train.rows) for train in selected)
            yield check("batch", partial(_check_batch, config, num_train))
    except (ScdnetError, OSError) as error:
        yield Finding("store", str(error), is_problem=True)


def _describe_store(store: SequenceStore, benchmark: str, train: TrainingRows) -> str:
    num_train = int(store.is_train(benchmark).sum())
    num_test = len(store) - num_train
    splits = f"{benchmark}: {num_train} training and {num_test} test sequences"
    if train.num_test or train.num_repeated:
        splits += (
            f"; not trained on: {train.num_test} test sequences of another store, "
            f"{train.num_repeated} contained in an earlier one"
        )
    return f"{store.path}, {store.dataset}, joints of {store.skeleton.name}, {splits}"


def _check_frames(
    stores: Sequence[SequenceStore], data: DataConfig, device: torch.device
) -> Iterator[Finding]:
    num_frames = sum(int(store.offset[-1]) for store in stores)
    size = num_frames * frame_size(data, stores[0].skeleton.num_joints)
    free = free_memory(device)
    try:
        place = choose_cache(data.cache, size, free)
    except ScdnetError as error:
        yield Finding("frames", str(error), is_problem=True)
        return
    where = "in the store" if len(stores) == 1 else "in the stores"
    if place in free:
        where = f"on the {place}, which has {_size(free[place])} free"
    yield Finding("frames", f"{_size(size)}, with data.cache={data.cache} {where}")
    if place == NONE and data.num_workers > 0 and SHARED_MEMORY.is_dir():
        yield check("workers", partial(_check_workers, stores, data))


def _check_workers(stores: Sequence[SequenceStore], data: DataConfig) -> str:
    """Check that the batches that workers prepare, with the longest recordings, fit in memory."""
    lengths = np.concatenate([np.diff(store.offset) for store in stores])
    longest = np.sort(lengths)[-data.batch_size :].sum()
    num_bytes = frame_size(data, stores[0].skeleton.num_joints)
    needed = data.num_workers * READY_BATCHES * int(longest) * num_bytes
    free = shutil.disk_usage(SHARED_MEMORY).free
    text = (
        f"{data.num_workers}, with up to {_size(needed)} of batches ready, "
        f"{SHARED_MEMORY} has {_size(free)} free"
    )
    if needed > free:
        raise ScdnetError(f"{text}; use data.num_workers=0 or enlarge {SHARED_MEMORY}")
    return text


def _check_batch(config: Config, num_train: tuple[int, ...]) -> str:
    data = config.data
    model = config.model
    num_ranks = rank_info().world_size
    warning = check_sizes(data, model, num_train=num_train, num_ranks=num_ranks)
    if warning:
        raise ScdnetError(warning)
    plan = make_plan(config, num_train, {})
    batch = f"{plan.batch_size} sequences"
    if plan.batch_size < data.batch_size:
        batch += f" (all; data.batch_size is {data.batch_size})"
    text = f"{batch}, {plan.steps_per_epoch} steps an epoch, a queue of {plan.queue_size}"
    return text if plan.unit == "epoch" else f"{text}; {plan.summary}"


def _check_disk(config: Config, checkpoint: int) -> str:
    run_dir = config.run_dir
    folder = next(path for path in (run_dir, *run_dir.parents) if path.exists())
    try:
        check_outputs(run_dir)
    except ScdnetError as error:
        raise ScdnetError(f"{folder}: a run cannot be written there ({error})") from None
    free = shutil.disk_usage(folder).free
    # The newest ones, the best if there are scores, and one that is being written.
    num_checkpoints = config.keep_checkpoints + (config.eval_every > 0) + 1
    needed = checkpoint * num_checkpoints
    # Checkpoints of this run will be replaced.
    replaced = sum(path.stat().st_size for path in run_dir.glob("*.pt"))
    # The number of components depends on the recordings.
    without = " without components" if config.model.components else ""
    text = (
        f"a checkpoint takes {_size(checkpoint)}{without}, all of them {_size(needed)}, "
        f"{folder} has {_size(free)} free"
    )
    if needed > free + replaced:
        raise ScdnetError(f"{text}; set runs_dir= to a larger disk")
    return text
