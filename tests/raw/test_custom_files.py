import io
import re
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scdnet.raw import custom_files
from scdnet.raw.custom_files import read_csv, read_joints, read_npz
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import KINECT_V1_20
from tests.raw.walker import csv, npz, walking

JOINTS = KINECT_V1_20.joints
FRAMES = walking("kinect_v1_20", num_frames=4)  # (T, V, C)
TWO = np.stack([FRAMES, FRAMES[::-1]], axis=1)  # (T, M, V, C)
UNTRACKED = "expected joints that were not tracked to be filled in"
CONTENTS = {"x.npz": npz(TWO), "x.csv": csv(TWO)}


def read(data: bytes, name: str = "x.npz") -> np.ndarray:
    return read_joints(data, name, KINECT_V1_20)


@pytest.mark.parametrize("name", CONTENTS)
def test_the_suffix_tells_how_a_file_is_read_and_bodies_come_first(name):
    found = read(CONTENTS[name], f"a.zip/some.where/{name}")
    np.testing.assert_array_equal(found, TWO.swapaxes(0, 1))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(read(CONTENTS[name], name.upper()), found)


def test_integers_become_floats():
    found = read(npz((1000 * FRAMES).astype(np.int16)))
    assert found.dtype == np.float64 and found[0, 0, 3, 1] == 700


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (-np.inf, "-inf"), (1e30, "1e+30")])
def test_a_number_that_is_not_finite_is_named_with_its_frame(value, shown):
    frames = TWO.copy()
    frames[2, 1, 5] = [0, value, 1]
    # Only the first such frame is named.
    frames[3] = np.nan
    reason = f"x.npz: frame 3, body 2: expected finite numbers, found 0, {shown}, 1 for left elbow"
    with pytest.raises(RawFileError, match=re.escape(reason)):
        read(npz(frames))


def test_a_joint_that_was_not_tracked_is_named_with_its_frame():
    frames = TWO.copy()
    # A body with all joints at 0, 0, 0 is absent.
    frames[1, 0] = 0
    frames[2, 0, 19] = 0
    with pytest.raises(
        RawFileError, match=rf"x\.npz: frame 3, body 1: {UNTRACKED}, found 0, 0, 0 for right foot$"
    ):
        read(npz(frames))


def test_one_joint_may_be_the_origin_in_all_frames_of_a_body():
    frames = TWO - TWO[:, :, :1]
    # A body with all joints at 0, 0, 0 is absent.
    frames[1, 1] = 0
    np.testing.assert_array_equal(read(npz(frames)), frames.swapaxes(0, 1))
    # Now there is a second one, a foot that was never seen.
    frames[:, 0, 19] = 0
    reason = rf"frame 1, body 1: {UNTRACKED}, found 0, 0, 0 for center of hips, right foot$"
    with pytest.raises(RawFileError, match=reason):
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


@given(st.binary(max_size=200), st.sampled_from(sorted(CONTENTS)))
def test_random_bytes_are_refused_in_no_other_way(data, name):
    read_or_refuse(data, name)


@given(st.sampled_from(sorted(CONTENTS)), st.data())
def test_damaged_files_are_refused_in_no_other_way(name, draw):
    content = bytearray(CONTENTS[name])
    for at in draw.draw(st.lists(st.integers(-len(content), len(content) - 1), max_size=4)):
        content[at] = draw.draw(st.integers(0, 255))
    read_or_refuse(bytes(content[: draw.draw(st.integers(0, len(content)))]), name)


def from_npz(data: bytes) -> np.ndarray:
    return read_npz(data, "x.npz", 20)


def npz_of(npy: bytes) -> bytes:
    """Return a `.npz` whose only array file is `npy`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("joints.npy", npy)
    return file.getvalue()


def npy_of(shape: tuple[int, ...], num_bytes: int, descr: str = "<f8") -> bytes:
    """Return a `.npy` file that states `shape` and contains `num_bytes`."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return file.getvalue() + bytes(num_bytes)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<f2", "<i4", "<i8", "<u2"])
def test_real_numbers_of_any_type_and_order_are_read(dtype, order):
    positions = np.asarray(100 * (FRAMES + 3), dtype=dtype, order=order)
    np.testing.assert_array_equal(from_npz(npz(positions)), positions[:, None])


def test_the_second_axis_of_four_is_that_of_the_bodies():
    many = np.concatenate([TWO, TWO + 1, TWO + 2], axis=1)
    np.testing.assert_array_equal(from_npz(npz(many)), many)


def test_the_array_is_the_one_called_joints_or_the_only_one():
    np.testing.assert_array_equal(from_npz(npz(time=np.arange(4), joints=FRAMES))[:, 0], FRAMES)
    np.testing.assert_array_equal(from_npz(npz(whatever=FRAMES))[:, 0], FRAMES)
    with pytest.raises(
        RawFileError, match=re.escape("x.npz: expected an array 'joints', found a, b")
    ):
        from_npz(npz(a=FRAMES, b=FRAMES))
    with pytest.raises(RawFileError, match="expected an array 'joints', found none"):
        from_npz(npz())


def test_a_compressed_array_is_read_as_well():
    file = io.BytesIO()
    np.savez_compressed(file, joints=FRAMES)
    np.testing.assert_array_equal(from_npz(file.getvalue())[:, 0], FRAMES)


def with_version(version: tuple[int, int]) -> bytes:
    """Return a `.npy` file of version 2 or later with the joints of FRAMES."""
    file = io.BytesIO()
    np.lib.format.write_array(file, FRAMES, version=(2, 0))
    npy = bytearray(file.getvalue())
    npy[6:8] = bytes(version)
    return bytes(npy)


@pytest.mark.parametrize("version", [(2, 0), (3, 0)])
def test_arrays_of_all_versions_of_the_format_are_read(version):
    np.testing.assert_array_equal(from_npz(npz_of(with_version(version)))[:, 0], FRAMES)


SHAPE = (
    "expected an array of shape (frames, 20, 3) or (frames, bodies, 20, 3) with 1 to 216000 frames"
)
NUMPY = "expected an array as numpy.savez writes it"
BYTES = "bytes of float64 in shape"
HUGE = (216_000, 10**9, 20, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cannot be read: File is not a zip file"),
        (npz(FRAMES)[:-30], "cannot be read: File is not a zip file"),
        (npz(FRAMES.astype(complex)), "expected an array of real numbers, found one of complex128"),
        (npz(FRAMES.astype(str)), "expected an array of real numbers, found one of <U"),
        (npz(FRAMES.astype(object)), "expected an array of real numbers, found one of object"),
        (npz(FRAMES > 0), "expected an array of real numbers, found one of bool"),
        (npz(FRAMES[0]), f"{SHAPE}, found (20, 3)"),
        (npz(FRAMES[:, :19]), f"{SHAPE}, found (4, 19, 3)"),
        (npz(FRAMES[:, :, :2]), f"{SHAPE}, found (4, 20, 2)"),
        (npz(TWO[None]), f"{SHAPE}, found (1, 4, 2, 20, 3)"),
        (npz(FRAMES[:0]), f"{SHAPE}, found (0, 20, 3)"),
        (npz(TWO[:, :0]), f"{SHAPE}, found (4, 0, 20, 3)"),
        (npz_of(npy_of((216_001, 20, 3), 9)), f"{SHAPE}, found (216001, 20, 3)"),
        (npz_of(npy_of((-4, 20, 3), 1920)), f"{SHAPE}, found (-4, 20, 3)"),
        (npz_of(npy_of((4, 20, 3), 1919)), f"expected 1920 {BYTES} (4, 20, 3), found 1919"),
        (npz_of(npy_of((4, 20, 3), 1921)), f"expected 1920 {BYTES} (4, 20, 3), found 1921"),
        (npz_of(npy_of(HUGE, 1920)), f"expected 103680000000000000 {BYTES} {HUGE}, found 1920"),
        (npz_of(b"no array"), f"{NUMPY} (the magic string is not correct"),
        (npz_of(npy_of((4, 20, 3), 0)[:50]), f"{NUMPY} (EOF: reading array header"),
        (npz_of(b"\x93NUMPY\x03\x00"), f"{NUMPY} (EOF: reading array header length"),
        (npz_of(with_version((9, 0))), f"{NUMPY} (we only support format version"),
    ],
)  # fmt: skip
def test_a_file_without_an_array_of_joints_is_refused(data, reason):
    with pytest.raises(RawFileError, match=re.escape(f"x.npz: {reason}")):
        from_npz(data)


def test_a_member_that_would_unpack_to_too_many_bytes_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(custom_files, "MAX_BYTES", 2000)
    with pytest.raises(RawFileError, match=r"x\.npz: expected at most 2000 bytes, found 2048"):
        from_npz(npz(FRAMES))


def test_a_damaged_member_is_refused():
    data = bytearray(npz(FRAMES))
    data[len(data) // 2] ^= 1
    with pytest.raises(RawFileError, match=r"x\.npz: cannot be read: Bad CRC-32"):
        from_npz(bytes(data))


@given(
    st.lists(
        st.tuples(st.integers(6, 127), st.sampled_from(b"()[]{},'\":0123456789<>=fiuOVSULx \n-")),
        max_size=6,
    )
)
def test_arrays_with_damaged_headers_are_read_or_refused(changes):
    npy = bytearray(npy_of((4, 20, 3), 1920))
    for at, byte in changes:
        npy[at] = byte
    with suppress(RawFileError):
        assert from_npz(npz_of(bytes(npy))).shape[2:] == (20, 3)


def from_csv(data: bytes) -> np.ndarray:
    return read_csv(data, "x.csv", 20)


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
SEVENTH_CELL = "expected a finite number in column 7"


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"", 0, "expected a line for each frame, found none"),
        (HEADER, 0, "expected a line for each frame, found none"),
        (b"1,2,3\n", 1, f"{WIDTH}, found 3"),
        (csv(FRAMES).replace(b",", b" "), 1, f"{WIDTH}, found 1"),
        (csv(FRAMES).replace(b",", b";"), 1, f"{WIDTH}, found 1"),
        (csv(FRAMES).replace(b"\n", b",\n"), 1, f"{WIDTH}, found 61"),
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
    monkeypatch.setattr(custom_files, "MAX_FRAMES", 3)
    with pytest.raises(RawFileError, match=r"x\.csv:4: expected at most 3 frames"):
        from_csv(csv(FRAMES))
