import errno
import os
import re
from pathlib import Path

import pytest

from scdnet.errors import ScdnetError
from scdnet.files import (
    DOWNLOAD_FAULTS,
    PatientFile,
    append_text,
    atomic_directory,
    atomic_write,
    check_writable,
    find_download_fault,
    unwritable_error,
)
from tests.faults import largest_file


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


def test_a_file_without_room_stays_as_it_was_and_the_bytes_needed_are_stated(tmp_path):
    path = tmp_path / "a.txt"
    write(path, "old " * 50)
    message = (
        r"a\.txt: cannot be written \(File too large\); nothing was changed; "
        r"at least 1,000 bytes are needed, [\d,]+ bytes are free there, but files of that size"
    )
    for size in (0, 100, 999):
        with largest_file(size), pytest.raises(ScdnetError, match=message):
            write(path, "new " * 250)
        assert path.read_text() == "old " * 50
        assert list(tmp_path.iterdir()) == [path]
    with largest_file(1000):
        write(path, "new " * 250)
    assert path.read_text() == "new " * 250


def test_bytes_after_a_failed_write_are_counted_wherever_they_belong(tmp_path):
    with PatientFile(tmp_path / "a") as file, largest_file(10):
        file.write(bytes(20))
        file.write(bytes(5))
        assert (file.tell(), file.num_bytes) == (25, 25)
        file.seek(100)
        file.write(bytes(1))
        file.seek(0)
        file.write(bytes(2))
        assert file.num_bytes == 101
        with pytest.raises(ScdnetError, match="at least 101 bytes are needed"):
            file.check()
    assert (tmp_path / "a").stat().st_size == 10


def test_an_error_that_follows_from_a_failed_write_is_explained_by_it(tmp_path):
    with largest_file(2), pytest.raises(ScdnetError, match="File too large"):
        write(tmp_path / "a.txt", "text", RuntimeError("a part is missing"))
    with largest_file(2), pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.txt", "text", KeyboardInterrupt())


def test_lines_are_appended_all_or_none(tmp_path):
    path = tmp_path / "new" / "a.jsonl"
    append_text(path, "one\n")
    for size in range(4, 12):
        with largest_file(size), pytest.raises(ScdnetError, match=r"at least 8 bytes are needed"):
            append_text(path, "two\nsix\n")
        assert path.read_text() == "one\n"
    with largest_file(12):
        append_text(path, "two\nsix\n")
    assert path.read_text() == "one\ntwo\nsix\n"


def test_an_unfinished_line_stays_a_line_of_its_own(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("one\nunfin")
    append_text(path, "two\n")
    assert path.read_text() == "one\nunfin\ntwo\n"


def test_a_check_of_what_can_be_written_leaves_nothing(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    check_writable(tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "new" / "deep" / "c.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "is a directory, expected the name of a file"),
        ("file/a.txt", r"cannot create its directory \(Not a directory: .*file\)"),
        ("x" * 300, r"cannot be written \(File name too long\)"),
        ("x" * 253, r"cannot be written \(File name too long\)"),
        ("new/" + "x" * 300 + "/a.txt", r"cannot create its directory \(File name too long: "),
    ],
)
def test_what_cannot_be_written_is_found_by_the_check(tmp_path, name: str, message: str):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ScdnetError, match=message):
        check_writable(tmp_path / name)


def test_a_quota_is_told_from_a_full_disk(tmp_path):
    path = tmp_path / "a" / "file"
    error = OSError(errno.EDQUOT, "Disk quota exceeded")
    assert re.fullmatch(
        rf"{re.escape(str(path))}: cannot be written \(Disk quota exceeded\); nothing was changed; "
        r"at least 1,500 bytes are needed, [\d,]+ bytes are free there, but not to this user",
        str(unwritable_error(path, error, 1500)),
    )


def fill_directory(path: Path, text: str, error: BaseException | None = None) -> None:
    with atomic_directory(path) as partial:
        (partial / "a.txt").write_text(text)
        assert not path.exists() or (path / "a.txt").read_text() != text
        if error is not None:
            raise error


def test_a_directory_appears_when_it_is_complete_and_replaces_an_earlier_one(tmp_path):
    path = tmp_path / "new" / "d"
    fill_directory(path, "old")
    (path / "b.txt").write_text("of the earlier one")
    fill_directory(path, "new")
    assert (path / "a.txt").read_text() == "new"
    assert list(path.iterdir()) == [path / "a.txt"] and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_after_an_error_the_earlier_directory_stays_and_nothing_else(tmp_path, error):
    path = tmp_path / "d"
    fill_directory(path, "old")
    with pytest.raises(type(error)):
        fill_directory(path, "new", error)
    assert (path / "a.txt").read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_directory_that_cannot_be_renamed_leaves_the_earlier_one(tmp_path, monkeypatch):
    path = tmp_path / "d"
    fill_directory(path, "old")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "d.tmp":
            raise PermissionError(errno.EACCES, "no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PermissionError):
        fill_directory(path, "new")
    assert (path / "a.txt").read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_call_has_left_is_replaced(tmp_path):
    (tmp_path / "d.tmp").mkdir()
    (tmp_path / "d.tmp" / "half.txt").write_text("half")
    fill_directory(tmp_path / "d", "new")
    assert list((tmp_path / "d").iterdir()) == [tmp_path / "d" / "a.txt"]
