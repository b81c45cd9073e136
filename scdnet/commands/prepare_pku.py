"""The command `scdnet prepare pku`."""

from collections.abc import Sequence

from scdnet.cli import command_parser
from scdnet.raw.convert import add_arguments, check_output, convert, find_all
from scdnet.raw.pku import SUFFIXES, plan_job, warn_of_missing_files
from scdnet.raw.pku_tree import PARTS, find_tree


def main(argv: Sequence[str] | None = None) -> int:
    """Cut the actions out of the videos of PKU-MMD, part I or II, and write them to a store."""
    parser = command_parser("prepare pku", main.__doc__)
    parser.add_argument("--dataset", choices=PARTS, required=True)
    add_arguments(parser)
    args = parser.parse_args(argv)
    check_output(args.out, overwrite=args.overwrite)
    tree = find_tree(find_all(args.raw, SUFFIXES), args.dataset)
    warn_of_missing_files(tree, args.dataset)
    job = plan_job(tree, args.dataset)
    return convert(job, args.out, num_workers=args.workers)
