"""Parts that benchmarks with torch share: time on a device, synthetic clips, the device itself."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from bench_lib import describe_machine, interleaved_medians
from torch import Tensor

from scdnet.config import Config
from scdnet.data.clips import Clips
from scdnet.data.noise import noise_clips
from scdnet.engine.device import device_name

# 3 of 16 recordings of NTU RGB+D show two people.
TWO_PERSON_FRACTION = 3 / 16
# One measurement on a GPU takes several calls: the host may run ahead, as it does in training.
GPU_CALLS = 20
REFERENCE = "reference"
OURS = "scdnet"

Work = Callable[[], object]


@contextmanager
def timed(device: torch.device, seconds: dict[str, float], name: str) -> Iterator[None]:
    """Store the wall time of the block as `seconds[name]`; the device is idle before and after."""
    wait(device)
    start = time.perf_counter()
    yield
    wait(device)
    seconds[name] = time.perf_counter() - start


def wait(device: torch.device) -> None:
    """Wait until the device is idle."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def wall_seconds(work: Work, device: torch.device, calls: int = 1) -> float:
    """Measure the wall time of a call, the mean of several."""
    seconds: dict[str, float] = {}
    with timed(device, seconds, "work"):
        for _ in range(calls):
            work()
    return seconds["work"] / calls


def interleaved_seconds(
    works: Mapping[str, Work], device: torch.device, rounds: int
) -> dict[str, float]:
    """Return the median wall time of each work, measured interleaved."""
    calls = 1 if device.type == "cpu" else GPU_CALLS
    measurements = {
        name: partial(wall_seconds, work, device, calls) for name, work in works.items()
    }
    return interleaved_medians(measurements, rounds)


def synthetic_clips(config: Config, device: torch.device) -> tuple[Clips, list[Tensor]]:
    """Return noise clips, 3 of 16 with two people, and the batches of one epoch over them."""
    num = 16 * config.data.batch_size
    clips = noise_clips(config.data, num, two_person=TWO_PERSON_FRACTION, device=device)
    return clips, list(torch.arange(num).split(config.data.batch_size))


def describe_device(device: torch.device) -> dict[str, str]:
    """Return the description of the machine for computations on `device`."""
    if device.type != "cpu":
        return describe_machine(device_name(device))
    return {**describe_machine(), "threads": str(torch.get_num_threads())}
