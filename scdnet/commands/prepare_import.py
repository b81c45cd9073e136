"""`scdnet prepare import`: convert files that others have processed already."""

from collections.abc import Sequence
from pathlib import Path

from scdnet.cli import command_parser
from scdnet.commands.capture import add_target_argument
from scdnet.raw.convert import add_arguments, check_output, convert
from scdnet.raw.ready_made.formats import FORMATS, open_format
from scdnet.raw.ready_made.plan import plan_job
from scdnet.raw.ready_made.scratch import Scratch


def main(argv: Sequence[str] | None = None) -> int:
    """Convert files that other projects' preprocessing has written to a sequence store."""
    parser = command_parser("prepare import", main.__doc__)
    parser.add_argument(
        "--format",
        choices=FORMATS,
        required=True,
        help="the kind of the files, named after a project that uses it",
    )
    add_arguments(parser)
    parser.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="list of recordings, for files without names: CTR-GCN's skes_available_name.txt",
    )
    add_target_argument(parser)
    args = parser.parse_args(argv)
    check_output(args.out, overwrite=args.overwrite)
    with Scratch(args.out) as scratch:
        ready_made = open_format(args.format, args.raw, scratch, names=args.names)
        job = plan_job(ready_made, to=args.to)
        return convert(job, args.out, num_workers=args.workers)
