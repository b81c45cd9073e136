"""Parts that benchmarks share: arguments, interleaved measurements, the machine, comparisons."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from scdnet.cli import command_parser
from scdnet.config import Config
from scdnet.data.cache import CachedSequences
from scdnet.data.clips import Clips
from scdnet.engine.device import device_name, wait_for
from scdnet.skeletons import NTU_25

REFERENCE = "reference"
OURS = "scdnet"
CPU = torch.device("cpu")
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}
# One measurement on a GPU takes several calls: the host may run ahead, as it does in training.
GPU_CALLS = 20

Work = Callable[[], object]


def bench_parser(
    description: str | None,
    *,
    rounds: int,
    make: Callable[[str, str | None], argparse.ArgumentParser] = command_parser,
) -> argparse.ArgumentParser:
    """Return a parser of `make`, named after the script, with the options of all benchmarks."""
    parser = make("", description)
    parser.prog = Path(sys.argv[0]).name
    parser.add_argument(
        "--rounds",
        type=int,
        default=rounds,
        help="interleaved rounds; medians are reported (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, help="also write the record to this file")
    return parser


def comparison_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of benchmarks against the reference implementation."""
    parser = bench_parser(description, rounds=5)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--precision", default="fp32", choices=tuple(DTYPES))
    parser.add_argument("--embed-dim", type=int, default=2048)
    return parser


def interleaved_medians(
    measurements: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, float]:
    """Return the median result of each measurement.

    They run interleaved, A B A B, so that a slow minute of the machine hits all of them.
    """
    results: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measure in measurements.items():
            results[name].append(measure())
    return {name: statistics.median(values) for name, values in results.items()}


def interleaved_seconds(
    works: Mapping[str, Work], device: torch.device, rounds: int
) -> dict[str, float]:
    """Return the median wall time of each work, measured interleaved."""
    calls = 1 if device.type == "cpu" else GPU_CALLS
    measurements = {
        name: partial(wall_seconds, work, device, calls) for name, work in works.items()
    }
    return interleaved_medians(measurements, rounds)


def wall_seconds(work: Work, device: torch.device, calls: int = 1) -> float:
    """Measure the wall time of a call, the mean of several."""
    seconds: dict[str, float] = {}
    with timed(device, seconds, "work"):
        for _ in range(calls):
            work()
    return seconds["work"] / calls


@contextmanager
def timed(device: torch.device, seconds: dict[str, float], name: str) -> Iterator[None]:
    """Store the wall time of the block as `seconds[name]`; the device is idle before and after."""
    wait_for(device)
    start = time.perf_counter()
    yield
    wait_for(device)
    seconds[name] = time.perf_counter() - start


def synthetic_clips(config: Config, device: torch.device) -> tuple[Clips, list[Tensor]]:
    """Return recordings of noise, and batches of one epoch.

    As in NTU RGB+D, recordings have 40 to 159 frames, and 3 of 16 have a second body.
    """
    num = 16 * config.data.batch_size
    index = torch.arange(num)
    generator = torch.Generator().manual_seed(0)
    length = torch.randint(40, 160, (num,), generator=generator)
    shape = (3, int(length.sum()), config.data.num_bodies, NTU_25.num_joints)
    frames = torch.randn(shape, generator=generator)
    # Spread the recordings of two people evenly.
    is_alone = ((index + 1) * (3 / 16)).floor().diff(prepend=torch.zeros(1)) == 0
    frames[:, is_alone.repeat_interleave(length), 1:] = 0
    clips = Clips(
        sequences=CachedSequences(frames.to(device), length),
        cache_summary="noise",
        device=device,
        label=torch.zeros(num, dtype=torch.long),
        splits={config.data.benchmarks[0]: torch.ones(num, dtype=torch.bool)},
        name=np.array([f"noise{i:09}" for i in range(num)]),
        class_names=("noise",),
        dataset="noise",
        skeleton=NTU_25,
        store=Path("noise"),
        store_sha256="",
        config=config.data,
        stream="joint",
    )
    return clips, list(index.split(config.data.batch_size))


@torch.no_grad()
def largest_difference(ours: nn.Module, reference: nn.Module, clips: Tensor) -> float:
    """Return the largest difference of two encoders' features, relative to the largest feature."""
    pairs = list(zip(ours.eval()(clips), reference.eval()(clips), strict=True))
    ours.train()
    reference.train()
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)


def compare(
    works: Mapping[str, Work],
    counted: Mapping[str, Work],
    batches: Mapping[str, int],
    *,
    device: torch.device,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """Time `works`, count the operations of `counted` and return both as a record.

    `counted` computes the same in a form that can be counted; `batches` has the clips of a call.
    All have the keys REFERENCE and OURS, `works` may have more. The floor is the time that our
    operations take at the rate of one large matrix product, measured here.
    """
    flops = {name: count_flops(work) for name, work in counted.items()}
    n = 2048 if device.type == "cpu" else 8192
    a, b = torch.randn(2, n, n, device=device, dtype=DTYPES[args.precision])
    product = statistics.median(wall_seconds(lambda: a @ b, device) for _ in range(7))
    return {
        "machine": describe_machine(device),
        "precision": args.precision,
        "embed_dim": args.embed_dim,
        "batch": dict(batches),
        "seconds": interleaved_seconds(works, device, args.rounds),
        "flops": flops,
        "floor_seconds": flops[OURS] * product / (2 * n**3),
        "peak_gb": peak_gb(counted[OURS], device),
    }


def count_flops(work: Work) -> int:
    """Return the operations of one call: those of products, convolutions and attention."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def peak_gb(work: Work, device: torch.device) -> float | None:
    """Return the GPU memory that one call needs beyond what is allocated; None on a CPU."""
    if device.type == "cpu":
        return None
    torch.accelerator.reset_peak_memory_stats(device)
    before = torch.accelerator.memory_allocated(device)
    wall_seconds(work, device)
    return (torch.accelerator.max_memory_allocated(device) - before) / 1e9


def print_comparison(record: Mapping[str, Any]) -> None:
    """Print the record of `compare` as a table."""
    rows: list[list[object]] = []
    seconds = {**record["seconds"], "floor": record["floor_seconds"]}
    batches = {**record["batch"], "floor": record["batch"][OURS]}
    reference_rate = batches[REFERENCE] / seconds[REFERENCE]
    for name in (REFERENCE, OURS, "floor"):
        rate = batches[name] / seconds[name]
        gflop = record["flops"].get(name, 0) / 1e9
        rows.append([name, batches[name], 1e3 * seconds[name], rate, gflop, rate / reference_rate])
    headers = ["", "batch", "ms", "clips/s", "GFLOP", "speedup"]
    print(
        f"{record['precision']}, the reference fp32; D = {record['embed_dim']}, "
        "3 of 16 clips with two people"
    )
    print(tabulate(rows, headers, floatfmt=".2f"))
    print(
        "largest difference of the features from the reference, in fp32: "
        f"{record['largest_difference']:.1e}"
    )
    if record["peak_gb"] is not None:
        print(f"peak GPU memory on top of weights and optimizer: {record['peak_gb']:.1f} GB")


def describe_machine(device: torch.device = CPU) -> dict[str, str]:
    """Return the device, the versions and the commit."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    cpu = f"{(models or [platform.machine()])[0]}, {os.cpu_count()} cores"
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    return {
        "device": cpu if device.type == "cpu" else device_name(device),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "commit": commit or "unknown",
    }


def finish(record: Mapping[str, Any], path: Path | None) -> None:
    """Print on which machine a record was made, and write the record if a file was asked for."""
    print(", ".join(f"{key} {value}" for key, value in record["machine"].items()))
    if path is not None:
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
