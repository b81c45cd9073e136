"""Parts of the benchmarks against the reference implementation: counted work, limits, the table."""

import argparse
import statistics
from collections.abc import Mapping
from typing import Any

import torch
from bench_lib import bench_parser
from bench_torch import OURS, REFERENCE, Work, describe_device, interleaved_seconds, wall_seconds
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


def comparison_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of benchmarks against the reference implementation."""
    parser = bench_parser(description, rounds=5)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--precision", default="fp32", choices=tuple(DTYPES))
    parser.add_argument("--embed-dim", type=int, default=2048)
    return parser


class CountWork(TorchDispatchMode):
    """Counts the work of matrix products, convolutions and attention within a block.

    `flops` are their operations, `bytes` what they read and write, each operand once: everything
    between them could be fused into them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0.0
        self.bytes = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Compute as usual, and count."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.flops += count(*args, **kwargs, out_val=out)
            tensors = [x for x in tree_leaves((args, out)) if isinstance(x, Tensor)]
            # An expanded tensor takes the memory of its storage only.
            self.bytes += sum(
                min(x.numel() * x.itemsize, x.untyped_storage().nbytes()) for x in tensors
            )
        return out


def count_work(work: Work) -> dict[str, float]:
    """Count the `flops` and `bytes` of one call."""
    with CountWork() as counted:
        work()
    return {"flops": counted.flops, "bytes": counted.bytes}


def floor_seconds(work: Mapping[str, float], device: torch.device, precision: str) -> float:
    """Return how long counted work takes at the rates of one large product and one large copy.

    Both rates are measured here; products and copies are taken not to overlap.
    """
    is_gpu = device.type == "cuda"
    n = 8192 if is_gpu else 2048
    a, b = torch.randn(2, n, n, device=device, dtype=DTYPES[precision])
    source = torch.randn(2**29 if is_gpu else 2**25, device=device)
    target = torch.empty_like(source)
    product = statistics.median(wall_seconds(lambda: a @ b, device) for _ in range(7))
    copy = statistics.median(wall_seconds(lambda: target.copy_(source), device) for _ in range(7))
    seconds_per_flop = product / (2 * n**3)
    seconds_per_byte = copy / (2 * source.numel() * source.itemsize)
    return work["flops"] * seconds_per_flop + work["bytes"] * seconds_per_byte


def peak_gb(work: Work, device: torch.device) -> float | None:
    """Return the GPU memory that one call needs beyond what is allocated; None on a CPU."""
    if device.type == "cpu":
        return None
    torch.accelerator.reset_peak_memory_stats(device)
    before = torch.accelerator.memory_allocated(device)
    wall_seconds(work, device)
    return (torch.accelerator.max_memory_allocated(device) - before) / 1e9


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
    """Time `works`, count the work of `counted` and return both as a record.

    `counted` computes the same in a form that can be counted; `batches` has the clips of a call.
    All have the keys REFERENCE and OURS, `works` may have more.
    """
    work = {name: count_work(computation) for name, computation in counted.items()}
    return {
        "machine": describe_device(device),
        "precision": args.precision,
        "embed_dim": args.embed_dim,
        "batch": dict(batches),
        "seconds": interleaved_seconds(works, device, args.rounds),
        "work": work,
        "floor_seconds": floor_seconds(work[OURS], device, args.precision),
        "peak_gb": peak_gb(counted[OURS], device),
    }


def print_comparison(record: Mapping[str, Any]) -> None:
    """Print the record of `compare` as a table."""
    seconds = {REFERENCE: record["seconds"][REFERENCE], OURS: record["seconds"][OURS]}
    rate = {name: record["batch"][name] / seconds[name] for name in seconds}
    rows: list[list[object]] = []
    for name in seconds:
        work = record["work"][name]
        label = f"{name}, {'fp32' if name == REFERENCE else record['precision']}"
        sizes = [work["flops"] / 1e9, work["bytes"] / 1e9]
        speedup = rate[name] / rate[REFERENCE]
        rows.append(
            [label, record["batch"][name], 1e3 * seconds[name], rate[name], *sizes, speedup]
        )
    floor = record["floor_seconds"]
    rows.append(["floor", record["batch"][OURS], 1e3 * floor, record["batch"][OURS] / floor])
    headers = ["", "batch", "ms", "clips/s", "GFLOP", "GB", "speedup"]
    print(f"D = {record['embed_dim']}, 3 of 16 clips with two people")
    print(tabulate(rows, headers, floatfmt=".2f"))
    print(f"fraction of the floor reached: {floor / seconds[OURS]:.0%}")
    print(
        "largest difference of the features from the reference, in fp32: "
        f"{record['largest_difference']:.1e}"
    )
    if record["peak_gb"] is not None:
        print(f"peak GPU memory on top of weights and optimizer: {record['peak_gb']:.1f} GB")
