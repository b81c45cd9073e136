#!/usr/bin/env python3
"""What `disable_malloc_trim` saves: training steps on the CPU with and without it, in processes of their own, A B A B."""

import argparse
import os
import statistics
import subprocess
import sys
import time

import torch

from scdnet.cli import command_parser, run_command
from scdnet.config import Config
from scdnet.data.clips import noise_clips
from scdnet.engine.device import disable_malloc_trim
from scdnet.engine.train.state import start_training

WARM_UP = 3  # steps that are not counted


def cpu_seconds_a_step(config: Config, steps: int) -> float:
    """CPU time of a training step, all threads together."""
    training, clips = start_training(config, torch.device("cpu")), noise_clips(config.data, 256)
    generator = torch.Generator().manual_seed(0)
    batches = torch.randint(
        len(clips.label), (WARM_UP + steps, config.data.batch_size), generator=generator
    )
    for step, views in enumerate(clips.training_views(batches, generator)):
        if step == WARM_UP:
            start = time.process_time()
        training.step(*views)
    return (time.process_time() - start) / steps


def main() -> None:
    """Time training steps with glibc as it is and with `disable_malloc_trim`."""
    parser = command_parser("bench_allocator", main.__doc__)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--base-channels", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=("kept", "returned"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        if args.child == "kept":
            disable_malloc_trim()
        model = {"embed_dim": args.width, "base_channels": args.base_channels}
        print(cpu_seconds_a_step(Config(data={"batch_size": args.batch}, model=model), args.steps))
        return
    seconds: dict[str, list[float]] = {"returned": [], "kept": []}
    for _ in range(args.rounds):
        for name, values in seconds.items():
            command = [sys.executable, *sys.argv, "--child", name]
            values.append(
                float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            )
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"torch {torch.__version__}, {os.cpu_count()} cores; CPU seconds a training step, median of {args.rounds}"
    )
    print(f"  freed memory returned to the system {medians['returned']:.3f}")
    print(f"  freed memory kept                   {medians['kept']:.3f}")
    print(f"  ratio {medians['returned'] / medians['kept']:.2f}")


if __name__ == "__main__":
    run_command(main)
