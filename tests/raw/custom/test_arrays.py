import io
import re
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scdnet.raw.custom import arrays
from scdnet.raw.custom.arrays import read_npz
from scdnet.raw.custom.readers import read_joints
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import KINECT_V1_20
from tests.raw.broken import with_count
from tests.raw.walker import npz, walking

FRAMES = walking("kinect_v1_20", num_frames=4)  # (T, V, C)
TWO = np.stack([FRAMES, FRAMES[::-1]], axis=1)  # (T, M, V, C)


def from_npz(data: bytes) -> np.ndarray:
    return read_npz(data, "x.npz", KINECT_V1_20).bodies.swapaxes(0, 1)


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
    many = np.concatenate([TWO, TWO + 1], axis=1)
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
NUMPY = "expected an array as numpy.save writes it"
BYTES = "bytes of float64 in shape"
HUGE = (216_000, 6, 20, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cannot be read: File is not a zip file; found an empty file"),
        (npz(FRAMES)[:-30], "cannot be read: an incomplete file, its end is missing"),
        (npz(FRAMES.astype(complex)), "expected an array of real numbers, found one of complex"),
        (npz(FRAMES.astype(str)), "expected an array of real numbers, found one of <U"),
        (npz(FRAMES.astype(object)), "expected an array of numbers, found one of Python objects"),
        (npz(FRAMES > 0), "expected an array of real numbers, found one of bool"),
        (npz(FRAMES[0]), f"{SHAPE}, found (20, 3)"),
        (npz(FRAMES[:, :19]), f"{SHAPE}, found (4, 19, 3)"),
        (npz(FRAMES[:, :, :2]), f"{SHAPE}, found (4, 20, 2)"),
        (npz(TWO[None]), f"{SHAPE}, found (1, 4, 2, 20, 3)"),
        (npz(FRAMES[:0]), f"{SHAPE}, found (0, 20, 3)"),
        (npz(TWO[:, :0]), f"{SHAPE}, found (4, 0, 20, 3)"),
        (npz_of(npy_of((216_001, 20, 3), 12_960_060, "|i1")), f"{SHAPE}, found (216001, 20, 3)"),
        (npz_of(npy_of((-4, 20, 3), 1920)), f"expected -1920 {BYTES} (-4, 20, 3), found 1920"),
        (npz_of(npy_of((4, 20, 3), 1919)), f"expected 1920 {BYTES} (4, 20, 3), found 1919"),
        (npz_of(npy_of((4, 20, 3), 1921)), f"expected 1920 {BYTES} (4, 20, 3), found 1921"),
        (npz_of(npy_of(HUGE, 1920)), f"expected 622080000 {BYTES} {HUGE}, found 1920"),
        (npz_of(b"no array"), f"{NUMPY} (the magic string is not correct"),
        (npz_of(npy_of((4, 20, 3), 0)[:50]), f"{NUMPY} (EOF: reading array header"),
        (npz_of(b"\x93NUMPY\x03\x00"), f"{NUMPY} (EOF: reading array header length"),
        (npz_of(with_version((9, 0))), f"{NUMPY} (an unknown version (9, 0)"),
    ],
)  # fmt: skip
def test_a_file_without_an_array_of_joints_is_refused(data, reason):
    with pytest.raises(RawFileError, match=re.escape(f"x.npz: {reason}")):
        from_npz(data)


def test_a_member_that_would_unpack_to_too_many_bytes_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(arrays, "MAX_BYTES", 2000)
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


CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=4
)


@with_count
@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_broken_files_are_read_or_refused_with_one_reason(name, num_broken):
    file = io.BytesIO()
    np.save(file, FRAMES)
    sound = npz(FRAMES) if name == "x.npz" else file.getvalue()

    @settings(max_examples=num_broken, deadline=None)
    @given(CHANGES)
    def check(changes):
        data = sound
        for share, num_lost, piece in changes:
            # Half of the changes concern the header.
            at = int((share % 0.5) * 2 * (len(data) if share < 0.5 else 200))
            data = data[:at] + piece + data[at + num_lost :]
        with suppress(RawFileError):
            bodies = read_joints(data, name, KINECT_V1_20).bodies
            assert bodies.shape[2:] == (20, 3) and np.isfinite(bodies).all()

    check()


def test_a_single_array_is_not_taken_for_several():
    file = io.BytesIO()
    np.save(file, FRAMES)
    with pytest.raises(RawFileError, match=r"a single array, whose name must end in \.npy"):
        from_npz(file.getvalue())
    with pytest.raises(RawFileError, match=r"expected an array as numpy.save writes it \(a zip"):
        read_joints(npz(FRAMES), "x.npy", KINECT_V1_20)


def test_an_annotation_of_pyskl_leads_to_the_importer():
    for names in (("keypoint", "label"), ("frame_dir", "keypoint"), ("x", "total_frames")):
        with pytest.raises(RawFileError, match="scdnet prepare import --format pyskl"):
            from_npz(npz(**dict.fromkeys(names, FRAMES)))
