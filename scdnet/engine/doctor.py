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

from scdnet import __version__
from scdnet.config import Config, DataConfig
from scdnet.data.clips import read_split
from scdnet.data.memory import CPU, GB, OFF, choose_place, free_memories
from scdnet.data.recordings import frame_size
from scdnet.data.store import SequenceStore, open_sequences
from scdnet.engine.build import build_model
from scdnet.engine.runtime import device_name, resolve_device
from scdnet.engine.trainer import check_sizes
from scdnet.errors import ScdnetError
from scdnet.models.scdnet import SCDNet

SHARED_MEMORY = Path("/dev/shm")
READY_BATCHES = 2  # of each worker: torch's default
OPTIMIZER_STATES = {"sgd": 1, "adamw": 2}  # numbers that the optimiser keeps for each parameter
COPIES = 4  # of a checkpoint: the last two, the best one, the one that is being written


class Finding(NamedTuple):
    """What one look has found."""

    name: str
    text: str  # the facts, or the problem
    is_problem: bool = False


def examine(config: Config) -> list[Finding]:
    """Look at everything that a run of `config` needs; a problem is a finding like any other, none is raised."""
    try:
        device = resolve_device(config.device)
    except ScdnetError:  # found again below
        device = torch.device("cpu")
    with torch.device("meta"):  # its sizes alone
        model = build_model(config)
    return [
        look("device", lambda: _describe(resolve_device(config.device))),
        look("versions", _versions),
        look("model", partial(_count_parameters, model)),
        *_look_at_store(config, device),
        look("disk", partial(_check_disk, config, model)),
    ]


def look(name: str, find: Callable[[], str]) -> Finding:
    """What `find` returns, or the error that it raises if a user can put it right."""
    try:
        return Finding(name, find())
    except (ScdnetError, OSError) as error:
        return Finding(name, " ".join(str(error).split()), is_problem=True)


def checkpoint_bytes(config: Config, model: SCDNet) -> int:
    """About the size of a checkpoint."""
    weights = sum(x.numel() * x.itemsize for x in model.state_dict().values())
    states = sum(x.numel() * x.itemsize for x in model.query.parameters()) * OPTIMIZER_STATES[config.optim.name]
    return weights + states


def _describe(device: torch.device) -> str:
    if device.type != "cpu":
        free, total = torch.accelerator.get_memory_info(device)
        return f"{device_name(device)}, {total / GB:.1f} GB of memory, {free / GB:.1f} GB free"
    free = free_memories(device)[CPU]
    return f"{device_name(device)}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {free / GB:.1f} GB free"


def _versions() -> str:
    cuda = f", CUDA {torch.version.cuda}" if torch.version.cuda else ""
    return f"scdnet {__version__}, Python {platform.python_version()}, torch {torch.__version__}{cuda}"


def _count_parameters(model: SCDNet) -> str:
    query, total = (sum(x.numel() for x in part.parameters()) for part in (model.query, model))
    return f"{query / 1e6:.2f} M parameters to train, {total / 1e6:.2f} M with the key encoder"


def _look_at_store(config: Config, device: torch.device) -> Iterator[Finding]:
    data = config.data
    try:
        with open_sequences(data.store) as store:
            is_train = read_split(store, data.benchmark)
            num_train, num_test = int(is_train.sum()), int((~is_train).sum())
            splits = f"{data.benchmark}: {num_train} sequences to train, {num_test} to test"
            yield look("store", lambda: f"{store.path}, {_dataset_of(store)}, {splits}")
            yield look("frames", partial(_place_frames, store, data, device))
            yield look("workers", partial(_check_workers, store, data, device))
            yield look("batch", partial(_check_batch, config, num_train))
    except (ScdnetError, OSError) as error:
        yield Finding("store", str(error), is_problem=True)


def _dataset_of(store: SequenceStore) -> str:
    store[len(store) - 1]  # whether frames can be read: the last ones are what a torn file lacks
    return store.dataset


def _place_frames(store: SequenceStore, data: DataConfig, device: torch.device) -> str:
    size, free = int(store.offset[-1]) * frame_size(data), free_memories(device)
    place = choose_place(data.resident, size, free)
    where = "in the store" if place == OFF else f"on the {place}, where {free[place] / GB:.1f} GB are free"
    return f"{size / GB:.2f} GB, with data.resident={data.resident} {where}"


def _check_workers(store: SequenceStore, data: DataConfig, device: torch.device) -> str:
    """Whether the batches that workers have ready fit into shared memory, were they all of the longest recordings."""
    size = int(store.offset[-1]) * frame_size(data)
    if choose_place(data.resident, size, free_memories(device)) != OFF or data.workers == 0:
        return "none"
    longest = np.sort(np.diff(store.offset))[-data.batch_size :].sum()
    needed = data.workers * READY_BATCHES * int(longest) * frame_size(data)
    text = f"{data.workers} of them have up to {needed / GB:.2f} GB of batches ready"
    if not SHARED_MEMORY.is_dir():
        return text
    free = shutil.disk_usage(SHARED_MEMORY).free
    text = f"{text}, {SHARED_MEMORY} has {free / GB:.2f} GB free"
    if needed > free:
        raise ScdnetError(f"{text}; use data.workers=0 or give the container more")
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
    held = sum(path.stat().st_size for path in config.run_dir.glob("*.pt"))  # of this run, which will replace them
    text = f"a checkpoint takes {checkpoint / GB:.2f} GB, the run up to {COPIES * checkpoint / GB:.2f} GB"
    text = f"{text}, {folder} has {free / GB:.1f} GB free"
    if COPIES * checkpoint > free + held:
        raise ScdnetError(f"{text}; set runs_dir= to a larger disk")
    return text
