from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scdnet.raw.custom import csv_text
from scdnet.raw.custom.csv_file import read_csv
from scdnet.raw.custom.readers import read_joints
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import COCO_17, KINECT_V1_20, MEDIAPIPE_33, NTU_25, SKELETONS
from tests.raw.broken import with_count
from tests.raw.walker import csv, walking

JOINTS = KINECT_V1_20.joints
FRAMES = walking("kinect_v1_20", num_frames=4)  # (T, V, C)
TWO = np.stack([FRAMES, FRAMES[::-1]], axis=1)  # (T, M, V, C)


def from_csv(data: bytes) -> np.ndarray:
    return read_csv(data, "x.csv", KINECT_V1_20).bodies.swapaxes(0, 1)


HEADER = ",".join(f"{joint} {axis}" for joint in JOINTS for axis in "xyz").encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: HEADER + b"\n" + text,
        # pandas numbers columns that have no names.
        lambda text: ",".join(map(str, range(60))).encode() + b"\n" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: b"\xef\xbb\xbf" + HEADER + b"\r\n" + text.replace(b",", b" ,\t"),
        lambda text: text.rstrip(),
        lambda text: text + b"\n \n",
    ],
)
def test_a_line_of_a_csv_is_a_frame(change):
    np.testing.assert_array_equal(from_csv(change(csv(FRAMES))), FRAMES[:, None])


def test_a_line_may_contain_two_bodies():
    np.testing.assert_array_equal(from_csv(csv(TWO)), TWO)


def with_cell(cell: str, line: int = 2, column: int = 7) -> bytes:
    rows = [row.split(",") for row in csv(FRAMES).decode().splitlines()]
    rows[line - 1][column - 1] = cell
    return "\n".join(map(",".join, rows)).encode()


WIDTH = "expected 60 or 120 comma-separated numbers"
WIDTH_OF_ONE = "expected 60 comma-separated numbers"
FIRST_CELL = "expected a finite number in column 1"
ONE_MORE = "which is 20 x 3 + 1, perhaps a time before or after x y z; name it in a header"
SEVENTH_CELL = "expected a finite number in column 7"


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"", 0, "expected a line for each frame, found none"),
        (HEADER, 0, "expected a line for each frame, found none"),
        (b"1,2,3\n", 1, f"{WIDTH}, found 3"),
        (csv(FRAMES).replace(b"\n", b",\n"), 1, f"{WIDTH}, found 61, {ONE_MORE}"),
        (csv(FRAMES) + csv(TWO), 5, f"{WIDTH_OF_ONE}, found 120"),
        (csv(FRAMES) + b"\n" + csv(FRAMES), 5, f"{WIDTH_OF_ONE}, found 0"),
        (csv(FRAMES) + HEADER, 5, f"{FIRST_CELL}, found 'center of hips x'"),
        (HEADER + b"\n" + csv(FRAMES) + b"1,2", 6, f"{WIDTH_OF_ONE}, found 2"),
        (with_cell(""), 2, f"{SEVENTH_CELL}, found ''"),
        (with_cell(" north "), 2, f"{SEVENTH_CELL}, found 'north'"),
        (with_cell("1 2"), 2, f"{SEVENTH_CELL}, found '1 2'"),
        (with_cell("nan"), 2, f"{SEVENTH_CELL}, found 'nan'"),
        (with_cell("1e999"), 2, f"{SEVENTH_CELL}, found '1e999'"),
        (with_cell("north", line=1), 1, f"{SEVENTH_CELL}, found 'north'"),
        # Neither NaNs nor empty cells are a header.
        (b"nan," * 59 + b"nan\n" + csv(FRAMES), 1, f"{FIRST_CELL}, found 'nan'"),
        (b"," * 59 + b"\n" + csv(FRAMES), 1, f"{FIRST_CELL}, found ''"),
    ],
)
def test_a_bad_line_is_named_with_what_was_expected_and_found(data, line, reason):
    with pytest.raises(RawFileError) as caught:
        from_csv(data)
    assert caught.value.args == ("x.csv", line, reason)


def test_a_csv_of_too_many_frames_is_refused(monkeypatch):
    monkeypatch.setattr(csv_text, "MAX_FRAMES", 2)
    with pytest.raises(RawFileError, match=r"x\.csv: expected at most 3 lines, found 4"):
        from_csv(csv(FRAMES))


@pytest.mark.parametrize(
    ("name", "reason"), [("CELLS", "commas, found 236"), ("CHARACTERS", "characters in a line")]
)
def test_a_csv_of_too_many_cells_or_a_line_without_end_is_refused(monkeypatch, name, reason):
    monkeypatch.setattr(csv_text, f"MAX_{name}", 200)
    with pytest.raises(RawFileError, match=f"expected at most 200 {reason}"):
        from_csv(csv(FRAMES))


def cells_of(frames: np.ndarray, decimal: str = ".") -> list[list[str]]:
    return [
        [repr(value).replace(".", decimal) for value in frame]
        for frame in frames.reshape(len(frames), -1).tolist()
    ]


def names_of(skeleton, separator: str) -> str:
    return separator.join(f"{joint}_{axis}" for joint in skeleton.joints for axis in "xyz")


SEPARATORS = [",", ";", "\t", " ", " ; ", ", ", "   "]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize(
    ("layout", "has_header"), [("ntu25", False), ("kinect_v1_20", True), ("mediapipe33", True)]
)
@pytest.mark.parametrize(
    ("separator", "decimal"),
    [
        (separator, decimal)
        for separator in SEPARATORS
        for decimal in ".,"
        if separator.strip() != decimal
    ],
)
def test_any_separator_is_read_where_it_is_certain(layout, has_header, decimal, separator):
    skeleton = SKELETONS[layout]
    frames = walking(layout, num_frames=4)
    lines = [separator.join(row) for row in cells_of(frames, decimal)]
    if has_header and separator.strip():
        lines.insert(0, names_of(skeleton, separator))
    reading = read_csv("\n".join(lines).encode(), "x.csv", skeleton)
    np.testing.assert_array_equal(reading.bodies[0], frames)


@pytest.mark.parametrize(
    ("separator", "decimal"), [(";", "."), (";", ","), (",", "."), ("\t", "."), ("\t", ",")]
)
@pytest.mark.parametrize(("has_header", "has_more"), [(False, False), (True, False), (True, True)])
def test_cells_may_contain_the_three_numbers_of_a_joint(separator, decimal, has_header, has_more):
    lines = [
        separator.join(" ".join(row[i : i + 3]) for i in range(0, len(row), 3))
        for row in cells_of(FRAMES, decimal)
    ]
    if has_more:
        # As in PRECOG, which has a class there.
        lines = [f"{line}{separator}0" for line in lines]
    if has_header:
        lines.insert(0, f"{separator} ".join(JOINTS))
    reading = read_csv("\n".join(lines).encode(), "x.csv", KINECT_V1_20)
    np.testing.assert_array_equal(reading.bodies[0], FRAMES)
    assert reading.dropped == (("last column, which has no name",) if has_more else ())


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_any_encoding_and_line_end_is_read(encoding, line_end):
    lines = [names_of(KINECT_V1_20, ","), *(",".join(row) for row in cells_of(FRAMES))]
    reading = read_csv(line_end.join(lines).encode(encoding), "x.csv", KINECT_V1_20)
    np.testing.assert_array_equal(reading.bodies[0], FRAMES)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("prefix", ["", "c", "col_", "Unnamed "])
@pytest.mark.parametrize("has_index", [False, True])
def test_a_header_that_counts_the_columns_tells_nothing(first, prefix, has_index):
    names = [f"{prefix}{first + number}" for number in range(60)]
    rows = cells_of(FRAMES)
    if has_index:
        names.insert(0, "")
        rows = [[str(number), *row] for number, row in enumerate(rows)]
    data = "\n".join(map(",".join, [names, *rows])).encode()
    reading = read_csv(data, "x.csv", KINECT_V1_20)
    np.testing.assert_array_equal(reading.bodies[0], FRAMES)
    assert reading.dropped == (("column (unnamed)",) if has_index else ())


@pytest.mark.parametrize("first", [0, 1])
def test_a_first_column_that_counts_the_frames_is_dropped(first):
    rows = [[str(number), *row] for number, row in enumerate(cells_of(FRAMES), start=first)]
    reading = read_csv("\n".join(map(",".join, rows)).encode(), "x.csv", KINECT_V1_20)
    np.testing.assert_array_equal(reading.bodies[0], FRAMES)
    assert reading.dropped == ("first column, which counts the frames",)


@pytest.mark.parametrize("skeleton", [MEDIAPIPE_33, NTU_25, KINECT_V1_20])
@pytest.mark.parametrize("has_index", [False, True])
def test_a_visibility_of_each_joint_is_dropped_if_all_are_shares(skeleton, has_index):
    frames = walking(skeleton.name, num_frames=4)
    quality = np.full((4, skeleton.num_joints, 1), 0.9)
    rows = cells_of(np.concatenate([frames, quality], axis=-1))
    if has_index:
        rows = [[str(number), *row] for number, row in enumerate(rows)]
    data = "\n".join(map(",".join, rows))
    reading = read_csv(data.encode(), "x.csv", skeleton)
    np.testing.assert_array_equal(reading.bodies[0], frames)
    assert "visibility of each joint" in reading.dropped
    # With the third line's, something else it is.
    lines = data.splitlines()
    lines[2] = lines[2].replace("0.9", "1.9")
    with pytest.raises(RawFileError, match=r"x\.csv:3: .*expected the fourth number of each in 0"):
        read_csv("\n".join(lines).encode(), "x.csv", skeleton)


@pytest.mark.parametrize(
    ("num_columns", "reason"),
    [
        (133, "33 x 4 + 1, perhaps MediaPipe's x y z visibility, and an index"),
        (132, "33 x 4, perhaps MediaPipe's x y z visibility; layouts of 33 joints: mediapipe33"),
        (99, "33 x 3; layouts of 33 joints: mediapipe33 (3-D)"),
        (51, "17 x 3; layouts of 17 joints: h36m17 (3-D), coco17 (2-D)"),
        (76, "25 x 3 + 1, perhaps a time before or after x y z; name it in a header"),
    ],
)
def test_another_number_of_columns_is_explained(num_columns, reason):
    line = ",".join(["0.5"] * num_columns) + "\n"
    with pytest.raises(RawFileError) as caught:
        read_csv(line.encode() * 3, "x.csv", NTU_25)
    assert reason in str(caught.value) and caught.value.args[1] == 1


def test_2d_joints_may_lack_a_score():
    points = 100 * np.random.default_rng(0).random((4, 17, 2))
    reading = read_csv(csv(points), "x.csv", COCO_17)
    np.testing.assert_array_equal(reading.bodies[0, ..., :2], points)
    assert (reading.bodies[..., 2] == 1).all()


def test_a_file_of_another_kind_is_called_that():
    for data, kind in (
        (b"PK\3\4 and more", "an Excel workbook"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (bytes(100), "100 NUL bytes"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
    ):
        with pytest.raises(RawFileError, match=f"expected a text, found .*{kind}"):
            read_csv(data, "x.csv", NTU_25)


NAMED = names_of(KINECT_V1_20, ",").encode() + b"\n" + csv(FRAMES)
PIECES = [
    b",",
    b";",
    b"\t",
    b" ",
    b"\n",
    b"\r",
    b'"',
    b".",
    b"-",
    b"e",
    b"nan",
    b"\0",
    b"\xff",
    b"x",
]


SOUND = st.sampled_from([NAMED, csv(FRAMES), csv(TWO), csv(FRAMES).replace(b",", b";")])
CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 3), st.sampled_from(PIECES)), min_size=1, max_size=4
)


@with_count
def test_broken_files_are_read_or_refused_with_one_reason(num_broken):
    @settings(max_examples=num_broken, deadline=None)
    @given(SOUND, CHANGES)
    def check(data, changes):
        for share, num_lost, piece in changes:
            at = int(share * len(data))
            data = data[:at] + piece + data[at + num_lost :]
        with suppress(RawFileError):
            bodies = read_joints(data, "x.csv", KINECT_V1_20).bodies
            assert bodies.shape[2:] == (20, 3) and np.isfinite(bodies).all()

    check()
