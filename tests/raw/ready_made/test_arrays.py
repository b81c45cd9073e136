import pickle

import numpy as np
import pytest

from scdnet.raw.raw_files import RawFileError
from scdnet.raw.ready_made.arrays import StoredArray, TypeCode, open_npy
from scdnet.raw.ready_made.sources import Source
from tests.raw.ready_made.importing import npy_bytes


def save(tmp_path, data: bytes) -> Source:
    (tmp_path / "a.npy").write_bytes(data)
    return Source(tmp_path / "a.npy", "a.npy")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "i2"])
def test_rows_are_read_one_by_one(tmp_path, order, dtype):
    array = np.arange(24).reshape(4, 2, 3).astype(dtype, order=order)
    rows = open_npy(save(tmp_path, npy_bytes(array)))
    assert (rows.shape, rows.dtype) == (array.shape, array.dtype)
    rows = pickle.loads(pickle.dumps(rows))
    for index in range(4):
        np.testing.assert_array_equal(rows.read_row(index), array[index])


def test_an_array_inside_a_file_is_read(tmp_path):
    array = np.arange(6.0).reshape(3, 2)
    data = npy_bytes(array)
    source = save(tmp_path, b"before" + data + b"behind")
    rows = open_npy(source, start=6, size=len(data))
    np.testing.assert_array_equal(rows.map(), array)


def test_an_array_without_numbers_is_empty(tmp_path):
    assert open_npy(save(tmp_path, npy_bytes(np.zeros((0, 5))))).map().shape == (0, 5)


def test_a_file_that_became_shorter_is_one_error(tmp_path):
    source = save(tmp_path, npy_bytes(np.zeros((3, 100))))
    rows = open_npy(source)
    source.path.write_bytes(b"short")
    with pytest.raises(RawFileError, match=r"a\.npy: cannot be read"):
        rows.read_row(2)


@pytest.mark.parametrize("code", ["m8", "V8", "c8", "f16", "O16", "x", "", "U", "f4,f4"])
def test_other_types_are_refused(code):
    with pytest.raises(ValueError, match="a numpy type"):
        TypeCode(code)


def test_another_byte_order_is_refused():
    with pytest.raises(ValueError, match="a byte order"):
        TypeCode("f4").set_order("x")


@pytest.mark.parametrize(
    ("shape", "data", "reason"),
    [
        ((3,), b"1234", r"an array of shape \(3,\) of 4 bytes, not 12"),
        ((-1,), b"1234", "an array of an impossible shape"),
        ((1.0,), b"1234", "an array of an impossible shape"),
        ((True,), b"1234", "an array of an impossible shape"),
        ((1,) * 9, b"1234", "an array of an impossible shape"),
        ((1,), 3, "an array whose numbers are a int"),
        ((1,), [3], "an array whose numbers are a list"),
    ],
)
def test_content_that_does_not_fit_is_refused(tmp_path, shape, data, reason):
    with pytest.raises(ValueError, match=reason):
        StoredArray(tmp_path, "a").fill(shape, TypeCode("f4"), data)


def test_an_array_that_was_never_filled_cannot_be_read(tmp_path):
    with pytest.raises(RawFileError, match="expected an array of numbers"):
        StoredArray(tmp_path, "a").read()
