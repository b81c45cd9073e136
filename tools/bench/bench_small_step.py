#!/usr/bin/env python3
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from bench_lib import (
    bench_parser,
    describe_machine,
    finish,
    interleaved_medians,
    synthetic_clips,
)
from tabulate import tabulate

from scdnet.cli import config_parser, run_command
from scdnet.config import Config
from scdnet.config_file import load_config
from scdnet.engine.device import disable_malloc_trim, seed_everything
from scdnet.engine.train.start import start_training
from scdnet.eval.features import encode
from scdnet.skeletons import NTU_25

WARM_UP = 3
# The instructions to a process that serves measurements.
WORKS = ("step", "evaluation")
OWN = "this checkout"


def make_works(config: Config) -> dict[str, Callable[[], object]]:
    """Return a training step and the encoding of a batch, views included, on noise."""
    torch.set_num_threads(1)
    disable_malloc_trim()
    seed_everything(0)
    device = torch.device("cpu")
    training = start_training(config, NTU_25, device)
    clips, batches = synthetic_clips(config, device)
    generator = torch.Generator().manual_seed(0)
    model = training.model
    objective = model.objective

    def step() -> None:
        model.train()
        views = clips.training_views(batches, generator, objective.tasks, latent=objective.hiding)
        training.step(*next(views))

    def evaluate() -> None:
        encode(model.query.encoder.eval(), next(clips.evaluation_views(batches)))

    return dict(zip(WORKS, (step, evaluate), strict=True))


def serve(config: Config) -> None:
    """Read names of works, one a line, and print the CPU seconds that each of them takes."""
    works = make_works(config)
    for line in sys.stdin:
        start = time.process_time()
        works[line.strip()]()
        print(time.process_time() - start, flush=True)


def start_server(checkout: Path) -> subprocess.Popen[str]:
    """Start this script with the modules of a checkout and the arguments of this process."""
    # The second checkout may be older than this script.
    code = (
        f"import sys; sys.path[:0] = [{str(checkout)!r}, {str(Path(__file__).parent)!r}]; "
        f"sys.argv = {[sys.argv[0], '--serve', *sys.argv[1:]]!r}; "
        "import bench_small_step; bench_small_step.main()"
    )
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def ask(server: subprocess.Popen[str], work: str) -> float:
    """Let a server do a work, and return the CPU seconds that it took."""
    assert server.stdin is not None and server.stdout is not None
    print(work, file=server.stdin, flush=True)
    return float(server.stdout.readline())


def main() -> None:
    """Measure the CPU seconds of a training step and of an evaluation batch, on one thread.

    With --against the same is measured with another checkout of this repository, interleaved.
    """
    parser = bench_parser(main.__doc__, rounds=15, make=config_parser)
    parser.add_argument("--against", type=Path, help="another checkout to compare with")
    parser.add_argument("--serve", action="store_true", help="answer on stdin; used by this script")
    args = parser.parse_intermixed_args()
    config = load_config(args.config, args.overrides)
    if args.serve:
        serve(config)
        return
    checkouts = {OWN: Path(__file__).parents[2]}
    if args.against is not None:
        checkouts[args.against.name] = args.against.resolve()
    servers = {name: start_server(path) for name, path in checkouts.items()}
    seconds: dict[str, dict[str, float]] = {}
    for work in WORKS:
        measurements = {name: partial(ask, server, work) for name, server in servers.items()}
        interleaved_medians(measurements, WARM_UP)
        seconds[work] = interleaved_medians(measurements, args.rounds)
    rows = [
        [name, work, 1e3 * value, value / seconds[work][OWN]]
        for work in WORKS
        for name, value in seconds[work].items()
    ]
    print(f"batch {config.data.batch_size}, {config.data.num_frames} frames, one thread")
    headers = ["", "", "CPU ms", "ratio to this checkout"]
    print(tabulate(rows, headers, floatfmt=("", "", ".1f", ".2f")))
    for server in servers.values():
        server.communicate()
    finish({"machine": describe_machine(), "seconds": seconds}, args.json)


if __name__ == "__main__":
    run_command(main)
