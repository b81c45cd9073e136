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
from scdnet.commands.results import main as print_results
from scdnet.commands.sweep_jobs import Job, Runner
from scdnet.config import Distinct, Section
from scdnet.config_file import find_config, load_config
from scdnet.engine.run.directory import CONFIG, check_same_run
from scdnet.errors import ScdnetError
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
            values = [
                f"runs_dir=runs/{name}",
                f"protocols=[{','.join(sweep.protocols)}]",
                *sweep.overrides,
                *own,
                f"display_name={json.dumps(display_name, ensure_ascii=False)}",
                f"seed={seed}",
                f"name={slug}_seed{seed}",
                *overrides,
            ]
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
        "--jobs", type=int, default=1, metavar="N", help="number of runs at a time; default: 1"
    )
    where.add_argument(
        "--gpus", type=gpu_list, metavar="I,J,...", help="one run at a time on each of these GPUs"
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="format of the table")
    args = parser.parse_intermixed_args(argv)
    if args.jobs < 1:
        raise ScdnetError(f"--jobs: expected 1 or more, found {args.jobs}")
    path = find_config(args.sweep, group="sweeps")
    jobs = make_jobs(read_sweep(path), path.stem, args.overrides)
    succeeded = Runner(args.gpus or [None] * args.jobs).run(jobs)
    complete = [str(job.run_dir) for job, is_done in zip(jobs, succeeded, strict=True) if is_done]
    if complete:
        print_results([*complete, "--format", args.format])
    return 0 if all(succeeded) else 1
