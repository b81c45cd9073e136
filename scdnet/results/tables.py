"""A summary for the eye, as Markdown, or as CSV."""

import csv
import io
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from scdnet.results.summary import Row, Rows, Statistic

KINDS = (  # metrics that are shown side by side; recall@1 is knn@1
    ("knn@1", "knn@5", "knn@10", "knn@20", "recall@5", "recall@10", "map"),
    ("top1", "top5", "top1_best_on_test"),
)
SHORT = {"top1_best_on_test": "best on test"}
PUBLISHED = "*"  # after the name of a method
NUM_WORDS = 3  # columns before the numbers
CSV_COLUMNS = (*Row._fields, "metric", *Statistic._fields)


class Table(NamedTuple):
    """The rows of one data set and benchmark that have metrics of one kind."""

    title: str
    header: list[str]
    lines: list[list[str]]  # cells


def make_tables(rows: Rows) -> list[Table]:
    """Tables of rows that are in order."""
    tables = []
    for key, of_data in groupby(rows, key=lambda row: row[:3]):
        of_data = list(of_data)
        for kind in KINDS:
            shown = [row for row in of_data if set(kind) & rows[row].keys()]
            metrics = [metric for metric in kind if any(metric in rows[row] for row in shown)]
            if shown:
                header = [
                    "protocol",
                    "stream",
                    "encoder",
                    "epochs",
                    "n",
                    *(SHORT.get(m, m) for m in metrics),
                ]
                tables.append(
                    Table(_title(*key), header, [_cells(row, rows[row], metrics) for row in shown])
                )
    return tables


def _title(dataset: str, benchmark: str, num_test: int | None) -> str:
    return f"{dataset} {benchmark}" + (f", {num_test} test sequences" if num_test else "")


def _cells(row: Row, statistics: dict[str, Statistic], metrics: Sequence[str]) -> list[str]:
    n = max(statistic.n for statistic in statistics.values())
    values = [_value(statistics[metric], n) if metric in statistics else "" for metric in metrics]
    epochs = "" if row.epochs is None else str(row.epochs)
    encoder, count = (f"{row.encoder}{PUBLISHED}", "") if row.source else (row.encoder, str(n))
    return [row.protocol, row.stream, encoder, epochs, count, *values]


def _value(statistic: Statistic, n: int) -> str:
    spread = "" if statistic.std is None else f"±{statistic.std:.1f}"
    fewer = "" if statistic.n == n else f" (n {statistic.n})"
    return f"{statistic.mean:.1f}{spread}{fewer}"


def make_notes(rows: Rows) -> list[str]:
    """What must be known to read the tables."""
    metrics = {metric for statistics in rows.values() for metric in statistics}
    notes = [
        "Percent, mean±sample standard deviation over n seeds and draws; epochs: of pretraining."
    ]
    if "top1_best_on_test" in metrics:
        notes.append(
            "best on test: of the epoch that the test split itself has chosen; top1 and top5: of the last."
        )
    if any(row.source for row in rows):
        notes.append(
            "An asterisk: published, of the full data set; sources in scdnet/eval/published.tsv."
        )
    return notes


def as_text(rows: Rows) -> str:
    """Aligned columns."""
    blocks = []
    for table in make_tables(rows):
        widths = [max(map(len, column)) for column in zip(table.header, *table.lines, strict=True)]
        lines = [table.title]
        for cells in (table.header, *table.lines):
            padded = [
                cell.ljust(width) if i < NUM_WORDS else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ]
            lines.append("  ".join(padded).rstrip())
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, "\n".join(make_notes(rows))])


def as_markdown(rows: Rows) -> str:
    """Tables under the names of their data sets."""
    blocks = []
    for title, tables in groupby(make_tables(rows), key=lambda table: table.title):
        blocks.append(f"### {title}")
        for table in tables:
            rule = ["---"] * NUM_WORDS + ["---:"] * (len(table.header) - NUM_WORDS)
            lines = [
                table.header,
                rule,
                *([cell.replace("|", "\\|") for cell in line] for line in table.lines),
            ]
            blocks.append("\n".join(f"| {' | '.join(cells)} |" for cells in lines))
    return "\n\n".join([*blocks, "\n".join(f"* {note}" for note in make_notes(rows))])


def as_csv(rows: Rows) -> str:
    """A line for each row and metric, all metrics; published numbers name their source."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row, statistics in rows.items():
        for metric, (mean, std, n) in statistics.items():
            writer.writerow(
                [
                    *row,
                    metric,
                    f"{mean:.4f}",
                    "" if std is None else f"{std:.4f}",
                    "" if row.source else n,
                ]
            )
    return text.getvalue().rstrip("\n")


FORMATS: dict[str, Callable[[Rows], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "csv": as_csv,
}
