"""`scdnet sweep`: pretrain and evaluate every row of a table with every seed."""

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
from threading import Event
from typing import Annotated, NamedTuple

import yaml
from pydantic import Field, ValidationError

from scdnet.cli import command_parser
from scdnet.commands.results import main as print_results
from scdnet.config import Config, Distinct, Section
from scdnet.config_file import dump_config, find_config, load_config, merge_layers
from scdnet.engine.logs import log
from scdnet.engine.run.directory import CONFIG, check_same_run
from scdnet.errors import ScdnetError
from scdnet.files import atomic_write
from scdnet.raw.convert import positive_int
from scdnet.raw.worker_pool import usable_cores
from scdnet.results.results_file import RESULTS
from scdnet.results.tables import FORMATS

# Keys of a run that the rows and seeds of its sweep determine.
OWN_KEYS = ("seed", "name", "display_name")
# A file in the run directory that contains the config with which the job was completed.
COMPLETED = "done.json"


class Sweep(Section):
    """A file of configs/sweeps."""

    # Relative to the directory of the file.
    config: Path
    # Overrides of all rows.
    overrides: tuple[str, ...] = ()
    protocols: Annotated[tuple[str, ...], Field(min_length=1)] = ("knn", "linear")
    seeds: Annotated[tuple[int, ...], Distinct] = (0, 1, 2)
    # Overrides by the display name of the row.
    rows: dict[str, tuple[str, ...]] = Field(min_length=1)


def read_sweep(path: Path) -> Sweep:
    """Read a sweep. Raises ScdnetError, which names what is wrong in it."""
    try:
        sweep = Sweep.model_validate(yaml.safe_load(path.read_bytes()))
    except yaml.YAMLError as error:
        raise ScdnetError(f"{path}: not a sweep ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "not a sweep"
        raise ScdnetError(f"{path}: {key}: {first['msg']}, found {first['input']!r}") from None
    return sweep.model_copy(update={"config": path.parent / sweep.config})


class Job(NamedTuple):
    """One pretraining and its evaluations."""

    # The arguments of `scdnet train` and `scdnet evaluate`.
    arguments: list[str]
    # The config that these arguments resolve to.
    config: Config

    @property
    def run_dir(self) -> Path:
        """Return the directory of the run."""
        return self.config.run_dir

    def commands(self) -> list[list[str]]:
        """Return the commands of the job, in order; each one resumes or skips what exists."""
        # Features of other weights, or of another level, have a file of their own.
        optim = self.config.optim
        length = optim.epochs if optim.steps is None else f"{optim.steps}_steps"
        features = self.run_dir / f"features_{length}_level{self.config.feature_level}.h5"
        checkpoint = ["--checkpoint", str(self.run_dir / "last.pt"), "--features", str(features)]
        return [
            [sys.executable, "-m", "scdnet", "train", *self.arguments, "--resume"],
            [sys.executable, "-m", "scdnet", "evaluate", *self.arguments, *checkpoint],
        ]

    def is_done(self) -> bool:
        """Check whether the job was completed with exactly this config."""
        path = self.run_dir / COMPLETED
        is_complete = path.is_file() and (self.run_dir / RESULTS).is_file()
        return is_complete and path.read_text(encoding="utf-8") == self._summary()

    def mark_done(self) -> None:
        """Record that the job was completed."""
        with atomic_write(self.run_dir / COMPLETED) as partial:
            partial.write_text(self._summary(), encoding="utf-8")

    def _summary(self) -> str:
        return json.dumps(dump_config(self.config))


class Runner:
    """Runs jobs, one at a time on each of its devices; their output goes to <run>.log.

    A device is a GPU, as CUDA_VISIBLE_DEVICES takes it; None: the device of the config.
    """

    def __init__(self, devices: Sequence[str | None]) -> None:
        self._num_devices = len(devices)
        self._free: SimpleQueue[str | None] = SimpleQueue()
        for device in devices:
            self._free.put(device)
        self._running: set[subprocess.Popen] = set()
        self._stopped = Event()

    def run(self, jobs: Sequence[Job]) -> list[bool]:
        """Run the jobs that are not complete yet; return which ones are complete.

        On SIGTERM or an interrupt the running processes are told to stop, which they do with a
        checkpoint, and no other job starts.
        """
        # SIGTERM acts as an interrupt.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with ThreadPoolExecutor(self._num_devices) as pool:
            try:
                return list(pool.map(self._run_job, jobs))
            except KeyboardInterrupt:
                # A second signal must not disturb the processes while they save.
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                self._stopped.set()
                for process in set(self._running):
                    process.terminate()
                raise

    def _run_job(self, job: Job) -> bool:
        if job.is_done():
            return True
        device = self._free.get()
        try:
            if not all(self._succeeds(command, job, device) for command in job.commands()):
                return False
            job.mark_done()
            log(f"{job.run_dir}: done")
            return True
        # A full disk need not stop other runs: they may write elsewhere, or find space later.
        except OSError as error:
            log(f"{job.run_dir}: {error}")
            return False
        finally:
            self._free.put(device)

    def _succeeds(self, command: list[str], job: Job, device: str | None) -> bool:
        """Run a command, unless the sweep was stopped; return whether it succeeded."""
        if self._stopped.is_set():
            return False
        # Several processes at a time share the cores, unless the environment says otherwise.
        num_threads = max(1, usable_cores() // self._num_devices)
        shared = {"OMP_NUM_THREADS": str(num_threads)} if self._num_devices > 1 else {}
        gpu = {} if device is None else {"CUDA_VISIBLE_DEVICES": device}
        path = job.run_dir.with_name(job.run_dir.name + ".log")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            process = subprocess.Popen(
                command, env=shared | os.environ | gpu, stdout=file, stderr=file
            )
            self._running.add(process)
            # A stop since the first look has not seen this process.
            if self._stopped.is_set():
                process.terminate()
            status = process.wait()
            self._running.discard(process)
        if status:
            last = path.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
            log(f"{job.run_dir}: status {status}; {' '.join(last)} (full log: {path})")
        return status == 0


def make_jobs(sweep: Sweep, name: str, overrides: Sequence[str]) -> list[Job]:
    """Make the jobs of a sweep, seed by seed.

    Raises ScdnetError, before any of them runs, if a row is not a valid config, or differs from the
    config of its existing run.
    """
    for override in (*sweep.overrides, *chain(*sweep.rows.values()), *overrides):
        if override.partition("=")[0] in OWN_KEYS:
            raise ScdnetError(
                f"{override}: rows and seeds of a sweep determine the {', '.join(OWN_KEYS)} "
                "of its runs"
            )
    jobs = []
    for seed in sweep.seeds:
        for display_name, own in sweep.rows.items():
            slug = re.sub(r"[^\w.+]+", "-", display_name).strip("-")
            identity = [
                f"runs_dir=runs/{name}",
                f"protocols=[{','.join(sweep.protocols)}]",
                f"display_name={json.dumps(display_name, ensure_ascii=False)}",
                f"seed={seed}",
                f"name={slug}_seed{seed}",
            ]
            values = merge_layers(identity, sweep.overrides, own, overrides)
            config = load_config(sweep.config, values)
            if (config.run_dir / CONFIG).is_file():
                check_same_run(config)
            jobs.append(Job(["-c", str(sweep.config), *values], config))
    if len({job.run_dir for job in jobs}) < len(jobs):
        raise ScdnetError(
            f"{name}: two rows map to the same run name; they must differ in more than punctuation"
        )
    return jobs


def gpu_list(text: str) -> list[str]:
    """Parse `0,1,...`: GPUs by number or name, as CUDA_VISIBLE_DEVICES takes them."""
    gpus = text.split(",")
    if not all(gpus):
        raise ArgumentTypeError(f"expected comma-separated numbers, found {text!r}")
    return gpus


def main(argv: Sequence[str] | None = None) -> int:
    """Pretrain and evaluate each row of a sweep with each seed, then print one table of them.

    What is complete is skipped, so a sweep that was stopped can be repeated. A run that fails does
    not stop the others.
    """
    parser = command_parser("sweep", main.__doc__)
    parser.add_argument(
        "sweep", type=Path, help="a YAML file, or the name of a sweep of the package, e.g. methods"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="config values for all rows"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--jobs",
        type=positive_int,
        default=1,
        metavar="N",
        help="number of runs at a time; default: 1",
    )
    where.add_argument(
        "--gpus", type=gpu_list, metavar="I,J,...", help="one run at a time on each of these GPUs"
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="format of the table")
    args = parser.parse_intermixed_args(argv)
    path = find_config(args.sweep, group="sweeps")
    jobs = make_jobs(read_sweep(path), path.stem, args.overrides)
    succeeded = Runner(args.gpus or [None] * args.jobs).run(jobs)
    complete = [str(job.run_dir) for job, is_done in zip(jobs, succeeded, strict=True) if is_done]
    if complete:
        print_results([*complete, "--format", args.format])
    return 0 if all(succeeded) else 1
