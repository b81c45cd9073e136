"""Results as tables: plain text, Markdown or CSV."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from tabulate import tabulate

from scdnet.results.record import Row
from scdnet.results.scores import BEST_ON_TEST
from scdnet.results.summary import Rows, Statistic

# Metrics that are shown side by side; recall@1 equals knn@1.
KINDS = (
    ("knn@1", "knn@5", "knn@10", "knn@20", "recall@5", "recall@10", "map"),
    ("top1", "top5", BEST_ON_TEST),
)
SHORT_NAMES = {BEST_ON_TEST: "best on test"}
WORDS = ("protocol", "stream", "encoder")
NUMBERS = ("epochs", "n")
# Follows the name of a published method.
PUBLISHED = "*"
CSV_COLUMNS = (*Row._fields, "metric", *Statistic._fields)


class Table(NamedTuple):
    """The rows of one dataset and benchmark that have metrics of one kind."""

    title: str
    header: list[str]
    # Cells.
    lines: list[list[str]]


def format_table(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """Format rows of percentages, one column for each metric; blank where a row has none."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [[name, *(row.get(column) for column in columns)] for name, row in rows.items()]
    return tabulate(
        lines,
        [title, *columns],
        tablefmt="plain",
        floatfmt=".1f",
        missingval="",
        disable_numparse=[0],
    )


def make_tables(rows: Rows) -> list[Table]:
    """Make tables of rows that are in order."""
    tables = []
    for (dataset, benchmark, num_test), group in groupby(rows, key=lambda row: row[:3]):
        title = f"{dataset} {benchmark}" + (f", {num_test} test sequences" if num_test else "")
        rows_of_data = list(group)
        for kind in KINDS:
            shown = [row for row in rows_of_data if set(kind) & rows[row].keys()]
            metrics = [metric for metric in kind if any(metric in rows[row] for row in shown)]
            if shown:
                names = [SHORT_NAMES.get(metric, metric) for metric in metrics]
                lines = [_cells(row, rows[row], metrics) for row in shown]
                tables.append(Table(title, [*WORDS, *NUMBERS, *names], lines))
    return tables


def _cells(row: Row, statistics: Mapping[str, Statistic], metrics: Sequence[str]) -> list[str]:
    n = max(statistic.n for statistic in statistics.values())
    values = [_value(statistics[metric], n) if metric in statistics else "" for metric in metrics]
    encoder = row.encoder + (PUBLISHED if row.source else "")
    epochs = "" if row.epochs is None else str(row.epochs)
    count = "" if row.source else str(n)
    return [row.protocol, row.stream, encoder, epochs, count, *values]


def _value(statistic: Statistic, n: int) -> str:
    std = "" if statistic.std is None else f"±{statistic.std:.1f}"
    fewer = "" if statistic.n == n else f" (n {statistic.n})"
    return f"{statistic.mean:.1f}{std}{fewer}"


def make_notes(rows: Rows) -> list[str]:
    """Return what must be known to read the tables."""
    metrics = {metric for statistics in rows.values() for metric in statistics}
    notes = [
        "Percent, mean±sample standard deviation over n seeds and subsets; epochs: of pretraining."
    ]
    if BEST_ON_TEST in metrics:
        notes.append(
            "best on test: of the epoch chosen on the test split itself; top1, top5: of the last."
        )
    if any(row.source for row in rows):
        notes.append("An asterisk: published, on the full dataset; --format csv lists the sources.")
    return notes


def _tabulate(lines: Sequence[Sequence[str]], **options: Any) -> str:
    """Align words to the left and numbers to the right."""
    alignment = ["left"] * len(WORDS) + ["right"] * (len(lines[0]) - len(WORDS))
    return tabulate(lines, colalign=alignment, disable_numparse=True, **options)


def as_text(rows: Rows, notes: Sequence[str]) -> str:
    """Format tables in plain text; `notes` follow those on how to read them."""
    blocks = []
    for table in make_tables(rows):
        # Tabulate would make columns wider for a header.
        lines = _tabulate([table.header, *table.lines], tablefmt="plain")
        blocks.append(f"{table.title}\n{lines}")
    return "\n\n".join([*blocks, "\n".join([*make_notes(rows), *notes])])


def as_markdown(rows: Rows, notes: Sequence[str]) -> str:
    """Format tables in Markdown, under the names of their datasets."""
    blocks = []
    for title, tables in groupby(make_tables(rows), key=lambda table: table.title):
        blocks.append(f"### {title}")
        for table in tables:
            escaped = [[cell.replace("|", "\\|") for cell in line] for line in table.lines]
            blocks.append(_tabulate(escaped, headers=table.header, tablefmt="github"))
    return "\n\n".join([*blocks, "\n".join(f"* {note}" for note in (*make_notes(rows), *notes))])


def as_csv(rows: Rows, notes: Sequence[str]) -> str:
    """Format a line for each row and metric, all metrics included, with published sources.

    CSV has no place for `notes`.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row, statistics in rows.items():
        for metric, (mean, std, n) in statistics.items():
            formatted_std = "" if std is None else f"{std:.4f}"
            count = "" if row.source else n
            writer.writerow([*row, metric, f"{mean:.4f}", formatted_std, count])
    return text.getvalue().rstrip("\n")


FORMATS: dict[str, Callable[[Rows, Sequence[str]], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "csv": as_csv,
}
