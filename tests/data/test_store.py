import re

import h5py
import numpy as np
import pytest

from scdnet.data.store import WRITE_FRAMES, SkeletonSequence, StoreError, StoreWriter, open_sequences


def make_sequences(lengths=(3, 1, 5)) -> list[SkeletonSequence]:
    rng = np.random.default_rng(0)
    return [
        SkeletonSequence(
            frames=rng.normal(size=(length, 2, 25, 3)).astype(np.float32),
            name=f"seq{i:04}",
            label=i % 3,
            subject=10 + i,
            camera=i,
        )
        for i, length in enumerate(lengths)
    ]


def writer_of(path):
    return StoreWriter(path, dataset="made up", class_names=("a", "b", "ü"), created_by="a test")


def write(path, sequences):
    with writer_of(path) as writer:
        for sequence in sequences:
            writer.append(sequence)
        writer.finish({"xsub": writer.table().subject < 12})


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "store.h5", make_sequences())
    return tmp_path / "store.h5"


def test_what_was_written_is_read(path):
    store = open_sequences(path)
    assert len(store) == 3 and store.benchmarks == ("xsub",)
    assert store.is_train("xsub").tolist() == [True, True, False]
    assert (store.dataset, store.class_names) == ("made up", ("a", "b", "ü"))
    assert store.offset.tolist() == [0, 3, 4, 9]
    for read, written in zip(store, make_sequences(), strict=True):
        np.testing.assert_array_equal(read.frames, written.frames)
        assert (read.name, read.label, read.subject, read.camera) == (
            written.name,
            written.label,
            written.subject,
            written.camera,
        )
        assert (read.setup, read.replication) == (-1, -1)


def test_frames_end_to_end_are_those_of_the_sequences(path):
    np.testing.assert_array_equal(
        open_sequences(path).read_frames(), np.concatenate([s.frames for s in make_sequences()])
    )


def test_negative_indices_count_from_the_end_and_others_are_refused(path):
    store = open_sequences(path)
    assert store[-1].name == "seq0002"
    with pytest.raises(IndexError):
        store[3]


def test_sequences_longer_and_shorter_than_what_is_written_at_a_time(tmp_path):
    lengths = (WRITE_FRAMES + 1, 1, WRITE_FRAMES - 1, 7)
    write(tmp_path / "store.h5", make_sequences(lengths))
    for read, written in zip(open_sequences(tmp_path / "store.h5"), make_sequences(lengths), strict=True):
        np.testing.assert_array_equal(read.frames, written.frames)


def test_datasets_and_types_are_those_of_the_contract(path):
    with h5py.File(path) as file:
        assert file["frames"].shape == (9, 2, 25, 3) and file["frames"].dtype == np.float32
        assert file["offset"].shape == (4,) and file["offset"].dtype == np.int64
        assert {
            key: file[key].dtype for key in ("label", "subject", "camera", "setup", "replication")
        } == dict.fromkeys(("label", "subject", "camera", "setup", "replication"), np.dtype(np.int64))
        assert file["split/xsub"].dtype == bool
        assert set(file.attrs) == {
            "format",
            "version",
            "dataset",
            "skeleton",
            "class_names",
            "normalisation",
            "created_by",
        }
        assert (file.attrs["format"], file.attrs["version"]) == ("scdnet-sequences", 1)
        assert (file.attrs["skeleton"], file.attrs["created_by"]) == ("ntu25", "a test")


def test_the_store_appears_when_it_is_complete_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "store.h5"
    with writer_of(path) as writer:
        writer.append(make_sequences()[0])
        assert not path.exists()
        writer.finish({})
    assert [file.name for file in path.parent.iterdir()] == ["store.h5"]


def test_what_is_not_finished_is_removed_and_an_earlier_store_stays(path):
    before = path.read_bytes()

    def write_and_stop():
        with writer_of(path) as writer:
            writer.append(make_sequences()[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_stop()
    assert [file.name for file in path.parent.iterdir()] == ["store.h5"] and path.read_bytes() == before


@pytest.mark.parametrize("name", ["seq0000", "seq"])
def test_names_must_rise(tmp_path, name):
    first = make_sequences()[0]
    with writer_of(tmp_path / "store.h5") as writer:
        writer.append(first)
        with pytest.raises(AssertionError, match="rising order"):
            writer.append(SkeletonSequence(first.frames, name, 0))


def put(key, values):
    def change(file):
        del file[key]
        file[key] = values

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda file: file.attrs.update(format="other"),
            "expected attribute format is 'scdnet-sequences', found other",
        ),
        (lambda file: file.attrs.update(version=2), "expected version 1, found 2"),
        (lambda file: file.attrs.pop("dataset"), "damaged sequence store"),
        (lambda file: file.pop("label"), "damaged sequence store"),
        (
            put("frames", np.zeros((9, 2, 17, 3), np.float32)),
            "expected frames of shape (F, (2, 25, 3)), found (9, 2, 17, 3)",
        ),
        (put("frames", np.zeros((9, 2, 25, 3))), "expected float32 frames, found float64"),
        (put("frames", np.zeros((8, 2, 25, 3), np.float32)), "expected offsets that rise from 0 to 8"),
        (put("offset", [0, 4, 3, 9]), "expected offsets that rise from 0 to 9"),
        (put("offset", [0, 3, 3, 9]), "expected offsets that rise from 0 to 9"),
        (put("offset", [0, 3, 9]), "expected name of 2 rows, found (3,)"),
        (put("label", [0, 1]), "expected label of 3 rows, found (2,)"),
        (put("split/xsub", [True]), "expected split/xsub of 3 rows, found (1,)"),
        (put("label", [0, 1, 3]), "expected labels in 0..2, found [3]"),
        (put("label", [0, -1, 2]), "expected labels in 0..2, found [-1]"),
    ],
)
def test_a_store_that_fails_a_check_is_refused_by_name_of_the_check(path, damage, message):
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(StoreError, match=re.escape(str(path)) + ".*" + re.escape(message)):
        open_sequences(path)


def test_files_that_are_no_stores_are_refused(tmp_path):
    with pytest.raises(StoreError, match=r"none\.h5: no such sequence store; make one with data_prep/"):
        open_sequences(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(StoreError, match=r"text\.h5: not a readable HDF5 file"):
        open_sequences(tmp_path / "text.h5")
    write(tmp_path / "cut.h5", make_sequences())
    (tmp_path / "cut.h5").write_bytes((tmp_path / "cut.h5").read_bytes()[:-4000])
    with pytest.raises(StoreError, match=r"cut\.h5: not a readable HDF5 file"):
        open_sequences(tmp_path / "cut.h5")


def test_an_unknown_benchmark_is_refused_with_those_there_are(path):
    with pytest.raises(StoreError, match="no benchmark 'xview'; it holds xsub"):
        open_sequences(path).is_train("xview")
