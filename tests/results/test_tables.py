"""Text, Markdown and CSV contain the same numbers and can be read back."""

import csv
import io
import re

import pytest

from scdnet.results.record import Row
from scdnet.results.summary import Statistic
from scdnet.results.tables import CSV_COLUMNS, FORMATS, format_table

LINEAR = Row("ntu60", "xsub", 16487, "linear", "joint", "trained on ntu60", 451)
KNN = LINEAR._replace(protocol="knn")
VIEW = LINEAR._replace(benchmark="xview", num_test=None, encoder="raw | views", epochs=None)
ROWS = {
    KNN: {f"knn@{k}": Statistic(70.04, 1.25, 3) for k in (1, 5, 10, 20)}
    | {f"recall@{k}": Statistic(99.0, 0.5, 3) for k in (1, 5, 10)}
    | {"map": Statistic(40.0, 0.4, 3), "pitch": Statistic(1.0, None, 1)},
    KNN._replace(encoder="SCD-Net log", epochs=None, source="their log, 2024"): {
        "knn@1": Statistic(76.163, None, 1)
    },
    LINEAR: {"top1": Statistic(86.0, 0.3, 3), "top5": Statistic(97.5, None, 1)},
    VIEW: {"top1": Statistic(50.0, None, 1), "top1_best_on_test": Statistic(52.0, None, 1)},
}


def markdown_tables(text: str) -> list[list[list[str]]]:
    """Return the cells of each table."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    return [
        [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block]
        for block in blocks
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_the_numbers_are_in_every_format(name: str):
    text = FORMATS[name](ROWS, [])
    for number in ("70.0", "76.2", "86.0", "97.5", "52.0"):
        assert number in text or (name == "csv" and "76.1630" in text)


def test_a_line_of_text_has_120_columns_at_most_and_the_words_of_its_row():
    lines = FORMATS["text"](ROWS, []).splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0] == "ntu60 xsub, 16487 test sequences"
    knn = lines[2]
    published = lines[3]
    words = ["knn", "joint", "trained", "on", "ntu60", "451", "3"]
    assert knn.split() == words + ["70.0±1.2"] * 4 + ["99.0±0.5"] * 2 + ["40.0±0.4"]
    assert published.split() == ["knn", "joint", "SCD-Net", "log*", "76.2"]
    # Numbers are right-aligned.
    end = knn.index("70.0") + len("70.0±1.2")
    assert end == published.index("76.2") + len("76.2")


def test_a_metric_that_fewer_evaluations_have_states_their_number():
    assert "97.5 (n 1)" in FORMATS["text"](ROWS, [])


def test_markdown_tables_have_the_columns_of_their_header_and_a_heading_for_each_dataset():
    text = FORMATS["markdown"](ROWS, [])
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "### ntu60 xsub, 16487 test sequences",
        "### ntu60 xview",
    ]
    tables = markdown_tables(text)
    assert [len(table) for table in tables] == [4, 3, 3]  # header, rule, rows
    for table in tables:
        assert len({len(line) for line in table}) == 1
        assert set("".join(table[1])) <= set("-:| ")
    assert tables[2][0][2:] == ["encoder", "epochs", "n", "top1", "best on test"]
    assert tables[2][2][2] == "raw \\| views"


def test_csv_has_a_line_for_each_row_and_metric():
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"](ROWS, []))))
    assert len(lines) == sum(map(len, ROWS.values()))
    assert set(lines[0]) == set(CSV_COLUMNS)
    by_key = {
        (line["benchmark"], line["protocol"], line["encoder"], line["metric"]): line
        for line in lines
    }
    line = by_key["xsub", "knn", "trained on ntu60", "knn@5"]
    assert (line["mean"], line["std"], line["n"], line["num_test"]) == (
        "70.0400",
        "1.2500",
        "3",
        "16487",
    )
    line = by_key["xsub", "knn", "SCD-Net log", "knn@1"]
    assert (line["mean"], line["std"], line["n"], line["source"]) == (
        "76.1630",
        "",
        "",
        "their log, 2024",
    )
    # The tables have no column for this metric.
    assert by_key["xsub", "knn", "trained on ntu60", "pitch"]["n"] == "1"


def test_notes_explain_what_the_table_contains():
    text = FORMATS["text"](ROWS, [])
    assert "best on test: of the epoch chosen on the test split itself" in text
    assert "An asterisk: published, on the full dataset" in text
    plain = FORMATS["text"]({LINEAR: ROWS[LINEAR]}, [])
    assert "best on test" not in plain and "published" not in plain


def test_a_row_without_a_metric_is_blank_there():
    rows = {"two classes": {"top1": 50.0}, "many": {"top1": 25.0, "top5": 75.0}}
    lines = format_table("title", rows).split("\n")
    assert [line.split()[-1] for line in lines] == ["top5", "50.0", "75.0"]


def test_the_table_has_a_column_for_each_metric():
    rows = {"one": {"top1": 1.25, "top5": 100.0}, "2": {"top1": 2.0, "top5": 3.0}}
    lines = format_table("title", rows).split("\n")
    assert [line.split() for line in lines] == [
        ["title", "top1", "top5"],
        ["one", "1.2", "100.0"],
        ["2", "2.0", "3.0"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_more_notes_stand_below_the_tables():
    assert FORMATS["text"](ROWS, ["Slow."]).endswith("\nSlow.")
    assert FORMATS["markdown"](ROWS, ["Slow."]).endswith("\n* Slow.")
    assert FORMATS["csv"](ROWS, ["Slow."]) == FORMATS["csv"](ROWS, [])
