"""`scdnet prepare demo`: write synthetic recordings."""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from scdnet.cli import command_parser
from scdnet.errors import ScdnetError
from scdnet.files import PARTIAL, atomic_directory, check_directory_of
from scdnet.raw.convert import add_workers
from scdnet.raw.worker_pool import map_ordered
from scdnet.synthetic.dataset import SETUPS, SUBJECTS, DemoPlan, write_take

# Meaning and range of the numbers of DemoPlan.
SIZES = {
    "subjects": ("people", range(2, len(SUBJECTS) + 1)),
    "cameras": ("cameras", range(1, 4)),
    "setups": ("camera setups", range(1, len(SETUPS) + 1)),
    "replications": ("takes of each action in each setup", range(1, 1000)),
    "seed": ("seed of the recordings", range(2**32)),
}


def add_sizes(
    parser: argparse.ArgumentParser,
    sizes: Mapping[str, tuple[str, range]] = SIZES,
    *,
    defaults: Mapping[str, object] = DemoPlan._field_defaults,
) -> None:
    """Add an option for each of the sizes, which have a meaning and a range."""
    for name, (meaning, allowed) in sizes.items():
        parser.add_argument(
            f"--{name}",
            type=partial(parse_size, allowed=allowed),
            default=defaults[name],
            help=f"{meaning}, {allowed[0]} to {allowed[-1]} (default: %(default)s)",
        )


def parse_size(text: str, *, allowed: range) -> int:
    """Parse a whole number in a range."""
    if not text.isdecimal() or int(text) not in allowed:
        raise argparse.ArgumentTypeError(f"expected {allowed[0]} to {allowed[-1]}, found {text}")
    return int(text)


def check_directory(directory: Path, *, overwrite: bool) -> None:
    """Raise ScdnetError if `directory` must not be replaced.

    It may be absent or, with `overwrite`, contain .skeleton files only.
    """
    if directory.exists() and not overwrite:
        raise ScdnetError(f"{directory} exists; choose another --out, or replace it by --overwrite")
    content = [directory] if directory.is_file() else directory.glob("*")
    for foreign in (path for path in content if path.suffix != ".skeleton"):
        raise ScdnetError(
            f"{directory}: --overwrite replaces only a directory of .skeleton files, "
            f"found {foreign.name}"
        )
    check_directory_of(directory)
    if directory.is_dir():
        check_directory_of(directory / "any")


def write_demo(directory: Path, plan: DemoPlan, *, num_workers: int) -> int:
    """Write all recordings of `plan` to <directory>.tmp and rename it; returns their number."""
    check_directory(directory.with_name(directory.name + PARTIAL), overwrite=True)
    takes = list(plan.takes())
    with atomic_directory(directory) as partial_directory:
        write = partial(write_take, partial_directory, plan=plan)
        written = map_ordered(write, takes, num_workers=num_workers)
        return sum(tqdm(written, total=len(takes), unit="performance", desc="demo"))


def main(argv: Sequence[str] | None = None) -> None:
    """Write synthetic recordings of people in motion, as .skeleton files with NTU RGB+D names."""
    parser = command_parser("prepare demo", main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory for .skeleton files")
    add_sizes(parser)
    parser.add_argument(
        "--ideal", action="store_true", help="no sensor errors and no rest before the action"
    )
    add_workers(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the .skeleton files of an earlier call"
    )
    args = parser.parse_args(argv)
    plan = DemoPlan(**{name: getattr(args, name) for name in SIZES}, ideal=args.ideal)
    check_directory(args.out, overwrite=args.overwrite)
    num_files = write_demo(args.out, plan, num_workers=args.workers)
    print(
        f"Wrote {num_files} recordings to {args.out}; "
        f"convert them with: scdnet prepare ntu --dataset ntu60 --raw {args.out} --out STORE"
    )
