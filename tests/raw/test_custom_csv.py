import numpy as np
import pytest

from scdnet.raw import csv_text
from scdnet.raw.custom_csv import read_csv
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import KINECT_V1_20
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
    monkeypatch.setattr(csv_text, "MAX_FRAMES", 3)
    with pytest.raises(RawFileError, match=r"x\.csv:4: expected at most 3 frames"):
        from_csv(csv(FRAMES))
