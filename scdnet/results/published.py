"""Numbers from the literature, to be shown beside ours."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from scdnet.results.record import Row
from scdnet.results.summary import Rows, Statistic, sort_rows

# What is not published, or could not be read, has no line.
FILE = Path(__file__).with_name("published.tsv")
# Methods of the paper that this project follows begin with this name.
OWN = "SCD-Net"


class PublishedNumber(NamedTuple):
    """A line of the file."""

    method: str
    # As in the rows of a summary.
    protocol: str
    dataset: str
    benchmark: str
    stream: str
    metric: str
    # Percent.
    value: float
    source: str


def read_published(path: Path = FILE) -> list[PublishedNumber]:
    """Read all numbers of the file."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t"))[1:]
    return [
        PublishedNumber(method, protocol, dataset, benchmark, stream, metric, float(value), source)
        for method, protocol, dataset, benchmark, stream, metric, value, source in lines
    ]


def add_published(
    rows: Rows, is_comparable: Callable[[Row], bool], *, all_methods: bool = False
) -> Rows:
    """Add what is published, by SCD-Net or by `all_methods`, below each row that `is_comparable`.

    Dataset, benchmark, protocol with its variant, stream and metric must be the same.
    """
    numbers = [
        number for number in read_published() if all_methods or number.method.split(" ")[0] == OWN
    ]
    added: Rows = {}
    for row, statistics in rows.items():
        for number in numbers if is_comparable(row) else ():
            same = (number.dataset, number.benchmark, number.protocol, number.stream)
            is_same = same == (row.dataset, row.benchmark, row.protocol, row.stream)
            if is_same and number.metric in statistics:
                beside = row._replace(encoder=number.method, epochs=None, source=number.source)
                added.setdefault(beside, {})[number.metric] = Statistic(number.value, None, 1)
    return sort_rows(rows | added)
