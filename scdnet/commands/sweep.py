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
from scdnet.config_file import load_config
from scdnet.engine.run.directory import CONFIG, check_same_run
from scdnet.errors import ScdnetError
from scdnet.results.tables import FORMATS

OWN = ("seed", "name", "display_name")  # keys of a run that the sweep sets, by its rows and seeds


class Sweep(Section):
    """A file of configs/sweeps."""

    config: Path  # from the folder of the file
    overrides: tuple[str, ...] = ()  # of all rows
    protocols: tuple[str, ...] = Field(("knn", "linear"), min_length=1)
    seeds: Annotated[tuple[int, ...], Distinct] = (0, 1, 2)
    rows: dict[str, tuple[str, ...]] = Field(min_length=1)  # overrides by the label of the row


def read_sweep(path: Path) -> Sweep:
    """Read a sweep. Raises ScdnetError naming what is wrong in it."""
    try:
        sweep = Sweep.model_validate(yaml.safe_load(path.read_bytes()))
    except yaml.YAMLError as error:
        raise ScdnetError(f"{path}: not a sweep ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ScdnetError(
            f"{path}: {key or 'not a sweep'}: {first['msg']}, found {first['input']!r}"
        ) from None
    return sweep.model_copy(update={"config": path.parent / sweep.config})


def make_jobs(sweep: Sweep, name: str, overrides: Sequence[str]) -> list[Job]:
    """The jobs of a sweep, seed by seed.

    Raises ScdnetError, before any of them runs, for a row that is no config, or not that of its run so far.
    """
    for override in (*sweep.overrides, *chain(*sweep.rows.values()), *overrides):
        if override.partition("=")[0] in OWN:
            raise ScdnetError(
                f"{override}: rows and seeds of a sweep decide the {', '.join(OWN)} of its runs"
            )
    jobs = []
    for seed in sweep.seeds:
        for label, own in sweep.rows.items():
            slug = re.sub(r"[^\w.+]+", "-", label).strip("-")
            values = [
                f"runs_dir=runs/{name}",
                f"protocols=[{','.join(sweep.protocols)}]",
                *sweep.overrides,
                *own,
                f"display_name={json.dumps(label, ensure_ascii=False)}",
                f"seed={seed}",
                f"name={slug}_seed{seed}",
                *overrides,
            ]
            config = load_config(sweep.config, values)
            if (config.run_dir / CONFIG).is_file():
                check_same_run(config)
            jobs.append(Job(["-c", str(sweep.config), *values], config))
    folders = [job.run_dir for job in jobs]
    if len(set(folders)) < len(folders):
        raise ScdnetError(f"{name}: two rows have the same label, letters and digits apart")
    return jobs


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
    parser = command_parser("sweep", main.__doc__)
    parser.add_argument("sweep", type=Path, help="a file of configs/sweeps")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="config values, of all rows"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, default=1, metavar="N", help="so many runs at a time")
    where.add_argument(
        "--gpus", type=gpu_list, metavar="I,J,...", help="a run at a time on each of these GPUs"
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="of the table")
    args = parser.parse_intermixed_args(argv)
    if args.jobs < 1:
        raise ScdnetError(f"--jobs: expected 1 or more, found {args.jobs}")
    jobs = make_jobs(read_sweep(args.sweep), args.sweep.stem, args.overrides)
    succeeded = Runner(args.gpus or [None] * args.jobs).run(jobs)
    done = [str(job.run_dir) for job, well in zip(jobs, succeeded, strict=True) if well]
    if done:
        print_results([*done, "--format", args.format])
    return 0 if all(succeeded) else 1
