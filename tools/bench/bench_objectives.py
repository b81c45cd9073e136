#!/usr/bin/env python3
from pathlib import Path

import torch
from bench_lib import describe_machine, interleaved, synthetic_clips, write_json

from scdnet.cli import config_parser, run_command
from scdnet.config import Config
from scdnet.config_file import load_config
from scdnet.engine.device import disable_malloc_trim, resolve_device, seed_everything
from scdnet.engine.train.state import start_training

OBJECTIVES = ("scd", "hdc", "scd+hdc")
WARM_UP = 4  # steps before any is timed; on a GPU the last of them captures the graph


def main() -> None:
    """Time training steps of each objective in turns, views included, at the same batch, on noise."""
    parser = config_parser("bench_objectives", main.__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the record there")
    args = parser.parse_intermixed_args()
    config = load_config(args.config, args.overrides)
    device = resolve_device(config.device)
    disable_malloc_trim()
    works = {}
    for objective in OBJECTIVES:
        own = Config.model_validate({**config.model_dump(), "objective": objective})
        seed_everything(0)
        training, (clips, batches) = start_training(own, device), synthetic_clips(own, device)
        tasks, generator = training.model.objective.tasks, torch.Generator().manual_seed(0)

        def step(
            training=training, clips=clips, batches=batches, tasks=tasks, generator=generator
        ) -> None:
            training.step(*next(clips.training_views(batches, generator, tasks)))

        for _ in range(WARM_UP):
            step()
        works[objective] = step
    taken = interleaved(works, device, args.rounds)
    machine = describe_machine(device)
    print(
        f"{machine['device']}, torch {machine['torch']}, commit {machine['commit']}; batch {config.data.batch_size}"
    )
    for objective, seconds in taken.items():
        print(
            f"{objective:8} {1e3 * seconds:9.1f} ms a step, {seconds / taken['scd']:.2f} times that of scd"
        )
    write_json(args.json, {**machine, "batch": config.data.batch_size, "seconds": taken})


if __name__ == "__main__":
    run_command(main)
