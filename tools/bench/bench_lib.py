"""What the benchmarks share: made-up clips, timing in turns, counted work, and the machine's own ceilings."""

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from scdnet.cli import command_parser
from scdnet.config import Config
from scdnet.data.clips import Clips, noise_clips
from scdnet.engine.device import device_name

TWO_PERSON = 3 / 16  # the share of NTU RGB+D's clips that show two people
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


def bench_parser(verb: str, description: str | None) -> argparse.ArgumentParser:
    """A parser with the arguments of all benchmarks that compare with the literal version."""
    parser = command_parser(verb, description)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--precision", default="fp32", choices=tuple(DTYPES))
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the record there")
    return parser


class Work(NamedTuple):
    """What a computation cannot do without."""

    flops: float  # of matrix products, convolutions and attention
    bytes: float  # that these read and write, each operand once: what lies between them could be fused into them


class CountWork(torch.utils._python_dispatch.TorchDispatchMode):
    """Adds up the work of what is computed within."""

    def __init__(self) -> None:
        super().__init__()
        self.flops, self.bytes = 0.0, 0.0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute as usual, and count."""
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=out)
            self.bytes += sum(
                held_bytes(x) for x in tree_leaves((args, out)) if isinstance(x, Tensor)
            )
        return out


def held_bytes(x: Tensor) -> int:
    """In memory: of one that is expanded, once."""
    return min(x.numel() * x.itemsize, x.untyped_storage().nbytes())


def count_work(computation: Callable[[], object]) -> Work:
    """The work of one call."""
    with CountWork() as counted:
        computation()
    return Work(counted.flops, counted.bytes)


def floor_seconds(work: Work, device: torch.device, precision: str) -> float:
    """How long `work` takes at the rates of one large product and one large copy, measured here, not overlapping."""
    n = 8192 if device.type == "cuda" else 2048
    a, b = torch.randn(2, n, n, device=device, dtype=DTYPES[precision])
    source = torch.randn(2**29 if device.type == "cuda" else 2**25, device=device)
    target = torch.empty_like(source)
    product = statistics.median(seconds(lambda: a @ b, device) for _ in range(7))
    copy = statistics.median(seconds(lambda: target.copy_(source), device) for _ in range(7))
    return work.flops * product / (2 * n**3) + work.bytes * copy / (
        2 * source.numel() * source.itemsize
    )


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """The time of one call by the clock, until the device is done."""
    wait(device)
    start = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - start


def wait(device: torch.device) -> None:
    """Until the device is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def interleaved(
    works: dict[str, Callable[[], object]], device: torch.device, rounds: int
) -> dict[str, float]:
    """Median seconds of each work; one after the other, again and again, so that what disturbs disturbs all.

    On a GPU a turn is 20 calls, so that the host may run ahead as it does in training.
    """
    calls = 1 if device.type == "cpu" else 20
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(
                seconds(lambda work=work: [work() for _ in range(calls)], device) / calls
            )
    return {name: statistics.median(values) for name, values in taken.items()}


def synthetic_clips(config: Config, device: torch.device) -> tuple[Clips, list[Tensor]]:
    """Noise with two people in 3 clips of 16, and the batches of one epoch over it."""
    clips = noise_clips(
        config.data, 16 * config.data.batch_size, two_person=TWO_PERSON, device=device
    )
    return clips, list(torch.arange(len(clips.label)).split(config.data.batch_size))


def largest_difference(own: nn.Module, other: nn.Module, clips: Tensor) -> float:
    """Between the features of two encoders, as a share of the largest feature."""
    with torch.no_grad():
        pairs = [(a, b) for a, b in zip(own.eval()(clips), other.eval()(clips), strict=True)]
    own.train(), other.train()
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)


def peak_gb(computation: Callable[[], object], device: torch.device) -> float | None:
    """The most memory of a GPU that one call needs beside what is held before; None on a CPU, which does not tell."""
    if device.type == "cpu":
        return None
    torch.accelerator.reset_peak_memory_stats(device)
    before = torch.accelerator.memory_allocated(device)
    seconds(computation, device)
    return (torch.accelerator.max_memory_allocated(device) - before) / 1e9


def describe_machine(device: torch.device) -> dict[str, str]:
    """For the head of a table."""
    own_name = device_name(device)
    threads = f"{torch.get_num_threads()} threads" if device.type == "cpu" else ""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    return {
        "device": f"{own_name} {threads}".strip(),
        "torch": torch.__version__,
        "commit": commit or "unknown",
    }


def write_json(path: Path | None, record: dict[str, Any]) -> None:
    """The record of a benchmark, if a file was asked for."""
    if path is not None:
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
