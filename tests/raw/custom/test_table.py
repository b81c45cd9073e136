import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scdnet.raw.custom.table import Row, number_classes, read_table, split_table, strip_name
from scdnet.raw.raw_files import RawFileError


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a table and reads it."""
    path = tmp_path / "labels.csv"

    def read(content: str | bytes):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path)

    return read


def test_a_line_states_what_is_known_about_a_recording(table):
    rows, rejected = table(
        "split,name,subject,label,camera,setup,replication\n"
        "test,a,3,wave,2,1,4\n"
        'train, b.c ,,"hop, on one foot",,0,\n'
    )
    assert rejected == []
    assert rows == {
        "a": Row(
            "wave",
            {"subject": 3, "camera": 2, "setup": 1, "replication": 4},
            is_train=False,
            line=2,
        ),
        "b.c": Row("hop, on one foot", {"setup": 0}, is_train=True, line=3),
    }


@pytest.mark.parametrize(
    "content",
    [
        b"name,label\na,1\n",
        b"\xef\xbb\xbfname,label\r\n\r\na,1",
        b" name , label \n\na , 1\n",
        b'"name","label"\na.npz,1\n',
    ],
)
def test_name_and_label_are_enough_and_forms_of_csv_do_not_matter(table, content):
    rows, rejected = table(content)
    assert list(rows) == ["a"] and not rejected
    assert rows["a"]._replace(line=0) == Row("1", {}, is_train=True, line=0)


def test_a_suffix_of_a_recording_may_be_written_and_others_belong_to_the_name(table):
    rows, _ = table("name,label\na.npz,1\nb.csv,1\nc.take2,1\n")
    assert list(rows) == ["a", "b", "c.take2"]


EXPECTED = (
    "expected the columns name, label and optionally subject, camera, setup, replication, split, "
    "each once"
)
NO_TABLE = ": expected a table separated by commas, semicolons or tabs"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", f":1: {EXPECTED}, found none"),
        ("name,class\n", f":1: {EXPECTED}, found name, class"),
        ("name|label\n", f":1: {EXPECTED}, found name|label"),
        ("name,label,age\n", f":1: {EXPECTED}, found name, label, age"),
        ("name,label,name\n", f":1: {EXPECTED}, found name, label, name"),
        (b"name,label\na,\xff\n", ":2: expected UTF-8, found byte 0xff; save it as UTF-8"),
        ("name,label\na," + "x" * 200_000, f"{NO_TABLE} (field larger"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(table, content, reason):
    with pytest.raises(RawFileError, match=re.escape("labels.csv" + reason)):
        table(content)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(RawFileError, match=r"none\.csv: cannot be read: .*No such file"):
        read_table(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("b,1,,", "expected 5 cells, found 4"),
        ("b,1,,,test,", "expected 5 cells, found 6"),
        (",1,,,test", "expected a name, found ''"),
        ("b, ,,,test", "expected a label, found ''"),
        ("b,\0,,,test", r"expected a label, found '\x00'"),
        ("b,1,one,,test", "expected an integer from 0 as subject, found 'one'"),
        ("b,1,,-2,test", "expected an integer from 0 as camera, found '-2'"),
        ("b,1,1.5,,test", "expected an integer from 0 as subject, found '1.5'"),
        (
            "b,1,1234567890123456789,,test",
            "expected an integer from 0 as subject, found '1234567890123456789'",
        ),
        ("b,1,,,", "expected train or test as split, found ''"),
        ("b,1,,,both", "expected train or test as split, found 'both'"),
        ("a.npz,2,,,test", "'a' is already in line 2"),
    ],
)
def test_a_line_that_cannot_be_used_is_rejected_and_the_others_are_read(table, line, reason):
    rows, rejected = table(f"name,label,subject,camera,split\na,1,,,train\n{line}\nc,1,,,test\n")
    assert list(rows) == ["a", "c"] and rows["a"].label == "1"
    assert [(rejection.line, rejection.reason) for rejection in rejected] == [(3, reason)]
    assert rejected[0].file.endswith("labels.csv")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["wave", "clap", "wave", "Bow"], ("Bow", "clap", "wave")),
        (["10", "9", "-1", "9"], ("-1", "9", "10")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["007", "7", "8"], ("7", "8")),
        ([], ()),
    ],
)
def test_classes_are_the_distinct_labels_sorted_by_value_if_all_are_integers(labels, names):
    found, ids = number_classes(labels)
    assert found == names
    for label in labels:
        named = names[ids[label]]
        assert named == label or int(named) == int(label)


# Characters that a parser treats specially, and some that it does not.
CHARACTERS = "\0\n\r\t \v\x1c\x85\u2028\ufeff,;\"'\\ab1-\u00e9\u0660\U0001f600"


@given(
    st.one_of(
        st.binary(max_size=100),
        st.text(CHARACTERS, max_size=100).map(lambda text: ("name,label\n" + text).encode()),
    )
)
def test_any_table_is_read_or_refused(data):
    with suppress(RawFileError):
        split_table(data, "x.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_tables_in_any_form_are_read(table, separator, encoding, line_end):
    lines = [["Name", "LABEL", "Split"], ["a", "ä", "Train"], ["b", "2", "TEST"]]
    text = line_end.join(separator.join(cells) for cells in lines)
    rows, rejected = table(text.encode(encoding))
    assert [(name, row.label, row.is_train) for name, row in rows.items()] == [
        ("a", "ä", True),
        ("b", "2", False),
    ]
    assert not rejected


@pytest.mark.parametrize("name", ["index", "Unnamed: 0", "", "idx"])
def test_a_column_that_numbers_the_rows_is_ignored(table, name):
    rows, _ = table(f"{name},name,label\n0,a,1\n1,b,2\n")
    assert list(rows) == ["a", "b"]


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "test"), ("Training", "val"), ("TRAIN", "validation"), ("train", "dev")],
)
def test_splits_have_their_usual_names(table, train, test):
    rows, rejected = table(f"name,label,split\na,1,{train}\nb,1,{test}\n")
    assert [row.is_train for row in rows.values()] == [True, False] and not rejected


@pytest.mark.parametrize("third", ["val", "Valid", "dev"])
def test_a_third_split_is_refused_and_named(table, third):
    with pytest.raises(RawFileError, match=rf"labels\.csv:3: .*, found '{third.lower()}' as well"):
        table(f"name,label,split\na,1,train\nb,1,{third}\nc,1,test\n")


def test_where_no_line_can_be_used_the_reason_of_the_first_comes_first(table):
    with pytest.raises(RawFileError, match=r"labels\.csv:2: expected train or test as split, fou"):
        table("name,label,split\na,1,A\nb,1,B\n")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["1.0", "10.0", "2.0"], ("1", "2", "10")),
        (["1.0", "1", "3."], ("1", "3")),
        (["-1.0", "0.0"], ("-1", "0")),
        (["1.0", "sit down"], ("1", "sit down")),
        (["1.5", "1.0"], ("1", "1.5")),
    ],
)
def test_labels_that_pandas_wrote_as_floats_are_integers(table, labels, names):
    lines = [f"r{number},{label}\n" for number, label in enumerate(labels)]
    rows, _ = table("name,label\n" + "".join(lines))
    assert number_classes(row.label for row in rows.values())[0] == names


def test_numbers_that_pandas_wrote_as_floats_are_integers(table):
    rows, _ = table("name,label,subject,camera\na,1,3.0,\nb,1,,2.0\n")
    assert [row.numbers for row in rows.values()] == [{"subject": 3}, {"camera": 2}]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.npz", "a"), ("a.NPY", "a"), ("x/y/a.csv", "x/y/a"), ("x\\y\\a.npz", "x/y/a"),
        ("a.v2", "a.v2"), ("x.y/a", "x.y/a"),
    ],
)  # fmt: skip
def test_names_may_have_folders_and_suffixes(name, stem):
    assert strip_name(name) == stem
