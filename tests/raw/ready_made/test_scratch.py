import io
import shutil

import pytest

from scdnet.raw.raw_files import RawFileError
from scdnet.raw.ready_made.scratch import Scratch, format_size


def test_a_member_is_copied_beside_the_store_and_removed_at_the_end(tmp_path, capsys):
    out = tmp_path / "new" / "a.h5"
    with Scratch(out) as scratch:
        path = scratch.unpack(io.BytesIO(b"abc"), 3, "x.npz/y.npy")
        assert path.read_bytes() == b"abc" and path.suffix == ".npy"
        assert path.parent.parent == out.parent
    assert list(out.parent.iterdir()) == []
    said = f"Unpacking x.npz/y.npy: 0.0 MB in a temporary file beside {out}\n"
    assert capsys.readouterr().out == said


def test_nothing_is_made_if_nothing_is_unpacked(tmp_path):
    with Scratch(tmp_path / "new" / "a.h5"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_after_an_error(tmp_path):
    with (
        pytest.raises(RawFileError, match="expected 9 bytes, found 3"),
        Scratch(tmp_path / "a.h5") as scratch,
    ):
        scratch.unpack(io.BytesIO(b"abc"), 9, "x")
    assert list(tmp_path.iterdir()) == []


def test_a_member_larger_than_stated_is_refused(tmp_path):
    with (
        Scratch(tmp_path / "a.h5") as scratch,
        pytest.raises(RawFileError, match="expected 2 bytes, found more"),
    ):
        scratch.unpack(io.BytesIO(b"abc"), 2, "x")


def test_a_disk_without_room_is_found_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=5_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with (
        Scratch(tmp_path / "a.h5") as scratch,
        pytest.raises(RawFileError, match=r"takes 7\.2 GB beside --out, which has 5\.0 MB"),
    ):
        scratch.unpack(io.BytesIO(b"abc"), 7_200_000_000, "x")


def test_sizes_are_short():
    assert (format_size(7_216_380_000), format_size(800_000)) == ("7.2 GB", "0.8 MB")
