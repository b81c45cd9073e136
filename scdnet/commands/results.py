from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scdnet.cli import command_parser
from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.raw.datasets import NTU_DATASETS
from scdnet.results.published import add_published
from scdnet.results.results_file import RESULTS, read_results
from scdnet.results.summary import Row, summarize
from scdnet.results.tables import FORMATS


def main(argv: Sequence[str] | None = None) -> None:
    """Print what evaluations have recorded, of many runs, with means over seeds and draws.

    Published numbers of SCD-Net stand beside a row whose test split has the published size.
    """
    parser = command_parser("results", main.__doc__)
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN_DIR", help=f"runs/<name>, or a {RESULTS}"
    )
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument(
        "--published",
        action="store_true",
        help="published numbers wherever the name of the data set is theirs",
    )
    parser.add_argument(
        "--all-methods", action="store_true", help="published numbers of other methods too"
    )
    args = parser.parse_args(argv)
    records = [record for path in args.runs for record in records_of(path)]
    if not records:
        raise ScdnetError(
            f"{', '.join(map(str, args.runs))}: no results there; the evaluations of a run write {RESULTS}"
        )
    rows, num_changed = summarize(records)
    is_comparable = (lambda row: True) if args.published else has_published_size
    print(FORMATS[args.format](add_published(rows, is_comparable, all_methods=args.all_methods)))
    if num_changed:
        log(
            f"recorded again with another value: {num_changed} of the numbers; what was recorded last counts"
        )


def records_of(path: Path) -> list[dict[str, Any]]:
    """The records of a run; of one that has none (among runs/*) that is said."""
    file = path / RESULTS if path.is_dir() else path
    if not path.exists():
        raise ScdnetError(f"{path}: no such folder or file")
    records = read_results(file)
    if not records:
        log(f"{path}: no results yet")
    return records


def has_published_size(row: Row) -> bool:
    """Whether the test split is as large as the literature's: made-up and filtered data sets carry the same names."""
    facts = NTU_DATASETS.get(row.dataset)
    size = facts and facts.sizes.get(row.benchmark)
    return size is not None and row.num_test == size.test
