#!/usr/bin/env python3
import json
import os
import re
import signal
import subprocess
import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import yaml
from pydantic import Field, ValidationError

from scdnet.cli import command_parser, run_command
from scdnet.config import Config, Section
from scdnet.config_file import dump_config, load_config
from scdnet.engine.logs import say
from scdnet.engine.run_dir import CONFIG, check_resumable
from scdnet.errors import ScdnetError
from scdnet.eval.summary_tables import FORMATS
from scdnet.files import written_aside

TOOLS = Path(__file__).parent
OWN = ("seed", "name", "label")  # keys of a run that the sweep sets, by its rows and seeds


class Sweep(Section):
    """A file of configs/sweeps."""

    config: Path  # from the folder of the file
    overrides: tuple[str, ...] = ()  # of all rows
    protocols: tuple[str, ...] = ("knn", "linear")
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    rows: dict[str, tuple[str, ...]] = Field(min_length=1)  # overrides by the label of the row


class Job(NamedTuple):
    """One pretraining and its evaluations."""

    arguments: list[str]  # of train.py and evaluate.py
    config: Config  # what they say

    @property
    def run_dir(self) -> Path:
        """Where it goes."""
        return self.config.run_dir

    @property
    def mark(self) -> Path:
        """The file that is written when it is done, with the config that it was done with."""
        return self.run_dir.with_name(self.run_dir.name + ".done")

    def is_done(self) -> bool:
        """Whether it has been done just so."""
        return self.mark.is_file() and self.mark.read_text(encoding="utf-8") == self.summary()

    def summary(self) -> str:
        """What is written there."""
        return json.dumps(dump_config(self.config))


def read_sweep(path: Path) -> Sweep:
    """Read a sweep. Raises ScdnetError naming what is wrong in it."""
    try:
        sweep = Sweep.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise ScdnetError(f"{path}: not a sweep ({error})") from None
    return sweep.model_copy(update={"config": path.parent / sweep.config})


def make_jobs(sweep: Sweep, name: str, overrides: Sequence[str]) -> list[Job]:
    """The jobs of a sweep, seed by seed.

    Raises ScdnetError, before any of them runs, for a row that is no config, or not that of its run so far.
    """
    for override in (*sweep.overrides, *chain(*sweep.rows.values()), *overrides):
        if override.partition("=")[0] in OWN:
            raise ScdnetError(f"{override}: rows and seeds of a sweep decide the {', '.join(OWN)} of its runs")
    jobs = []
    for seed in sweep.seeds:
        for label, own in sweep.rows.items():
            slug = re.sub(r"[^\w.+]+", "-", label).strip("-")
            values = [*sweep.overrides, *own, f"protocols=[{','.join(sweep.protocols)}]"]
            values += [
                f"label={json.dumps(label)}",
                f"seed={seed}",
                f"name={slug}_seed{seed}",
                f"runs_dir=runs/{name}",
                *overrides,
            ]
            config = load_config(sweep.config, values)
            if (before := config.run_dir / CONFIG).is_file():
                check_resumable(yaml.safe_load(before.read_text(encoding="utf-8")), config, before)
            jobs.append(Job(["-c", str(sweep.config), *values], config))
    folders = [job.run_dir for job in jobs]
    if len(set(folders)) < len(folders):
        raise ScdnetError(f"{name}: two rows have the same label, letters and digits apart")
    return jobs


def run_job(job: Job, devices: "SimpleQueue[str | None]", running: set[subprocess.Popen]) -> bool:
    """Train and evaluate, or what is left of it; what it prints goes to <run>.log. Returns whether it has succeeded.

    `running` holds the processes that are at work.
    """
    device = devices.get()
    environment = os.environ if device is None else {**os.environ, "CUDA_VISIBLE_DEVICES": device}
    log = job.run_dir.with_name(job.run_dir.name + ".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    # features of other weights, or of another level, have a file of their own
    features = job.run_dir / f"features_{job.config.optim.epochs}_{job.config.features}.h5"
    evaluation = ["--checkpoint", str(job.run_dir / "last.pt"), "--features", str(features)]
    commands = [["train.py", *job.arguments, "--resume"], ["evaluate.py", *job.arguments, *evaluation]]
    try:
        with log.open("a", encoding="utf-8") as file:
            for tool, *arguments in commands:
                command = [sys.executable, str(TOOLS / tool), *arguments]
                with subprocess.Popen(command, env=environment, stdout=file, stderr=file) as process:
                    running.add(process)
                    status = process.wait()
                running.discard(process)
                if status:
                    last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
                    say(f"{job.run_dir}: status {status}; {' '.join(last)} (all of it in {log})")
                    return False
    finally:
        devices.put(device)
    with written_aside(job.mark) as partial:
        partial.write_text(job.summary(), encoding="utf-8")
    say(f"{job.run_dir}: done")
    return True


def run_jobs(jobs: Sequence[Job], free: Sequence[str | None]) -> list[bool]:
    """Run what is not done yet, a job at a time on each of the devices that are `free`; which have succeeded.

    On SIGTERM or an interrupt the runs under way are told to stop, which they do with a checkpoint, and none is begun.
    """
    devices: SimpleQueue[str | None] = SimpleQueue()
    for device in free:
        devices.put(device)
    running: set[subprocess.Popen] = set()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as an interrupt
    with ThreadPoolExecutor(len(free)) as pool:
        results = [pool.submit(lambda job=job: job.is_done() or run_job(job, devices, running)) for job in jobs]
        try:
            return [result.result() for result in results]
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(running):
                process.terminate()
            raise


def gpu_list(text: str) -> list[str]:
    """The GPUs of `0,1,...`, by number or by name, as CUDA_VISIBLE_DEVICES takes them."""
    gpus = text.split(",")
    if not all(gpus):
        raise ArgumentTypeError(f"expected numbers with commas between them, found {text!r}")
    return gpus


def main(argv: Sequence[str] | None = None) -> int:
    """Pretrain and evaluate each row of a sweep with each seed, then print one table of them.

    What has been done is not done again: a sweep that was stopped goes on. A run that fails does not stop the others.
    """
    parser = command_parser(main.__doc__)
    parser.add_argument("sweep", type=Path, help="a file of configs/sweeps")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="config values, of all rows")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, default=1, metavar="N", help="so many runs at a time")
    where.add_argument("--gpus", type=gpu_list, metavar="I,J,...", help="a run at a time on each of these GPUs")
    parser.add_argument("--format", choices=FORMATS, default="text", help="of the table")
    args = parser.parse_intermixed_args(argv)
    if args.jobs < 1:
        raise ScdnetError(f"--jobs: expected 1 or more, found {args.jobs}")
    jobs = make_jobs(read_sweep(args.sweep), args.sweep.stem, args.overrides)
    succeeded = run_jobs(jobs, args.gpus or [None] * args.jobs)
    done = [str(job.run_dir) for job, well in zip(jobs, succeeded, strict=True) if well]
    if done:
        command = [sys.executable, str(TOOLS / "results.py"), *done, "--format", args.format]
        print(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout, end="")
    return 0 if all(succeeded) else 1


if __name__ == "__main__":
    run_command(main)
