"""The command `scdnet prepare ntu`."""

from collections.abc import Sequence
from pathlib import Path

from scdnet.cli import command_parser
from scdnet.raw.convert import add_arguments, check_output, convert, find_all
from scdnet.raw.datasets import NTU_DATASETS, missing_names
from scdnet.raw.ntu import SUFFIX, plan_job, read_missing_list


def main(argv: Sequence[str] | None = None) -> int:
    """Convert the `.skeleton` files of NTU RGB+D, in folders or the published zips, to a store."""
    parser = command_parser("prepare ntu", main.__doc__)
    parser.add_argument("--dataset", choices=NTU_DATASETS, required=True)
    add_arguments(parser)
    parser.add_argument(
        "--missing-list",
        type=Path,
        metavar="FILE",
        help="text file of recordings to skip, instead of the published list",
    )
    args = parser.parse_args(argv)
    check_output(args.out, overwrite=args.overwrite)
    given = args.missing_list
    missing = read_missing_list(given) if given else missing_names(args.dataset)
    job = plan_job(find_all(args.raw, (SUFFIX,)), args.dataset, missing)
    return convert(job, args.out, num_workers=args.workers)
