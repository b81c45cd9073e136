"""`scdnet prepare import`: convert files that others have processed already."""

from collections.abc import Sequence
from pathlib import Path

from scdnet.cli import command_parser
from scdnet.raw.convert import add_arguments, check_output, convert
from scdnet.raw.ready_made.formats import FORMATS, open_format
from scdnet.raw.ready_made.plan import plan_job
from scdnet.raw.ready_made.scratch import Scratch
from scdnet.skeletons import NTU_25


def main(argv: Sequence[str] | None = None) -> int:
    """Convert files that other projects' preprocessing has written to a sequence store."""
    parser = command_parser("prepare import", main.__doc__)
    parser.add_argument(
        "--format", choices=FORMATS, required=True, help="the project whose files these are"
    )
    add_arguments(parser)
    parser.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="text file of recording names, for files that have none (skes_available_name.txt)",
    )
    parser.add_argument("--to", choices=(NTU_25.name,), help="map the joints to another skeleton")
    args = parser.parse_args(argv)
    check_output(args.out, overwrite=args.overwrite)
    with Scratch(args.out) as scratch:
        ready_made = open_format(args.format, args.raw, scratch, names=args.names)
        job = plan_job(ready_made, to=args.to)
        return convert(job, args.out, num_workers=args.workers)
