import io
import re
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep import custom_file
from data_prep.custom_file import read_joints
from data_prep.layouts import LAYOUTS
from data_prep.raw_files import RawFileError
from tests.data_prep.walker import csv, npz, walking

LAYOUT = LAYOUTS["kinect_v1_20"]
FRAMES = walking("kinect_v1_20", num_frames=4)  # (T, V, C)
TWO = np.stack([FRAMES, FRAMES[::-1]], axis=1)  # (T, M, V, C)


def read(data: bytes, name: str = "x.npz") -> np.ndarray:
    return read_joints(data, name, LAYOUT)


def npz_of(npy: bytes) -> bytes:
    """A `.npz` whose only array has this content."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("joints.npy", npy)
    return file.getvalue()


def npy_of(shape: tuple[int, ...], num_bytes: int, descr: str = "<f8") -> bytes:
    """An array file that says `shape` and holds `num_bytes`."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(num_bytes)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<f2", "<i4", "<i8", "<u2"])
def test_real_numbers_of_any_type_and_order_are_read(dtype, order):
    positions = np.asarray(100 * (FRAMES + 3), dtype=dtype, order=order)
    found = read(npz(positions))
    assert found.dtype == np.float64 and found.shape == (1, *FRAMES.shape)
    np.testing.assert_array_equal(found[0], positions.astype(np.float64))


def test_a_second_axis_of_four_is_that_of_the_bodies():
    many = np.concatenate([TWO, TWO + 1, TWO + 2], axis=1)
    np.testing.assert_array_equal(read(npz(many)), many.swapaxes(0, 1))


def test_the_array_is_the_one_called_joints_or_the_only_one():
    np.testing.assert_array_equal(read(npz(time=np.arange(4), joints=FRAMES))[0], FRAMES)
    np.testing.assert_array_equal(read(npz(whatever=FRAMES))[0], FRAMES)
    with pytest.raises(RawFileError, match=re.escape("x.npz: expected an array 'joints', found a, b")):
        read(npz(a=FRAMES, b=FRAMES))
    with pytest.raises(RawFileError, match="expected an array 'joints', found none"):
        read(npz())


def test_a_compressed_array_is_read_as_well():
    file = io.BytesIO()
    np.savez_compressed(file, joints=FRAMES)
    np.testing.assert_array_equal(read(file.getvalue())[0], FRAMES)


SHAPES = "(frames, 20, 3) or (frames, bodies, 20, 3)"
COUNTS = "expected 1 to 216000 frames of one body or more"
MANY = (216_000, 10**9, 20, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cannot be read: File is not a zip file"),
        (npz(FRAMES)[:-30], "cannot be read: File is not a zip file"),
        (npz(FRAMES.astype(complex)), "expected an array of real numbers, found one of complex128"),
        (npz(FRAMES.astype(str)), "expected an array of real numbers, found one of <U"),
        (npz(FRAMES.astype(object)), "expected an array of real numbers, found one of object"),
        (npz(FRAMES > 0), "expected an array of real numbers, found one of bool"),
        (npz(FRAMES[0]), f"expected an array of shape {SHAPES}, found (20, 3)"),
        (npz(FRAMES[:, :19]), f"expected an array of shape {SHAPES}, found (4, 19, 3)"),
        (npz(FRAMES[:, :, :2]), f"expected an array of shape {SHAPES}, found (4, 20, 2)"),
        (npz(TWO[None]), f"expected an array of shape {SHAPES}, found (1, 4, 2, 20, 3)"),
        (npz(FRAMES[:0]), f"{COUNTS}, found shape (0, 20, 3)"),
        (npz(TWO[:, :0]), f"{COUNTS}, found shape (4, 0, 20, 3)"),
        (npz_of(npy_of((216_001, 20, 3), 9)), f"{COUNTS}, found shape (216001, 20, 3)"),
        (npz_of(npy_of((-4, 20, 3), 1920)), f"{COUNTS}, found shape (-4, 20, 3)"),
        (npz_of(npy_of((4, 20, 3), 1919)), "expected 1920 bytes of float64 in shape (4, 20, 3), found 1919"),
        (npz_of(npy_of(MANY, 1920)), f"expected 103680000000000000 bytes of float64 in shape {MANY}, found 1920"),
        (npz_of(b"no array"), "expected an array as numpy.savez writes it (the magic string is not correct"),
        (npz_of(npy_of((4, 20, 3), 0)[:50]), "expected an array as numpy.savez writes it (EOF: reading array header"),
        (npz_of(b"\x93NUMPY\x03\x00"), "expected an array as numpy.savez writes it ((3, 0))"),
    ],
)  # fmt: skip
def test_what_is_no_array_of_joints_is_refused(data, reason):
    with pytest.raises(RawFileError, match=re.escape(f"x.npz: {reason}")):
        read(data)


def test_a_member_that_would_unpack_to_more_than_fits_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(custom_file, "MAX_BYTES", 2000)
    with pytest.raises(RawFileError, match=r"x\.npz: expected at most 2000 bytes, found 2048"):
        read(npz(FRAMES))


def test_a_damaged_member_is_refused():
    data = bytearray(npz(FRAMES))
    data[len(data) // 2] ^= 1
    with pytest.raises(RawFileError, match=r"x\.npz: cannot be read: Bad CRC-32"):
        read(bytes(data))


HEADER = ",".join(f"{joint} {axis}" for joint in LAYOUT.joints for axis in "xyz").encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: HEADER + b"\n" + text,
        lambda text: ",".join(map(str, range(60))).encode() + b"\n" + text,  # as pandas numbers columns without names
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: b"\xef\xbb\xbf" + HEADER + b"\r\n" + text.replace(b",", b" ,\t"),
        lambda text: text.rstrip(),
        lambda text: text + b"\n \n",
    ],
)
def test_a_line_of_a_csv_is_a_frame(change):
    np.testing.assert_array_equal(read(change(csv(FRAMES)), "x.csv")[0], FRAMES)


def test_a_line_may_hold_two_bodies():
    np.testing.assert_array_equal(read(csv(TWO), "x.csv"), TWO.swapaxes(0, 1))


def with_cell(cell: str, line: int = 2, column: int = 7) -> bytes:
    rows = [row.split(",") for row in csv(FRAMES).decode().splitlines()]
    rows[line - 1][column - 1] = cell
    return "\n".join(map(",".join, rows)).encode()


WIDTH = "expected 60 or 120 numbers with commas between them"


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"", 0, "expected a line for each frame, found none"),
        (HEADER, 0, "expected a line for each frame, found none"),
        (b"1,2,3\n", 1, f"{WIDTH}, found 3"),
        (csv(FRAMES).replace(b",", b" "), 1, f"{WIDTH}, found 1"),
        (csv(FRAMES).replace(b",", b";"), 1, f"{WIDTH}, found 1"),
        (csv(FRAMES).replace(b"\n", b",\n"), 1, f"{WIDTH}, found 61"),
        (csv(FRAMES) + csv(TWO), 5, "expected 60 numbers with commas between them, found 120"),
        (csv(FRAMES) + b"\n" + csv(FRAMES), 5, "expected 60 numbers with commas between them, found 0"),
        (HEADER + b"\n" + csv(FRAMES) + b"1,2", 6, "expected 60 numbers with commas between them, found 2"),
        (with_cell(""), 2, "expected a finite number in column 7, found ''"),
        (with_cell(" north "), 2, "expected a finite number in column 7, found 'north'"),
        (with_cell("1 2"), 2, "expected a finite number in column 7, found '1 2'"),
        (with_cell("nan"), 2, "expected a finite number in column 7, found 'nan'"),
        (with_cell("1e999"), 2, "expected a finite number in column 7, found '1e999'"),
        (with_cell("north", line=1), 1, "expected a finite number in column 7, found 'north'"),
        (b"nan," * 59 + b"nan\n" + csv(FRAMES), 1, "expected a finite number in column 1, found 'nan'"),  # no header
        (b"," * 59 + b"\n" + csv(FRAMES), 1, "expected a finite number in column 1, found ''"),
    ],
)
def test_a_bad_line_is_named_with_what_was_expected_and_found(data, line, reason):
    with pytest.raises(RawFileError) as caught:
        read(data, "x.csv")
    assert (caught.value.where, caught.value.line, caught.value.reason) == ("x.csv", line, reason)


def test_a_csv_of_too_many_frames_is_refused(monkeypatch):
    monkeypatch.setattr(custom_file, "MAX_FRAMES", 3)
    with pytest.raises(RawFileError, match=r"x\.csv:4: expected at most 3 frames"):
        read(csv(FRAMES), "x.csv")


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (-np.inf, "-inf"), (1e30, "1e+30")])
def test_a_number_that_is_not_finite_is_named_with_its_frame(value, shown):
    frames = TWO.copy()
    frames[2, 1, 5] = [0, value, 1]
    frames[3] = np.nan  # later: not the one that is named
    reason = (
        rf"x\.npz: frame 3, body 2, joint 6 \(left elbow\): expected finite numbers, found 0, {re.escape(shown)}, 1"
    )
    with pytest.raises(RawFileError, match=reason):
        read(npz(frames))


def test_a_joint_that_was_not_tracked_is_named_with_its_frame():
    frames = TWO.copy()
    frames[1, 0] = 0  # not there
    frames[2, 0, 19] = 0
    reason = r"frame 3, body 1, joint 20 \(right foot\): expected untracked joints to be filled in, found 0, 0, 0"
    with pytest.raises(RawFileError, match=reason):
        read(npz(frames))


def test_one_joint_may_be_the_origin_in_all_frames_of_a_body():
    frames = TWO - TWO[:, :, :1]
    frames[1, 1] = 0  # not there
    np.testing.assert_array_equal(read(npz(frames)), frames.swapaxes(0, 1))
    frames[:, 0, 19] = 0  # a second one: a foot that was never seen
    with pytest.raises(RawFileError, match=r"frame 1, body 1, joint 1 \(centre of hips\): expected untracked"):
        read(npz(frames))


def test_a_recording_without_a_body_is_refused():
    with pytest.raises(RawFileError, match=r"x\.npz: no body in any of 4 frames"):
        read(npz(np.zeros_like(TWO)))


def test_another_kind_of_file_is_refused():
    with pytest.raises(RawFileError, match=r"x\.txt: expected a name that ends in \.npz or \.csv"):
        read(b"", "x.txt")


def read_or_refuse(data: bytes, name: str) -> None:
    with suppress(RawFileError):
        assert np.isfinite(read(data, name)).all()


CONTENTS = {"x.npz": npz(FRAMES), "x.csv": csv(FRAMES)}


@given(st.binary(max_size=200), st.sampled_from(sorted(CONTENTS)))
def test_random_bytes_are_refused_in_no_other_way(data, name):
    read_or_refuse(data, name)


@given(st.sampled_from(sorted(CONTENTS)), st.data())
def test_damaged_files_are_refused_in_no_other_way(name, draw):
    content = bytearray(CONTENTS[name])
    for at in draw.draw(st.lists(st.integers(-len(content), len(content) - 1), max_size=4)):
        content[at] = draw.draw(st.integers(0, 255))
    read_or_refuse(bytes(content[: draw.draw(st.integers(0, len(content)))]), name)


@given(st.lists(st.tuples(st.integers(6, 127), st.sampled_from(b"()[]{},'\":0123456789<>=fiuOVSULx \n-")), max_size=6))
def test_damaged_headers_of_arrays_are_refused_in_no_other_way(changes):
    npy = bytearray(npy_of((4, 20, 3), 1920))
    for at, byte in changes:
        npy[at] = byte
    read_or_refuse(npz_of(bytes(npy)), "x.npz")
