import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from scdnet.data.store import SkeletonSequence, open_sequences
from scdnet.data.store_writer import WRITE_FRAMES, StoreWriter
from scdnet.errors import ScdnetError
from scdnet.skeletons import NTU_25


def writer_of(path):
    return StoreWriter(
        path, skeleton=NTU_25, dataset="synthetic", class_names=("a", "b", "ü"), created_by="a test"
    )


def write(path, sequences, error: BaseException | None = None):
    with writer_of(path) as writer:
        for sequence in sequences:
            writer.append(sequence)
        if error is not None:
            raise error
        writer.finish({})


def test_sequences_longer_and_shorter_than_what_is_written_at_a_time(tmp_path, make_sequences):
    lengths = (WRITE_FRAMES + 1, 1, WRITE_FRAMES - 1, 7)
    write(tmp_path / "store.h5", make_sequences(lengths))
    with open_sequences(tmp_path / "store.h5") as store:
        for read, written in zip(store, make_sequences(lengths), strict=True):
            np.testing.assert_array_equal(read.frames, written.frames)


def test_datasets_and_types_are_those_of_the_contract(path):
    with h5py.File(path) as file:
        assert file["frames"].shape == (9, 2, 25, 3) and file["frames"].dtype == np.float32
        assert file["offset"].shape == (4,) and file["offset"].dtype == np.int64
        for key in ("label", "subject", "camera", "setup", "replication"):
            assert file[key].dtype == np.int64, key
        assert file["split/xsub"].dtype == bool
        assert set(file.attrs) == {
            "format",
            "version",
            "dataset",
            "skeleton",
            "class_names",
            "normalization",
            "created_by",
            "frames_sha256",
            "content_sha256",
            "text_blocks",
            "text_sha256",
        }
        assert (file.attrs["format"], file.attrs["version"]) == ("scdnet-sequences", 3)
        assert (file.attrs["skeleton"], file.attrs["created_by"]) == ("ntu25", "a test")


def test_the_store_appears_when_it_is_complete_and_leaves_nothing_else(tmp_path, make_sequences):
    path = tmp_path / "new" / "store.h5"
    with writer_of(path) as writer:
        writer.append(make_sequences()[0])
        assert not path.exists()
        writer.finish({})
        assert path.exists()
    assert [file.name for file in path.parent.iterdir()] == ["store.h5"]


def test_the_store_is_on_the_disk_before_it_has_its_name(tmp_path, make_sequences, monkeypatch):
    path = tmp_path / "store.h5"
    existed = []
    monkeypatch.setattr(os, "fsync", lambda number: existed.append(path.exists()))
    write(path, make_sequences())
    assert existed == [False] and path.exists()


def test_an_unfinished_store_is_removed_and_an_earlier_store_stays(path, make_sequences):
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write(path, make_sequences(), error=KeyboardInterrupt())
    with writer_of(path) as writer:
        writer.append(make_sequences()[0])
    assert [file.name for file in path.parent.iterdir()] == ["store.h5"]
    assert path.read_bytes() == before


def test_a_file_that_cannot_be_started_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no space")

    monkeypatch.setattr(h5py.File, "create_dataset", refuse)
    with pytest.raises(OSError, match="no space"):
        write(tmp_path / "store.h5", [])
    assert not list(tmp_path.iterdir())


def test_a_directory_is_not_replaced(tmp_path, make_sequences):
    with pytest.raises(ScdnetError, match="is a directory, expected the name of a file"):
        write(tmp_path, make_sequences())


@pytest.mark.parametrize("name", ["seq0000", "seq"])
def test_names_must_be_sorted_and_unique(tmp_path, make_sequences, name):
    first = make_sequences()[0]
    with writer_of(tmp_path / "store.h5") as writer:
        writer.append(first)
        with pytest.raises(AssertionError, match="sorted by name"):
            writer.append(SkeletonSequence(first.frames, name, 0))


FILL_THE_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from scdnet.data.store import SkeletonSequence
from scdnet.data.store_writer import StoreWriter
from scdnet.errors import ScdnetError
from scdnet.skeletons import NTU_25

path = Path(sys.argv[1])
_, unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)

def write():
    names = ("a",) * 60
    with StoreWriter(
        path, skeleton=NTU_25, dataset="synthetic", class_names=names, created_by="a test"
    ) as writer:
        for i in range(300):
            writer.append(SkeletonSequence(np.zeros((2, 2, 25, 3), np.float32), f"seq{i:04}", 0))
        writer.finish({"xsub": np.zeros(300, bool)})

write()
whole = path.read_bytes()
for missing in [*range(1, 20_000, 500), *range(20_000, len(whole), 30_000)]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) - missing, unlimited))
    try:
        write()
    except ScdnetError as error:
        assert "cannot be written (File too large); nothing was changed" in str(error), error
    else:
        sys.exit(f"no error with {missing} bytes too few")
    assert path.read_bytes() == whole and len(list(path.parent.iterdir())) == 1
"""


@pytest.mark.skipif(os.name == "nt", reason="no limit on the size of files")
def test_a_disk_that_is_full_at_any_byte_is_one_error_and_leaves_the_earlier_store(tmp_path):
    # The process could not write the data of a measurement of coverage either.
    environment = {key: x for key, x in os.environ.items() if not key.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(tmp_path / "a.h5")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_other_programs_read_a_store_with_h5py_alone(path, make_sequences):
    with h5py.File(path) as file:
        frames = file["frames"][:]
        first, end = file["offset"][1:3]
        names = [name.decode() for name in file["name"][:]]
        joints = file["skeleton/joint_names"].asstr()[:].tolist()
        assert file["split/xsub"][:].tolist() == [True, True, False]
        assert file.attrs["class_names"].tolist() == ["a", "b", "ü"]
    np.testing.assert_array_equal(frames[first:end], make_sequences()[1].frames)
    assert names == ["seq0000", "seq0001", "seq0002"] and joints == list(NTU_25.joints)
