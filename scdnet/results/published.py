"""Numbers from the literature, to be shown beside ours."""

import csv
from collections.abc import Callable
from pathlib import Path

from scdnet.results.record import Row
from scdnet.results.summary import Rows, Statistic, sort_rows

# Numbers that are not published, or could not be read, have no line.
FILE = Path(__file__).with_name("published.tsv")
# Methods of the paper that this project follows begin with this name.
OWN = "SCD-Net"
# The columns of a row and of the file that must be equal.
IDENTITY = ("dataset", "benchmark", "protocol", "stream")


def read_published(path: Path = FILE) -> list[dict[str, str]]:
    """Read the lines of the file, by the names of its columns."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def add_published(
    rows: Rows, is_comparable: Callable[[Row], bool], *, all_methods: bool = False
) -> Rows:
    """Add what is published, by SCD-Net or by `all_methods`, below each row that `is_comparable`.

    Dataset, benchmark, protocol with its variant, stream and metric must be the same.
    """
    numbers = [
        number
        for number in read_published()
        if all_methods or number["method"].split(" ")[0] == OWN
    ]
    added: Rows = {}
    for row, statistics in rows.items():
        for number in numbers if is_comparable(row) else ():
            metric = number["metric"]
            is_same = all(number[key] == getattr(row, key) for key in IDENTITY)
            if is_same and metric in statistics:
                beside = row._replace(
                    encoder=number["method"], epochs=None, source=number["source"]
                )
                added.setdefault(beside, {})[metric] = Statistic(float(number["value"]), None, 1)
    return sort_rows(rows | added)
