import zipfile

import pytest

from scdnet.raw.raw_files import RawFileError
from scdnet.raw.ready_made.scratch import Scratch
from scdnet.raw.ready_made.sources import find_sources


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "raw" / "b").mkdir(parents=True)
    (tmp_path / "raw" / "a.pkl").write_bytes(b"one")
    (tmp_path / "raw" / "b" / "c.pkl").write_bytes(b"two")
    (tmp_path / "raw" / "note.txt").touch()
    return tmp_path / "raw"


def test_files_of_a_folder_are_read_where_they_are(folder, tmp_path):
    with Scratch(tmp_path / "a.h5") as scratch:
        sources = find_sources([folder], (".pkl",), scratch)
    assert [source.path for source in sources] == [folder / "a.pkl", folder / "b" / "c.pkl"]
    assert [source.where for source in sources] == [str(source.path) for source in sources]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_a_zip_are_unpacked_and_called_by_their_path_in_it(
    folder, tmp_path, compression
):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.write(folder / "a.pkl", "x\\a.pkl")
        archive.write(folder / "b" / "c.pkl", "y/c.pkl")
    with Scratch(tmp_path / "a.h5") as scratch:
        sources = find_sources([path], (".pkl",), scratch)
        assert [source.path.read_bytes() for source in sources] == [b"one", b"two"]
    assert [source.name for source in sources] == ["a.pkl", "c.pkl"]
    assert sources[1].where == f"{path}/y/c.pkl"


def test_a_damaged_member_is_one_error(folder, tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.pkl", b"content")
    path.write_bytes(path.read_bytes().replace(b"content", b"c0ntent"))
    with (
        Scratch(tmp_path / "a.h5") as scratch,
        pytest.raises(RawFileError, match=r"all\.zip/a\.pkl: cannot be read: Bad CRC-32"),
    ):
        find_sources([path], (".pkl",), scratch)
