import multiprocessing
import os
import re
import zipfile

import pytest

from scdnet.raw.raw_files import RawFile, RawFileError, find_archives, find_raw_files


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "raw.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("deep/b.skeleton", "a.skeleton", "deep/notes.txt", "skeleton"):
            file.writestr(name, f"content of {name}")
    return path


def test_members_of_a_zip_with_the_suffix_are_sorted_and_read_in_place(archive):
    first, second = find_raw_files(archive, ".skeleton")
    assert (first.where, first.stem) == (f"{archive}/a.skeleton", "a")
    assert (second.where, second.stem) == (f"{archive}/deep/b.skeleton", "b")
    assert second.read() == b"content of deep/b.skeleton"


def test_a_folder_is_searched_with_all_folders_in_it(tmp_path):
    for name in ("x/y/b.skeleton", "a.skeleton", "x/c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    found = find_raw_files(tmp_path, ".skeleton")
    assert [(file.stem, file.read()) for file in found] == [
        ("a", b"a.skeleton"),
        ("b", b"x/y/b.skeleton"),
    ]


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege")
def test_links_to_folders_are_followed_once_each_and_never_in_circles(tmp_path):
    root = tmp_path / "raw"
    elsewhere = tmp_path / "elsewhere"
    for path in (root / "a.skeleton", elsewhere / "deep" / "b.skeleton"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    (root / "link").symlink_to(elsewhere)
    (root / "other_link").symlink_to(elsewhere / "deep")
    (elsewhere / "deep" / "back").symlink_to(root)
    (elsewhere / "itself").symlink_to(elsewhere / "itself")
    found = find_raw_files(root, ".skeleton")
    assert [(file.where, file.read()) for file in found] == [
        (str(root / "a.skeleton"), b"a.skeleton"),
        (str(root / "link" / "deep" / "b.skeleton"), b"b.skeleton"),
    ]


def test_of_two_members_of_one_name_each_is_read_itself(tmp_path):
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as file:
        file.writestr("a.skeleton", "first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.skeleton", "second")
    found = find_raw_files(tmp_path / "raw.zip", ".skeleton")
    assert [file.read() for file in found] == [b"first", b"second"]


def read_many_times(file: RawFile) -> bytes:
    return b"".join(file.read() for _ in range(200))


@pytest.mark.skipif(os.name != "posix", reason="needs fork")
def test_processes_forked_while_the_zip_is_open_read_it_each_for_itself(archive):
    files = find_raw_files(archive, ".skeleton")
    expected = [file.read() * 200 for file in files]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(read_many_times, files, chunksize=1) == expected


def test_a_damaged_member_is_an_error_that_names_it(archive):
    damaged = bytearray(archive.read_bytes())
    start = damaged.index(b"deep/b.skeleton") + len(b"deep/b.skeleton")
    damaged[start : start + 8] = b"\xff" * 8
    archive.write_bytes(damaged)
    good, bad = find_raw_files(archive, ".skeleton")
    assert good.read() == b"content of a.skeleton"
    with pytest.raises(RawFileError, match=r"raw\.zip/deep/b\.skeleton: cannot be read: "):
        bad.read()


def test_a_file_that_vanished_is_an_error_that_names_it(tmp_path):
    with pytest.raises(RawFileError, match=r"gone\.skeleton: cannot be read: .*No such file"):
        RawFile(str(tmp_path / "gone.skeleton")).read()


def test_only_the_first_bytes_of_a_file_may_be_read(archive):
    file = find_raw_files(archive, ".skeleton")[0]
    assert file.read(7) == b"content"


def test_a_7z_must_be_unpacked_first(tmp_path):
    (tmp_path / "raw.7z").write_bytes(b"7z\xbc\xaf\x27\x1c\0\4")
    expected = r"raw\.7z: expected a folder or a zip, found a 7z archive, which must be unpacked"
    with pytest.raises(RawFileError, match=expected):
        find_raw_files(tmp_path / "raw.7z", ".skeleton")


def test_a_root_that_is_neither_folder_nor_zip_is_refused(tmp_path):
    with pytest.raises(RawFileError, match="none: no such folder or zip"):
        find_raw_files(tmp_path / "none", ".skeleton")
    (tmp_path / "half.zip").write_bytes(b"PK\x03\x04 cut short")
    expected = r"half\.zip: expected a folder or a zip, found an incomplete zip, whose end is"
    with pytest.raises(RawFileError, match=expected):
        find_raw_files(tmp_path / "half.zip", ".skeleton")


def test_an_error_shows_the_line_where_there_is_one():
    assert str(RawFileError("a.txt", 3, "bad")) == "a.txt:3: bad"
    assert str(RawFileError("a.txt", 0, "bad")) == "a.txt: bad"


def test_what_macos_adds_to_a_zip_is_passed_over(tmp_path):
    names = ("a.skeleton", "__MACOSX/._a.skeleton", "x/._b.skeleton", "__MACOSX/x/c.skeleton")
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as file:
        for name in names:
            file.writestr(name, name)
            (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "raw" / name).write_text(name)
    for root in (tmp_path / "raw.zip", tmp_path / "raw"):
        assert [file.relative for file in find_raw_files(root, ".skeleton")] == ["a"]


def test_a_file_knows_its_path_below_what_was_searched(tmp_path):
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "y" / "a.b.npz").touch()
    assert find_raw_files(tmp_path, ".npz")[0].relative == "x/y/a.b"
    assert find_raw_files(tmp_path / "x", ".npz")[0].relative == "y/a.b"
    assert find_raw_files(tmp_path / "x" / "y" / "a.b.npz", ".npz")[0].relative == "a.b"
    assert RawFile("raw.zip", "x\\y/a.npz", 0).relative == "x/y/a"


def test_archives_in_folders_and_zips_are_listed(tmp_path):
    for name in ("a.7z", "x/b.ZIP", "x/c.tar.gz", "x/d.npz", "._e.zip"):
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / name).touch()
    names = [path[len(str(tmp_path)) + 5 :] for path in find_archives(tmp_path / "raw")]
    assert names == ["a.7z", "x/b.ZIP", "x/c.tar.gz"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "an empty file"),
        (bytes(50), "50 NUL bytes"),
        (b"<html>sign in", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (b"PK\3\4", "an incomplete zip, whose end is missing"),
        (b"Rar!", "a rar archive, which must be unpacked first"),
        (b"1 2 3", "File is not a zip file"),
    ],
)
def test_a_root_of_another_kind_is_called_that(tmp_path, content, kind):
    (tmp_path / "raw.zip").write_bytes(content)
    expected = f"raw.zip: expected a folder or a zip, found {kind}"
    with pytest.raises(RawFileError, match=re.escape(expected)):
        find_raw_files(tmp_path / "raw.zip", ".skeleton")
