import argparse
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tqdm import tqdm

from scdnet.cli import command_parser
from scdnet.errors import ScdnetError
from scdnet.raw.worker_pool import default_workers
from scdnet.synthetic.dataset import SETUPS, SUBJECTS, DemoPlan, write_take


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    plan = DemoPlan()
    parser = command_parser("prepare demo", main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the .skeleton files")
    parser.add_argument(
        "--subjects",
        type=int,
        default=plan.subjects,
        help=f"people, 2 to {len(SUBJECTS)} (%(default)s)",
    )
    parser.add_argument(
        "--cameras", type=int, default=plan.cameras, help="cameras, 1 to 3 (%(default)s)"
    )
    parser.add_argument(
        "--setups", type=int, default=plan.setups, help="camera setups (%(default)s)"
    )
    parser.add_argument(
        "--replications", type=int, default=plan.replications, help="times each (%(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=plan.seed, help="of everything random (%(default)s)"
    )
    parser.add_argument(
        "--ideal", action="store_true", help="no sensor errors, nothing but the action: to look at"
    )
    parser.add_argument(
        "--workers", type=int, default=default_workers(), help="processes (%(default)s)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the .skeleton files of an earlier run"
    )
    return parser.parse_args(argv)


def check_plan(plan: DemoPlan) -> None:
    """Raises ScdnetError, naming the option whose value cannot be."""
    ranges = {
        "subjects": (2, len(SUBJECTS)),
        "cameras": (1, 3),
        "setups": (1, len(SETUPS)),
        "replications": (1, 999),
    }
    for option, (lowest, highest) in {**ranges, "seed": (0, 2**32 - 1)}.items():
        value = getattr(plan, option)
        if not lowest <= value <= highest:
            raise ScdnetError(f"--{option}: expected {lowest} to {highest}, got {value}")


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raises ScdnetError if `folder` may not be (re)placed: it exists, or holds what this command has not written."""
    if not folder.exists():
        return
    if not overwrite:
        raise ScdnetError(f"{folder} exists; give another --out, or --overwrite to replace it")
    foreign = (
        [path for path in folder.iterdir() if path.suffix != ".skeleton"]
        if folder.is_dir()
        else [folder]
    )
    if foreign:
        raise ScdnetError(
            f"{folder}: --overwrite replaces only a folder of .skeleton files, found {foreign[0].name}"
        )


def write_demo(folder: Path, plan: DemoPlan, *, workers: int) -> int:
    """Write all recordings of `plan` aside (`<folder>.tmp`) and rename; returns the number of files."""
    aside = folder.with_name(folder.name + ".tmp")
    check_folder(aside, overwrite=True)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    takes = list(plan.takes())
    with ProcessPoolExecutor(workers) as pool:
        written = pool.map(partial(write_take, aside, plan=plan), takes, chunksize=8)
        num_files = sum(tqdm(written, total=len(takes), unit="performance", desc="demo"))
    if folder.exists():
        shutil.rmtree(folder)
    aside.rename(folder)
    return num_files


def main(argv: Sequence[str] | None = None) -> None:
    """Make up recordings of people in motion: real .skeleton files under real NTU RGB+D names."""
    args = parse_arguments(argv)
    plan = DemoPlan(
        args.subjects, args.cameras, args.setups, args.replications, args.seed, args.ideal
    )
    check_plan(plan)
    if args.workers < 1:
        raise ScdnetError(f"--workers: expected 1 or more, got {args.workers}")
    check_folder(args.out, overwrite=args.overwrite)
    num_files = write_demo(args.out, plan, workers=args.workers)
    print(
        f"{num_files} recordings in {args.out}; next: data_prep/ntu_gendata.py --dataset ntu60 --raw {args.out}"
    )
