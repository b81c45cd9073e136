#!/usr/bin/env python3
import argparse
import subprocess
import sys
from functools import partial

import torch
from bench_lib import bench_parser, cpu_seconds, finish, interleaved_medians
from bench_torch import describe_device
from tabulate import tabulate

from scdnet.cli import run_command
from scdnet.config import Config
from scdnet.data.noise import noise_clips
from scdnet.engine.device import disable_malloc_trim
from scdnet.engine.train.pretrain import start_training

CPU = torch.device("cpu")
WARM_UP = 3
RETURNED = "freed memory returned to the system"
KEPT = "freed memory kept"


def cpu_seconds_a_step(config: Config, steps: int) -> float:
    """Measure the CPU time of a training step, views included."""
    training = start_training(config, CPU)
    clips = noise_clips(config.data, 256)
    generator = torch.Generator().manual_seed(0)
    size = (WARM_UP + steps, config.data.batch_size)
    batches = list(torch.randint(len(clips.label), size, generator=generator))
    views = clips.training_views(batches, generator)

    def take(num: int) -> None:
        for _ in range(num):
            training.step(*next(views))

    take(WARM_UP)
    return cpu_seconds(partial(take, steps)) / steps


def measure_in_process(name: str) -> float:
    """Run this script again for one of the two: a process cannot undo its allocator's settings."""
    command = [sys.executable, *sys.argv, "--child", name]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    """Compare training steps on the CPU with and without `disable_malloc_trim`."""
    parser = bench_parser(main.__doc__, rounds=3)
    parser.add_argument("--embed-dim", type=int, default=256)
    parser.add_argument("--base-channels", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--child", choices=(RETURNED, KEPT), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        if args.child == KEPT:
            disable_malloc_trim()
        model = {"embed_dim": args.embed_dim, "base_channels": args.base_channels}
        print(cpu_seconds_a_step(Config(data={"batch_size": args.batch}, model=model), args.steps))
        return
    measurements = {name: partial(measure_in_process, name) for name in (RETURNED, KEPT)}
    seconds = interleaved_medians(measurements, args.rounds)
    rows = [[name, value, value / seconds[KEPT]] for name, value in seconds.items()]
    print(tabulate(rows, ["", "CPU s a training step", "ratio"], floatfmt=(".0f", ".3f", ".2f")))
    finish({"machine": describe_device(CPU), "cpu_seconds": seconds}, args.json)


if __name__ == "__main__":
    run_command(main)
