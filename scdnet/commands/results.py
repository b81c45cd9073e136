"""`scdnet results`: tabulate the results of many runs."""

from collections.abc import Sequence
from pathlib import Path

from scdnet.cli import command_parser
from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.raw.datasets import NTU_DATASETS
from scdnet.results.published import add_published
from scdnet.results.record import Result, Row
from scdnet.results.results_file import RESULTS, read_results
from scdnet.results.summary import summarize
from scdnet.results.tables import FORMATS


def main(argv: Sequence[str] | None = None) -> None:
    """Tabulate what the evaluations of many runs have recorded, with means over seeds and subsets.

    Published numbers of SCD-Net are shown beside a row whose test split has the published size.
    """
    parser = command_parser("results", main.__doc__)
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN_DIR", help=f"runs/<name>, or a {RESULTS}"
    )
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument(
        "--published",
        action="store_true",
        help="show published numbers wherever the name of the dataset matches",
    )
    parser.add_argument(
        "--all-methods", action="store_true", help="show published numbers of other methods too"
    )
    args = parser.parse_args(argv)
    results = [result for path in args.runs for result in read_run(path)]
    if not results:
        runs = ", ".join(map(str, args.runs))
        raise ScdnetError(f"{runs}: no results; the evaluations of a run write {RESULTS}")
    print_tables(
        results,
        args.format,
        published=args.published,
        all_methods=args.all_methods,
    )


def print_tables(
    results: Sequence[Result],
    style: str,
    *,
    published: bool = False,
    all_methods: bool = False,
    notes: Sequence[str] = (),
) -> None:
    """Print the tables of results in the format `style`; `notes` follow them."""
    rows, num_changed = summarize(results)

    def is_comparable(row: Row) -> bool:
        return published or has_published_size(row)

    print(FORMATS[style](add_published(rows, is_comparable, all_methods=all_methods), notes))
    if num_changed:
        log(f"{num_changed} numbers were recorded again with another value; the latest ones count")


def read_run(path: Path) -> list[Result]:
    """Read the results of a run directory or file, and log if there are none, as among runs/*."""
    if not path.exists():
        raise ScdnetError(f"{path}: no such directory or file")
    results = read_results(path / RESULTS if path.is_dir() else path)
    if not results:
        log(f"{path}: no results yet")
    return results


def has_published_size(row: Row) -> bool:
    """Check whether the test split is as large as in the literature.

    Synthetic and filtered datasets have the same names.
    """
    sizes = NTU_DATASETS[row.dataset].sizes if row.dataset in NTU_DATASETS else {}
    return row.benchmark in sizes and row.num_test == sizes[row.benchmark].test
