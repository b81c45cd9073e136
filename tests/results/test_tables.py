"""Text, Markdown and CSV say the same and can be read back."""

import csv
import io

import pytest

from scdnet.results.summary import Row, Statistic
from scdnet.results.tables import CSV_COLUMNS, FORMATS

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
    """Cells of each table."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    return [[[cell.strip() for cell in line.split(" | ")] for line in block] for block in blocks]


@pytest.mark.parametrize("name", FORMATS)
def test_the_numbers_are_in_every_format(name: str):
    text = FORMATS[name](ROWS)
    for number in ("70.0", "76.2", "86.0", "97.5", "52.0"):
        assert number in text or (name == "csv" and "76.1630" in text)


def test_a_line_of_text_has_120_columns_at_most_and_the_words_of_its_row():
    lines = FORMATS["text"](ROWS).splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0] == "ntu60 xsub, 16487 test sequences"
    knn, published = lines[2], lines[3]
    words = ["knn", "joint", "trained", "on", "ntu60", "451", "3"]
    assert knn.split() == words + ["70.0±1.2"] * 4 + ["99.0±0.5"] * 2 + ["40.0±0.4"]
    assert published.split() == ["knn", "joint", "SCD-Net", "log*", "76.2"]
    assert knn.index("70.0") + len("70.0±1.2") == published.index("76.2") + len(
        "76.2"
    )  # right-aligned


def test_a_metric_that_fewer_evaluations_have_says_so():
    assert "97.5 (n 1)" in FORMATS["text"](ROWS)


def test_markdown_tables_have_the_columns_of_their_header_and_a_heading_for_each_data_set():
    text = FORMATS["markdown"](ROWS)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "### ntu60 xsub, 16487 test sequences",
        "### ntu60 xview",
    ]
    tables = markdown_tables(text)
    assert [len(table) for table in tables] == [4, 3, 3]  # header, rule, rows
    for table in tables:
        assert len({len(line) for line in table}) == 1
        assert set("".join(table[1])) <= set("-:| ")
    assert tables[2][0][2:] == ["encoder", "epochs", "n", "top1", "best on test |"]
    assert tables[2][2][2] == "raw \\| views"


def test_csv_has_a_line_for_each_row_and_metric():
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"](ROWS))))
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
    assert (
        by_key["xsub", "knn", "trained on ntu60", "pitch"]["n"] == "1"
    )  # what the tables have no column for


def test_notes_say_what_the_table_needs():
    text = FORMATS["text"](ROWS)
    assert "best on test: of the epoch that the test split itself has chosen" in text
    assert "An asterisk: published, of the full data set" in text
    plain = FORMATS["text"]({LINEAR: ROWS[LINEAR]})
    assert "best on test" not in plain and "published" not in plain
