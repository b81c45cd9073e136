import collections
import contextlib
import io
import math
import os
import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from scdnet.raw.raw_files import RawFileError
from scdnet.raw.ready_made.arrays import StoredArray
from scdnet.raw.ready_made.pickles import describe, read_object_npy, read_pickle
from scdnet.raw.ready_made.sources import Source

PROTOCOLS = pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))


@pytest.fixture(scope="session")
def read(tmp_path_factory):
    """Read bytes as a pickle file."""
    path = tmp_path_factory.mktemp("pickles") / "a.pkl"

    def call(data: bytes):
        path.write_bytes(data)
        return read_pickle(Source(path, "a.pkl"))

    return call


def assert_same(found: object, expected: object) -> None:
    """Check that a value was read as it was pickled; arrays are read now."""
    if isinstance(found, StoredArray) and isinstance(expected, np.ndarray):
        array = found.read()
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
    elif isinstance(expected, np.generic):
        assert_same(found, expected.item())
    elif isinstance(expected, list | tuple):
        assert type(found) is type(expected) and len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, float) and math.isnan(expected):
        assert math.isnan(found)
    else:
        assert type(found) is type(expected) and found == expected


NUMBERS = st_numpy.arrays(
    st.sampled_from(["f2", "<f4", ">f4", "f8", "i1", "<i8", ">i2", "u4", "b1", "U5", "S3"]),
    st_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9),
)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.sampled_from([np.int64(-3), np.float32(0.5), np.bool_(True), np.str_("ab"), np.uint8(9)])
)
VALUES = st.recursive(
    PLAIN | NUMBERS | NUMBERS.map(np.asfortranarray),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(value=VALUES, protocol=st.integers(2, 5))
def test_what_is_admitted_is_read_as_pickle_reads_it(read, value, protocol):
    assert_same(read(pickle.dumps(value, protocol)), value)


@PROTOCOLS
def test_names_and_labels_of_any_protocol_are_read(read, protocol):
    value = (["S001C001P001R001A001.skeleton", "a\nb", "é"], [0, 59, 2**40])
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_arrays_are_known_under_the_module_names_of_numpy_1_and_2(read, core):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    data = pickle.dumps([array, np.float64(0.25)], 2)
    for name in (b"numpy._core", b"numpy.core"):
        data = data.replace(name, core.encode())
    assert core.encode() in data
    assert_same(read(data), [array, 0.25])


# As Python 2 writes them: texts are bytes, with a length of 1 or 4 bytes or, in protocol 0, quoted.
PYTHON_2 = {
    "protocol 0": b"((lp0\nS'S001C001'\np1\naS'S002\\'x'\np2\na(lp3\nI0\naI59\natp4\n.",
    "protocol 2": (
        b"\x80\x02]q\x00(U\x08S001C001q\x01T\x06\x00\x00\x00S002'xq\x02e]q\x03(K\x00K;e\x86."
    ),
}


@pytest.mark.parametrize("protocol", PYTHON_2)
def test_label_files_of_python_2_are_read(read, protocol):
    assert read(PYTHON_2[protocol]) == (["S001C001", "S002'x"], [0, 59])


@pytest.mark.parametrize("num_values", [3, 3000])
def test_arrays_of_python_2_are_read(read, num_values):
    array = np.arange(num_values, dtype=">i4")
    numbers = array.tobytes()
    data = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01J" + struct.pack("<i", num_values) + b"\x85cnumpy\ndtype\nU\x02i4K\x00K\x01\x87R"
        b"(K\x03U\x01>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + struct.pack("<i", len(numbers)) + numbers + b"tb."
    )
    assert_same(read(data), array)


def test_arrays_stay_in_the_file_until_they_are_read(tmp_path):
    arrays = [np.full((500, 1000), number, np.float32) for number in range(20)]
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(arrays))
    del arrays
    tracemalloc.start()
    found = read_pickle(Source(path, "a.pkl"))
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 1e6 and peak < 5e6, "expected one array of 2 MB at a time"
    assert [array.read().flat[-1] for array in found] == list(range(20))
    # Workers read them as well.
    assert pickle.loads(pickle.dumps(found[7])).read().max() == 7


class Malicious:
    """A value whose pickle calls a function."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


def touch(path: str) -> None:
    Path(path).touch()


CALLS = {
    "posix.system": Malicious(os.system, "exit 1"),
    "builtins.eval": Malicious(eval, "1"),
    "builtins.getattr": Malicious(getattr, 1, "real"),
    "builtins.set": {1, 2},
    "builtins.complex": 1j,
    "numpy.load": Malicious(np.load, "x"),
    "collections.OrderedDict": collections.OrderedDict(a=1),
    "pathlib.": Path("x"),
    "touch": Malicious(touch, "x"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("protocol", [2, 4])
def test_anything_else_is_refused_by_name_and_not_called(
    read, name, protocol, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for value in (CALLS[name], [np.zeros(3), {"a": CALLS[name]}]):
        data = pickle.dumps(value, protocol)
        refused = "it needs the operation|it names .*" + name.split(".")[-1]
        with pytest.raises(RawFileError, match=refused):
            read(data)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_an_array_of_objects_smuggles_nothing_in(read, protocol):
    array = np.array([None, [1, "a"]], dtype=object)
    assert read(pickle.dumps(array, protocol)).items == [None, [1, "a"]]
    array[0] = Malicious(os.system, "exit 1")
    with pytest.raises(RawFileError, match=r"it names 'posix\.system', and only numpy arrays"):
        read(pickle.dumps(array, protocol))


def test_an_array_of_objects_has_no_numbers(read):
    array = read(pickle.dumps(np.array([1, "a"], dtype=object)))
    with pytest.raises(RawFileError, match="expected an array of numbers, found one of objects"):
        array.read()


ABSURD = {
    "a text": b"\x80\x04X\xff\xff\xff\x7fabc.",
    "bytes": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x0fabc.",
    "a long": b"\x80\x04\x8b\xff\xff\xff\x7fabc.",
    "a frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff",
    "an array": pickle.dumps(np.zeros(3), 2).replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85"),
}


@pytest.mark.parametrize("what", ABSURD)
def test_an_absurd_size_is_refused_without_asking_for_the_memory(read, what):
    tracemalloc.start()
    with pytest.raises(RawFileError, match=r"^a\.pkl: "):
        read(ABSURD[what])
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_nested_tuples_cannot_stall_it(read):
    # Each tuple holds the one before twice: the hash of the last would take 2 ** 60 steps.
    data = b"\x80\x04}" + b")" + b"2\x86" * 60 + b"K\x01s."
    with pytest.raises(RawFileError, match="a key of a dict is a tuple"):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"", b".", b"hello", b"\x80\x04", b"\x80\x04N", b"\x80\x04(.", b"\x80\x04NN.",
        b"\x80\x04e.",
        b"\x80\x04h\x05.", b"\x80\x04a.", b"\x80\x04}Ns.", b"\x80\x04Nb.", b"\x80\x04N)R.",
        b"\x80\x04Pa\n.", b"\x80\x04\x82\x01.", b"<html>", b"\x80\x04\x97.", b"\x80\x04(NNNt0u.",
        b"\x80\x04}(Nu.", b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aN\x86R.",
    ],
)  # fmt: skip
def test_a_damaged_pickle_is_one_error(read, data):
    with pytest.raises(RawFileError, match=r"^a\.pkl: "):
        read(data)


@settings(max_examples=150, deadline=None)
@given(
    value=VALUES,
    protocol=st.integers(0, 5),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 10**6),
)
def test_any_damage_is_an_error_or_a_value(read, value, protocol, changes, cut):
    data = bytearray(pickle.dumps(value, protocol))
    for place, byte in changes:
        data[place % len(data)] = byte
    data = data[: cut % (2 * len(data))]
    with contextlib.suppress(RawFileError):
        found = read(bytes(data))
        for array in [found, *(found if isinstance(found, list) else ())]:
            if isinstance(array, StoredArray):
                array.read()


def test_an_object_that_numpy_has_pickled_is_read(tmp_path):
    path = tmp_path / "a.npy"
    value = {"file_name": "a", "nbodys": [1, 2], "skel_body0": np.ones((3, 25, 3))}
    np.save(path, value)
    assert_same(read_object_npy(Source(path, "a.npy")), value)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(3), "expected a pickled object, found float64"),
        (np.array([1, None]), "expected a single pickled object"),
    ],
)
def test_another_array_is_no_pickled_object(tmp_path, array, reason):
    file = io.BytesIO()
    np.save(file, array)
    (tmp_path / "a.npy").write_bytes(file.getvalue())
    with pytest.raises(RawFileError, match=reason):
        read_object_npy(Source(tmp_path / "a.npy", "a.npy"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"), (3, "3"), ("a", "'a'"), (True, "a bool"), ([1], "a list"),
        ("x" * 99, "'" + "x" * 37 + "...'"), (10**99, "1" + "0" * 36 + "..."),
    ],
)  # fmt: skip
def test_a_value_is_described_shortly(value, text):
    assert describe(value) == text
