#!/usr/bin/env python3
import torch
from bench_lib import (
    Work,
    bench_parser,
    count_flops,
    describe_machine,
    finish,
    interleaved_seconds,
    synthetic_clips,
)
from tabulate import tabulate

from scdnet.cli import config_parser, run_command
from scdnet.config import Config
from scdnet.config_file import load_config
from scdnet.engine.device import disable_malloc_trim, resolve_device
from scdnet.engine.train.rehearsal import Rehearsal, choose_mode
from scdnet.skeletons import NTU_25

OBJECTIVES = ("scd", "hdc", "scd+hdc", "latent", "scd+latent")
# The last of these steps captures the graph on a GPU.
WARM_UP = 4


def warm_step(config: Config, device: torch.device) -> Work:
    """Return a training step, views included, that has been called a few times."""
    rehearsal = Rehearsal(config, NTU_25, device)
    training = rehearsal.start(choose_mode(rehearsal))
    clips, batches = synthetic_clips(config, device)
    generator = torch.Generator().manual_seed(0)
    objective = training.model.objective

    def step() -> None:
        views = clips.training_views(batches, generator, objective.tasks, latent=objective.hiding)
        training.step(*next(views))

    for _ in range(WARM_UP):
        step()
    return step


def main() -> None:
    """Compare training steps of the objectives, views included, at one batch size, on noise.

    Operations are counted over products, convolutions and attention, forwards and backwards.
    """
    parser = bench_parser(main.__doc__, rounds=5, make=config_parser)
    args = parser.parse_intermixed_args()
    config = load_config(args.config, args.overrides)
    device = resolve_device(config.device)
    disable_malloc_trim()
    configs = {name: Config(**{**dict(config), "objective": name}) for name in OBJECTIVES}
    works = {name: warm_step(own, device) for name, own in configs.items()}
    seconds = interleaved_seconds(works, device, args.rounds)
    flops = {name: count_flops(work) / config.data.batch_size for name, work in works.items()}
    print(f"batch {config.data.batch_size}")
    rows = [
        [name, 1e3 * value, value / seconds["scd"], flops[name] / 1e9]
        for name, value in seconds.items()
    ]
    headers = ["objective", "ms a step", "ratio to scd", "GFLOP a clip"]
    print(tabulate(rows, headers, floatfmt=(".0f", ".1f", ".2f", ".2f")))
    record = {
        "machine": describe_machine(device),
        "batch": config.data.batch_size,
        "seconds": seconds,
        "flops_per_clip": flops,
    }
    finish(record, args.json)


if __name__ == "__main__":
    run_command(main)
