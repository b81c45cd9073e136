"""`scdnet sweep`: pretrain and evaluate every row of a table with every seed."""

import json
import re
from argparse import ArgumentTypeError
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from scdnet.cli import command_parser
from scdnet.commands.kept_runs import (
    KeptRuns,
    Outcome,
    describe_cpu_seconds,
    read_cpu_seconds,
)
from scdnet.commands.results import print_tables, read_run
from scdnet.commands.sweep_runner import Job, Runner
from scdnet.config import Distinct, Section
from scdnet.config_file import find_config, load_config, merge_layers
from scdnet.engine.logs import log
from scdnet.engine.run.directory import CONFIG, check_same_run
from scdnet.errors import ScdnetError
from scdnet.files import check_writable
from scdnet.raw.convert import positive_int
from scdnet.results.results_file import RESULTS
from scdnet.results.tables import FORMATS

# Keys of a run that the rows and seeds of its sweep determine.
OWN_KEYS = ("seed", "name", "display_name")


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


def make_jobs(sweep: Sweep, name: str, overrides: Sequence[str]) -> list[Job]:
    """Make the jobs of a sweep, seed by seed.

    Raises ScdnetError if a row is not a valid config.
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
            jobs.append(Job(["-c", str(sweep.config), *values], config))
    if len({job.run_dir for job in jobs}) < len(jobs):
        raise ScdnetError(
            f"{name}: two rows map to the same run name; they must differ in more than punctuation"
        )
    return jobs


def check_runs(jobs: Sequence[Job]) -> None:
    """Raise ScdnetError if the existing run of a job has another config or other data."""
    for job in jobs:
        if (job.run_dir / CONFIG).is_file():
            check_same_run(job.config)


def gpu_list(text: str) -> list[str]:
    """Parse `0,1,...`: GPUs by number or name, as CUDA_VISIBLE_DEVICES takes them."""
    gpus = text.split(",")
    if not all(gpus):
        raise ArgumentTypeError(f"expected comma-separated numbers, found {text!r}")
    return gpus


def main(argv: Sequence[str] | None = None) -> int:
    """Pretrain and evaluate each row of a sweep with each seed, then print one table of them.

    What is complete is skipped, so a sweep that was stopped can be repeated, with --keep on another
    machine. A run that fails does not stop the others.
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
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FILE",
        help="a jsonl file: add what finished runs have measured, and skip runs that it contains",
    )
    args = parser.parse_intermixed_args(argv)
    path = find_config(args.sweep, group="sweeps")
    jobs = make_jobs(read_sweep(path), path.stem, args.overrides)
    kept = KeptRuns(args.keep) if args.keep else None
    missing = select_missing(jobs, kept)
    check_writable(*(path for job in missing for path in (job.run_dir / RESULTS, job.log_path)))
    check_runs(missing)
    succeeded = Runner(args.gpus or [None] * args.jobs, kept).run(missing)
    failed = {job.run_dir for job, is_done in zip(missing, succeeded, strict=True) if not is_done}
    complete = [job for job in jobs if job.run_dir not in failed]
    if complete:
        print_outcomes(complete, kept, args.format)
    return 1 if failed else 0


def select_missing(jobs: Sequence[Job], kept: KeptRuns | None) -> list[Job]:
    """Return the jobs that the file of `kept` does not contain; they can be added to it."""
    if kept is None:
        return list(jobs)
    missing = [job for job in jobs if kept.find(job.config) is None]
    if missing:
        kept.check_writable()
    if len(missing) < len(jobs):
        log(f"{kept.path}: contains {len(jobs) - len(missing)} of {len(jobs)} runs, skipping them.")
    return missing


def print_outcomes(jobs: Sequence[Job], kept: KeptRuns | None, style: str) -> None:
    """Print the tables of complete jobs in the format `style`, and the time that they took."""
    results = []
    cpu_seconds: dict[str, list[float | None]] = {}
    for job in jobs:
        outcome = read_outcome(job) if kept is None else kept.outcome(job.config)
        results += outcome.results
        cpu_seconds.setdefault(job.config.display_name, []).append(outcome.train_cpu_seconds)
    if not results:
        raise ScdnetError(f"{jobs[0].run_dir.parent}: no results; delete its runs to repeat them")
    print_tables(results, style, notes=describe_cpu_seconds(cpu_seconds))


def read_outcome(job: Job) -> Outcome:
    """Return what the run directory of a complete job contains."""
    return Outcome(read_run(job.run_dir), read_cpu_seconds(job.run_dir))
