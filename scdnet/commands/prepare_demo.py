"""`scdnet prepare demo`: write synthetic recordings."""

import argparse
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from scdnet.cli import command_parser
from scdnet.errors import ScdnetError
from scdnet.raw.worker_pool import default_workers, map_ordered
from scdnet.synthetic.dataset import SETUPS, SUBJECTS, DemoPlan, write_take


class Size(NamedTuple):
    """The meaning and the range of a number of DemoPlan."""

    meaning: str
    lowest: int
    highest: int


SIZES = {
    "subjects": Size("people", 2, len(SUBJECTS)),
    "cameras": Size("cameras", 1, 3),
    "setups": Size("camera setups", 1, len(SETUPS)),
    "replications": Size("takes of each action in each setup", 1, 999),
    "seed": Size("seed of the recordings", 0, 2**32 - 1),
}


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """Add an option for each of SIZES."""
    for name, size in SIZES.items():
        parser.add_argument(
            f"--{name}",
            type=int,
            default=DemoPlan._field_defaults[name],
            help=f"{size.meaning}, {size.lowest} to {size.highest} (default: %(default)s)",
        )


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser("prepare demo", main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory for .skeleton files")
    add_sizes(parser)
    parser.add_argument(
        "--ideal", action="store_true", help="no sensor errors and no rest before the action"
    )
    parser.add_argument(
        "--workers", type=int, default=default_workers(), help="processes (default: %(default)s)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the .skeleton files of an earlier call"
    )
    return parser.parse_args(argv)


def make_plan(args: argparse.Namespace) -> DemoPlan:
    """Return the plan that the arguments describe. Raises ScdnetError for a number out of range."""
    for name, size in SIZES.items():
        value = getattr(args, name)
        if not size.lowest <= value <= size.highest:
            raise ScdnetError(f"--{name}: expected {size.lowest} to {size.highest}, got {value}")
    return DemoPlan(**{name: getattr(args, name) for name in SIZES}, ideal=args.ideal)


def check_directory(directory: Path, *, overwrite: bool) -> None:
    """Raise ScdnetError if `directory` must not be replaced.

    It may be absent or, with `overwrite`, contain .skeleton files only.
    """
    if not directory.exists():
        return
    if not overwrite:
        raise ScdnetError(f"{directory} exists; choose another --out, or replace it by --overwrite")
    content = directory.iterdir() if directory.is_dir() else [directory]
    foreign = next((path for path in content if path.suffix != ".skeleton"), None)
    if foreign:
        raise ScdnetError(
            f"{directory}: --overwrite replaces only a directory of .skeleton files, "
            f"found {foreign.name}"
        )


def write_demo(directory: Path, plan: DemoPlan, *, num_workers: int) -> int:
    """Write all recordings of `plan` to <directory>.tmp and rename it; returns their number."""
    partial_directory = directory.with_name(directory.name + ".tmp")
    check_directory(partial_directory, overwrite=True)
    shutil.rmtree(partial_directory, ignore_errors=True)
    partial_directory.mkdir(parents=True)
    takes = list(plan.takes())
    write = partial(write_take, partial_directory, plan=plan)
    written = map_ordered(write, takes, num_workers=num_workers)
    num_files = sum(tqdm(written, total=len(takes), unit="performance", desc="demo"))
    if directory.exists():
        shutil.rmtree(directory)
    partial_directory.rename(directory)
    return num_files


def main(argv: Sequence[str] | None = None) -> None:
    """Write synthetic recordings of people in motion, as .skeleton files with NTU RGB+D names."""
    args = parse_arguments(argv)
    plan = make_plan(args)
    if args.workers < 1:
        raise ScdnetError(f"--workers: expected 1 or more, got {args.workers}")
    check_directory(args.out, overwrite=args.overwrite)
    num_files = write_demo(args.out, plan, num_workers=args.workers)
    print(
        f"Wrote {num_files} recordings to {args.out}; "
        f"convert them with: scdnet prepare ntu --dataset ntu60 --raw {args.out} --out STORE"
    )
