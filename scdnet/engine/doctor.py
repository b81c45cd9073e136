"""What a run needs, looked at before it starts: each look is a line, and so is each problem."""

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from scdnet.config import Config, DataConfig
from scdnet.data.cache import CPU, GB, NONE, choose_cache, free_memory
from scdnet.data.clips import read_split
from scdnet.data.recordings import frame_size
from scdnet.data.store import SequenceStore, open_sequences
from scdnet.engine.build import build_model, check_sizes
from scdnet.engine.device import device_name, resolve_device
from scdnet.errors import ScdnetError
from scdnet.models.scdnet import SCDNet
from scdnet.version import __version__

SHARED_MEMORY = Path("/dev/shm")
READY_BATCHES = 2  # of each worker: torch's default
OPTIMIZER_STATES = {"sgd": 1, "adamw": 2}  # numbers that the optimizer keeps for each parameter


class Finding(NamedTuple):
    """What one look has found."""

    name: str
    text: str  # the facts, or the problem
    is_problem: bool = False


def examine(config: Config) -> list[Finding]:
    """Look at everything that a run of `config` needs; a problem is a finding like any other, none is raised."""
    found = look("device", lambda: _describe(resolve_device(config.device)))
    device = torch.device("cpu") if found.is_problem else resolve_device(config.device)
    with torch.device("meta"):  # its sizes alone
        model = build_model(config)
    return [
        found,
        look("versions", _versions),
        look("model", partial(_count_parameters, model)),
        *_look_at_store(config, device),
        look("disk", partial(_check_disk, config, model)),
    ]


def look(name: str, find: Callable[[], str]) -> Finding:
    """What `find` returns, or the error that it raises if a user can put it right."""
    try:
        return Finding(name, find())
    except (
        ScdnetError,
        OSError,
        RuntimeError,
    ) as error:  # the last: torch's, of a GPU that does not answer
        return Finding(name, " ".join(str(error).split()), is_problem=True)


def checkpoint_bytes(config: Config, model: SCDNet) -> int:
    """About the size of a checkpoint."""
    weights = sum(x.numel() * x.itemsize for x in model.state_dict().values())
    states = (
        sum(x.numel() * x.itemsize for x in model.query.parameters())
        * OPTIMIZER_STATES[config.optim.name]
    )
    return weights + states


def _size(num_bytes: float) -> str:
    return f"{num_bytes / GB:.2f} GB" if num_bytes >= GB else f"{num_bytes / 1e6:.1f} MB"


def _describe(device: torch.device) -> str:
    if device.type != "cpu":
        free, total = torch.accelerator.get_memory_info(device)
        return f"{device_name(device)}, {_size(total)} of memory, {_size(free)} free"
    free = free_memory(device)[CPU]
    return f"{device_name(device)}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {_size(free)} free"


def _versions() -> str:
    cuda = f", CUDA {torch.version.cuda}" if torch.version.cuda else ""
    return (
        f"scdnet {__version__}, Python {platform.python_version()}, torch {torch.__version__}{cuda}"
    )


def _count_parameters(model: SCDNet) -> str:
    query, total = (sum(x.numel() for x in part.parameters()) for part in (model.query, model))
    return f"{query / 1e6:.2f} M parameters to train, {total / 1e6:.2f} M with the key encoder"


def _look_at_store(config: Config, device: torch.device) -> Iterator[Finding]:
    data = config.data
    try:
        with open_sequences(data.store) as store:
            is_train = read_split(store, data.benchmark)
            num_train, num_test = int(is_train.sum()), int((~is_train).sum())
            splits = f"{data.benchmark}: {num_train} training and {num_test} test sequences"
            yield Finding("store", f"{store.path}, {store.dataset}, {splits}")
            yield from _look_at_frames(store, data, device)
            yield look("batch", partial(_check_batch, config, num_train))
    except (ScdnetError, OSError) as error:
        yield Finding("store", str(error), is_problem=True)


def _look_at_frames(
    store: SequenceStore, data: DataConfig, device: torch.device
) -> Iterator[Finding]:
    size, free = int(store.offset[-1]) * frame_size(data), free_memory(device)
    try:
        place = choose_cache(data.cache, size, free)
    except ScdnetError as error:
        yield Finding("frames", str(error), is_problem=True)
        return
    where = (
        f"on the {place}, where {_size(free[place])} are free" if place in free else "in the store"
    )
    yield Finding("frames", f"{_size(size)}, with data.cache={data.cache} {where}")
    if place == NONE and data.num_workers > 0 and SHARED_MEMORY.is_dir():
        yield look("workers", partial(_check_workers, store, data))


def _check_workers(store: SequenceStore, data: DataConfig) -> str:
    """Whether the batches that workers have ready fit into shared memory, were they all of the longest recordings."""
    longest = np.sort(np.diff(store.offset))[-data.batch_size :].sum()
    needed = data.num_workers * READY_BATCHES * int(longest) * frame_size(data)
    free = shutil.disk_usage(SHARED_MEMORY).free
    text = f"{data.num_workers}, with up to {_size(needed)} of batches ready, {SHARED_MEMORY} has {_size(free)} free"
    if needed > free:
        raise ScdnetError(f"{text}; use data.num_workers=0 or give the container more")
    return text


def _check_batch(config: Config, num_train: int) -> str:
    warning = check_sizes(config, num_train)
    if warning:
        raise ScdnetError(warning)
    batch = config.data.batch_size
    return f"{batch} sequences, {num_train // batch} steps an epoch, a queue of {config.model.queue_size}"


def _check_disk(config: Config, model: SCDNet) -> str:
    folder = next(path for path in (config.run_dir, *config.run_dir.parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ScdnetError(f"{folder}: a run cannot be written there ({error.strerror})") from None
    checkpoint, free = checkpoint_bytes(config, model), shutil.disk_usage(folder).free
    needed = checkpoint * (
        config.keep_checkpoints + (config.eval_every > 0) + 1
    )  # the newest, the best, one that is being written
    held = sum(
        path.stat().st_size for path in config.run_dir.glob("*.pt")
    )  # of this run, which will replace them
    text = f"a checkpoint takes {_size(checkpoint)}, all of them {_size(needed)}, {folder} has {_size(free)} free"
    if needed > free + held:
        raise ScdnetError(f"{text}; set runs_dir= to a larger disk")
    return text
