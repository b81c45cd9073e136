"""`scdnet prepare custom`: convert recordings of your own."""

from collections.abc import Sequence
from pathlib import Path

from scdnet.cli import command_parser
from scdnet.commands.capture import add_capture_arguments
from scdnet.raw.convert import add_arguments, check_output, convert, find_all
from scdnet.raw.custom.frames import make_capture
from scdnet.raw.custom.job import plan_job
from scdnet.raw.custom.readers import SUFFIXES


def main(argv: Sequence[str] | None = None) -> int:
    """Convert files of joint positions of your own to a sequence store."""
    parser = command_parser("prepare custom", main.__doc__)
    add_arguments(parser)
    add_capture_arguments(parser, is_required=True)
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help=".csv of names, labels, subjects and splits; without it, all are one class",
    )
    labels.add_argument(
        "--labels-from",
        choices=("folder",),
        help="the folder that contains a recording is its class",
    )
    parser.add_argument(
        "--dataset",
        default="custom",
        metavar="NAME",
        help="name of the dataset in the store (default %(default)s)",
    )
    args = parser.parse_args(argv)
    check_output(args.out, overwrite=args.overwrite)
    job = plan_job(
        list(find_all(args.raw, SUFFIXES)),
        dataset=args.dataset,
        capture=make_capture(
            layout=args.layout, skeleton=args.skeleton, unit=args.unit, up=args.up, to=args.to
        ),
        table_path=args.table,
        has_class_folders=args.labels_from == "folder",
    )
    return convert(job, args.out, num_workers=args.workers)
