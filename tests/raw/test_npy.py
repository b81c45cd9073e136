import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scdnet.raw.npy import parse_npy
from scdnet.raw.raw_files import RawFileError
from tests.raw.ready_made.importing import npy_bytes


def test_the_content_of_a_file_is_an_array():
    array = np.asfortranarray(np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(parse_npy(npy_bytes(array), "a"), array)
    with pytest.raises(RawFileError, match="found one of Python objects"):
        parse_npy(npy_bytes(np.array([None])), "a")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\x05\x00{}   ",
        b"text",
        npy_bytes(np.zeros(3))[:-1],
        npy_bytes(np.zeros(2, "f4,f4")).replace(
            b"[('f0', '<f4'), ('f1', '<f4')]", b"'(2,)<f4'" + b" " * 21
        ),
        npy_bytes(np.zeros(2, "V1")).replace(b"'|V1'", b"'|V0'"),
    ],
)
def test_what_is_no_array_is_one_error(data):
    with pytest.raises(RawFileError, match=r"^a\.npy: expected "):
        parse_npy(data, "a.npy")


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"<!DOCTYPE html>", "a web page"), (b"PK\3\4", "a zip"), (b"", "an empty file")],
)
def test_a_file_of_another_kind_is_called_that(data, kind):
    with pytest.raises(RawFileError, match=f"numpy.save writes it .{kind}"):
        parse_npy(data, "a.npy")


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 127), byte=st.integers(0, 255))
def test_any_damage_of_a_header_is_an_error_or_another_array(place, byte):
    data = bytearray(npy_bytes(np.zeros((2, 3), "f4")))
    data[place] = byte
    try:
        array = parse_npy(bytes(data), "a.npy")
    except RawFileError:
        return
    assert array.nbytes == 24
