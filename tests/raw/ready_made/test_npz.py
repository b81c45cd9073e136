import zipfile

import numpy as np
import pytest

from scdnet.raw.raw_files import RawFileError
from scdnet.raw.ready_made.npz import Npz
from scdnet.raw.ready_made.scratch import Scratch
from scdnet.raw.ready_made.sources import Source

ARRAYS = {"x": np.arange(600, dtype="f4").reshape(20, 30), "y": np.eye(3)}


@pytest.fixture
def scratch(tmp_path):
    with Scratch(tmp_path / "out" / "a.h5") as scratch:
        yield scratch


def write(tmp_path, save=np.savez) -> Source:
    save(tmp_path / "a.npz", **ARRAYS)
    return Source(tmp_path / "a.npz", "a.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_rows_of_a_member_are_read_in_any_order(tmp_path, scratch, save):
    npz = Npz(write(tmp_path, save))
    assert list(npz.members) == ["x", "y"]
    rows = npz.open_rows("x", scratch)
    for index in (19, 0, 7):
        np.testing.assert_array_equal(rows.read_row(index), ARRAYS["x"][index])
    np.testing.assert_array_equal(npz.read_whole("y"), ARRAYS["y"])


def test_what_a_member_takes_is_said_and_one_that_is_not_compressed_takes_nothing(
    tmp_path, scratch, capsys
):
    Npz(write(tmp_path)).open_rows("x", scratch)
    assert capsys.readouterr().out == "Checking a.npz/x.npy: 0.0 MB\n"
    assert not (tmp_path / "out").exists()
    Npz(write(tmp_path, np.savez_compressed)).open_rows("x", scratch)
    assert capsys.readouterr().out.startswith("Unpacking a.npz/x.npy: 0.0 MB in a temporary file")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("read", ["rows", "whole"])
def test_a_changed_byte_is_found(tmp_path, scratch, save, read):
    source = write(tmp_path, save)
    data = bytearray(source.path.read_bytes())
    with zipfile.ZipFile(source.path) as archive:
        member = archive.getinfo("x.npy")
    data[member.header_offset + 60 + member.compress_size // 2] ^= 4
    source.path.write_bytes(data)
    npz = Npz(source)
    with pytest.raises(RawFileError, match=r"^a\.npz: cannot be read: "):
        npz.open_rows("x", scratch) if read == "rows" else npz.read_whole("x")


def test_what_is_no_zip_is_one_error(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"text")
    with pytest.raises(RawFileError, match=r"^a\.npz: cannot be read: File is not a zip file"):
        Npz(Source(tmp_path / "a.npz", "a.npz"))


def test_a_member_that_is_no_array_is_one_error(tmp_path, scratch):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", b"text")
    npz = Npz(Source(tmp_path / "a.npz", "a.npz"))
    for read in (npz.read_whole, lambda name: npz.open_rows(name, scratch)):
        with pytest.raises(RawFileError, match=r"^a\.npz/x\.npy: expected an array"):
            read("x")


def test_a_member_too_large_to_be_read_as_a_whole_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("scdnet.raw.ready_made.npz.MAX_WHOLE_BYTES", 100)
    with pytest.raises(RawFileError, match="expected at most 100 bytes, found 2528"):
        Npz(write(tmp_path)).read_whole("x")
