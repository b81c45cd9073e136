import os
from pathlib import Path

import pytest

from scdnet.errors import ScdnetError
from scdnet.files import DOWNLOAD_FAULTS, atomic_write, find_download_fault


def write(path: Path, text: str, error: BaseException | None = None) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())
        if error is not None:
            raise error


def test_the_file_appears_when_it_is_complete_in_a_folder_that_is_made(tmp_path):
    path = tmp_path / "new" / "deep" / "a.txt"
    with atomic_write(path) as file:
        file.write(b"new")
        assert file.name == path.with_name("a.txt.tmp") and not path.exists()
    assert path.read_text() == "new" and list(path.parent.iterdir()) == [path]


def test_an_earlier_file_is_replaced(tmp_path):
    path = tmp_path / "a.txt"
    write(path, "old")
    write(path, "new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_after_an_error_the_earlier_file_stays_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    write(path, "old")
    with pytest.raises(type(error)):
        write(path, "new", error)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_an_error_before_anything_was_written_comes_through(tmp_path):
    with pytest.raises(KeyError), atomic_write(tmp_path / "a.txt"):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    path, seen = tmp_path / "a.txt", []

    def fsync(number: int) -> None:
        seen.append(
            (os.fstat(number).st_ino == path.with_name("a.txt.tmp").stat().st_ino, path.exists())
        )

    monkeypatch.setattr(os, "fsync", fsync)
    write(path, "new")
    assert seen == [(True, False)]


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ScdnetError, match="folder: is a directory, expected the name of a file"):
        write(tmp_path / "folder", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("mark", DOWNLOAD_FAULTS)
@pytest.mark.parametrize("before", [b"", b"\n\n  ", b"\xef\xbb\xbf"])
def test_what_arrives_instead_of_a_file_is_named(tmp_path, mark, before):
    path = tmp_path / "a.h5"
    for start in (mark, mark.upper()):
        path.write_bytes(before + start + b" anything" * 100)
        assert find_download_fault(path) == DOWNLOAD_FAULTS[mark]


@pytest.mark.parametrize(
    "content", [b"", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"a <html", b"versi"]
)
def test_other_files_are_no_failed_downloads(tmp_path, content):
    (tmp_path / "a.h5").write_bytes(content)
    assert find_download_fault(tmp_path / "a.h5") is None
