"""Numbers from the literature, to stand beside ours."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from scdnet.results.summary import Row, Rows, Statistic, sort_rows

FILE = Path(__file__).with_name(
    "published.tsv"
)  # what is not published, or could not be read, has no line
OWN = "SCD-Net"  # its methods: the paper, and the authors' log


class PublishedNumber(NamedTuple):
    """A line of the file."""

    method: str
    protocol: str  # as in the rows of a summary
    dataset: str
    benchmark: str
    stream: str
    metric: str
    value: float  # percent
    source: str


def read_published(path: Path = FILE) -> list[PublishedNumber]:
    """All numbers of the file."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file, delimiter="\t")
        return [PublishedNumber(**{**line, "value": float(line["value"])}) for line in lines]


def add_published(
    rows: Rows, is_comparable: Callable[[Row], bool], *, all_methods: bool = False
) -> Rows:
    """`rows` and, below those that `is_comparable`, what is published for the same; of SCD-Net, or of `all_methods`.

    The same is data set, benchmark, protocol with its variant, stream and metric.
    """
    numbers = [
        number for number in read_published() if all_methods or number.method.split(" ")[0] == OWN
    ]
    added: Rows = {}
    for row, statistics in rows.items():
        for number in numbers if is_comparable(row) else ():
            same = (number.dataset, number.benchmark, number.protocol, number.stream)
            if (
                same == (row.dataset, row.benchmark, row.protocol, row.stream)
                and number.metric in statistics
            ):
                beside = row._replace(encoder=number.method, epochs=None, source=number.source)
                added.setdefault(beside, {})[number.metric] = Statistic(number.value, None, 1)
    return sort_rows(rows | added)
