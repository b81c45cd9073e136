import re

import h5py
import numpy as np
import pytest

from scdnet.data.store import StoreError, open_sequences

TEXT = h5py.string_dtype()


def test_a_store_is_read_as_it_was_written(path, make_sequences):
    store = open_sequences(path)
    assert len(store) == 3 and store.benchmarks == ("xsub",)
    assert store.is_train("xsub").tolist() == [True, True, False]
    assert (store.dataset, store.class_names) == ("synthetic", ("a", "b", "ü"))
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


def test_frames_end_to_end_are_those_of_the_sequences(path, make_sequences):
    np.testing.assert_array_equal(
        open_sequences(path).read_frames(), np.concatenate([s.frames for s in make_sequences()])
    )


def test_negative_indices_count_from_the_end_and_others_are_refused(path):
    store = open_sequences(path)
    assert store[-1].name == "seq0002"
    with pytest.raises(IndexError):
        store[3]


def put(key, values, **options):
    def change(file):
        del file[key]
        file.create_dataset(key, data=values, **options)

    return change


def make_group(key):
    def change(file):
        del file[key]
        file.create_group(key)

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda file: file.attrs.update(format="other"),
            "attribute format is 'scdnet-sequences', found other",
        ),
        (
            lambda file: file.attrs.pop("format"),
            "attribute format is 'scdnet-sequences', found None",
        ),
        (
            lambda file: file.attrs.update(format=["scdnet-sequences"] * 2),
            "attribute format is 'scdnet-sequences'",
        ),
        (lambda file: file.attrs.update(version=2), "version 1, found 2"),
        (lambda file: file.attrs.update(version=[1, 1]), "version 1, found [1 1]"),
        (lambda file: file.attrs.update(version=h5py.Empty("i8")), "version 1, found Empty"),
        (
            lambda file: file.attrs.update(skeleton="coco17"),
            "attribute skeleton is 'ntu25', found coco17",
        ),
        (lambda file: file.attrs.pop("skeleton"), "attribute skeleton is 'ntu25', found None"),
        (lambda file: file.attrs.pop("dataset"), "attribute dataset is text, found None"),
        (
            lambda file: file.attrs.create("dataset", b"\xff", dtype=TEXT),
            "attribute dataset is text, found \\udcff",
        ),
        (
            lambda file: file.attrs.update(class_names="abc"),
            "attribute class_names is a list of texts, found abc",
        ),
        (
            lambda file: file.attrs.update(class_names=[1, 2, 3]),
            "attribute class_names is a list of texts",
        ),
        (
            lambda file: file.attrs.pop("class_names"),
            "attribute class_names is a list of texts, found None",
        ),
        (lambda file: file.pop("label"), "a dataset label, found nothing"),
        (make_group("label"), 'a dataset label, found <HDF5 group "/label" (0 members)>'),
        (make_group("frames"), "a dataset frames, found <HDF5 group"),
        (lambda file: file.pop("split"), "a group split, found nothing"),
        (put("split", [True, False, True]), "a group split, found <HDF5 dataset"),
        (make_group("split/xsub"), "a dataset split/xsub, found <HDF5 group"),
        (
            lambda file: file.create_dataset(b"split/\xff", data=[True] * 3),
            "benchmarks named in UTF-8, found",
        ),
        (
            put("frames", np.zeros((9, 2, 17, 3), np.float32)),
            "frames of shape (F, (2, 25, 3)), found (9, 2, 17, 3)",
        ),
        (put("frames", h5py.Empty("f4")), "frames of shape (F, (2, 25, 3)), found ()"),
        (put("frames", np.zeros((9, 2, 25, 3))), "float32 frames, found float64"),
        (put("frames", np.zeros((8, 2, 25, 3), np.float32)), "offsets that increase from 0 to 8"),
        (put("offset", [0, 4, 3, 9]), "offsets that increase from 0 to 9"),
        (put("offset", [0, 3, 3, 9]), "offsets that increase from 0 to 9"),
        (put("offset", [1, 3, 4, 9]), "offsets that increase from 0 to 9"),
        # The differences overflow to positive numbers.
        (
            put("offset", [0, 2**63 - 1, -(2**63), -1, 9]),
            "offsets that increase from 0 to 9",
        ),
        (put("offset", np.array([], np.int64)), "offset of N + 1 values, N > 0, found (0,)"),
        (put("offset", np.array([0])), "offset of N + 1 values, N > 0, found (1,)"),
        (put("offset", 3), "offset of N + 1 values, N > 0, found ()"),
        (put("offset", [[0, 3, 4, 9]]), "offset of N + 1 values, N > 0, found (1, 4)"),
        (put("offset", [0.0, 3, 4, 9]), "offset of int64, found float64"),
        (put("offset", [0, 3, 9]), "label of 2 rows, found (3,)"),
        (put("label", [0, 1]), "label of 3 rows, found (2,)"),
        (put("label", [[0], [1], [2]]), "label of 3 rows, found (3, 1)"),
        (put("label", [0, 1, 3]), "labels in 0..2, found [3]"),
        (put("label", [0, -1, 2]), "labels in 0..2, found [-1]"),
        (put("label", [0.0, 1, 2]), "label of int64, found float64"),
        (put("subject", ["a", "b", "c"]), "subject of int64, found object"),
        (put("camera", [True, False, True]), "camera of int64, found bool"),
        (put("name", [1, 2, 3]), "name of text, found int64"),
        (put("name", ["a", "b"]), "name of 3 rows, found (2,)"),
        (put("name", ["a", "c", "b"]), "sorted, unique names, found ['a' 'c' 'b']"),
        # A name that occurs twice could be in both splits.
        (put("name", ["a", "b", "b"]), "sorted, unique names, found ['a' 'b' 'b']"),
        # These are sorted in UTF-16, but not in code points.
        (put("name", ["a", "\U0001f600", "\uffff"]), "sorted, unique names"),
        (
            put("name", [b"a", b"b\xff", b"c"], dtype=TEXT),
            "cannot read name ('utf-8' codec can't decode byte 0xff",
        ),
        (put("split/xsub", [True]), "split/xsub of 3 rows, found (1,)"),
        (put("split/xsub", [1, 0, 1]), "split/xsub of bool, found int64"),
    ],
)
def test_a_store_that_fails_a_check_is_refused_by_name_of_the_check(path, damage, message):
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(
        StoreError, match="^" + re.escape(f"{path}: ") + ".*" + re.escape(message)
    ) as caught:
        open_sequences(path)
    assert "\n" not in str(caught.value)
    # Opening fails while the reader, alive in `caught`, holds the file.
    with h5py.File(path, "r+"):
        pass


def test_names_are_sorted_by_code_points_rather_than_utf_16(path):
    names = ["a", "\uffff", "\U0001f600"]
    with h5py.File(path, "r+") as file:
        put("name", names)(file)
    with open_sequences(path) as store:
        assert store.table.name.tolist() == names


@pytest.mark.parametrize("error", [RuntimeError, TypeError, OSError, ValueError, KeyError])
@pytest.mark.parametrize("read", [lambda store: store[0], lambda store: store.read_frames()])
def test_errors_of_hdf5_over_damaged_frames_become_one_line(path, monkeypatch, error, read):
    def refuse(*_):
        raise error("bad\nheap")

    with open_sequences(path) as store:
        monkeypatch.setattr(h5py.Dataset, "__getitem__", refuse)
        with pytest.raises(
            StoreError, match=r"store\.h5: damaged sequence store: cannot read frames \(.*heap"
        ):
            read(store)


def test_a_store_is_closed_at_the_end_of_its_block(path):
    with open_sequences(path) as store:
        assert len(store) == 3
    with h5py.File(path, "r+"):
        pass
    with pytest.raises(StoreError, match="cannot read frames"):
        store.read_frames()


def test_files_that_are_not_stores_are_refused(path, tmp_path):
    with pytest.raises(
        StoreError, match=r"none\.h5: no such sequence store; make one with `scdnet prepare`"
    ):
        open_sequences(tmp_path / "none.h5")
    with pytest.raises(
        StoreError, match=re.escape(f"{tmp_path}: expected a sequence store, found a directory")
    ):
        open_sequences(tmp_path)
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(StoreError, match=r"text\.h5: not a readable HDF5 file"):
        open_sequences(tmp_path / "text.h5")
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(StoreError, match=r"store\.h5: not a readable HDF5 file"):
        open_sequences(path)


def test_an_unknown_benchmark_is_refused_with_the_known_ones(path):
    with pytest.raises(StoreError, match="no benchmark 'xview'; it contains xsub"):
        open_sequences(path).is_train("xview")
