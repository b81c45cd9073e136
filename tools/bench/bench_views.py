#!/usr/bin/env python3
import torch
from bench_lib import bench_parser, cpu_seconds, finish, interleaved_medians
from bench_torch import OURS, REFERENCE, describe_device, wall_seconds
from tabulate import tabulate
from torch import Tensor

from scdnet.cli import run_command
from scdnet.config import DataConfig
from scdnet.data.clips import Clips
from scdnet.data.noise import noise_clips
from scdnet.engine.device import disable_malloc_trim, resolve_device
from tests.reference.views import ReferenceViews

NUM_CLIPS = 1000
# A batch is too short to be timed by itself.
CPU_BATCHES = 5
GPU_BATCHES = 500


def draw_batches(num: int, batch: int) -> list[Tensor]:
    """Draw batches of indices of clips, each time others."""
    return list(torch.randint(NUM_CLIPS, (num, batch)))


def make_views(clips: Clips, generator: torch.Generator, batches: list[Tensor]) -> None:
    """Compute the training views of all batches."""
    for _ in clips.training_views(batches, generator):
        pass


def main() -> None:
    """Compare training views with the reference implementation; print only their rate on a GPU."""
    parser = bench_parser(main.__doc__, rounds=7)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--num-bodies", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    device = resolve_device(args.device)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    clips = noise_clips(DataConfig(num_bodies=args.num_bodies), NUM_CLIPS, device=device)
    generator = torch.Generator().manual_seed(0)
    # Training does the same.
    disable_malloc_trim()
    sizes = f"pairs of views, batch {args.batch}, {args.num_bodies} bodies, 64 frames"
    make_views(clips, generator, draw_batches(10, args.batch))
    if device.type != "cpu":
        batches = draw_batches(GPU_BATCHES, args.batch)
        seconds = wall_seconds(lambda: make_views(clips, generator, batches), device)
        print(f"{sizes}: {GPU_BATCHES * args.batch / seconds:.0f} a second")
        return

    reference = ReferenceViews(clips, seed=0)

    def reference_ms() -> float:
        index = draw_batches(1, 2 * args.batch)[0]
        return 1e3 * cpu_seconds(lambda: reference(index)) / args.batch

    def scdnet_ms() -> float:
        batches = draw_batches(CPU_BATCHES, args.batch)
        seconds = cpu_seconds(lambda: make_views(clips, generator, batches))
        return 1e3 * seconds / (CPU_BATCHES * args.batch)

    # The first call of the reference implementation loads libraries.
    reference_ms()
    ms = interleaved_medians({REFERENCE: reference_ms, OURS: scdnet_ms}, args.rounds)
    rows = [[name, value, ms[REFERENCE] / value] for name, value in ms.items()]
    print(sizes)
    print(tabulate(rows, ["", "CPU ms a pair", "speedup"], floatfmt=(".0f", ".3f", ".1f")))
    finish({"machine": describe_device(device), "cpu_ms": ms}, args.json)


if __name__ == "__main__":
    run_command(main)
