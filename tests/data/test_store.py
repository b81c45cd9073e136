import re

import h5py
import numpy as np
import pytest

from scdnet.data.store import StoreError, open_sequences
from scdnet.data.store_writer import StoreWriter
from scdnet.files import DOWNLOAD_FAULTS
from scdnet.skeletons import COCO_17, SKELETONS
from tests.conftest import write_synthetic_store
from tests.stores import CRANE, crc32_of_sequences, edit, rehash

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
        (lambda file: file.attrs.update(version=4), "version 2 or 3, found 4"),
        (lambda file: file.attrs.update(version=[1, 1]), "version 2 or 3, found [1 1]"),
        (lambda file: file.attrs.update(version=h5py.Empty("i8")), "version 2 or 3, found Empty"),
        (lambda file: file.attrs.pop("skeleton"), "attribute skeleton is text, found None"),
        (lambda file: file.attrs.pop("frames_sha256"), "attribute frames_sha256 is text"),
        (lambda file: file.attrs.pop("content_sha256"), "attribute content_sha256 is text"),
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
    with edit(path) as file:
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
    rehash(path)
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


@pytest.mark.parametrize("kind", DOWNLOAD_FAULTS)
def test_what_a_failed_download_leaves_is_named(tmp_path, kind):
    path = tmp_path / "ntu60.h5"
    path.write_bytes(b"\n" + kind.upper() + b" and more")
    fault = re.escape(DOWNLOAD_FAULTS[kind])
    with pytest.raises(StoreError, match=rf"ntu60\.h5: expected a sequence store, found {fault}"):
        open_sequences(path)


def test_an_unknown_benchmark_is_refused_with_the_known_ones(path):
    with pytest.raises(StoreError, match="no benchmark 'xview'; it contains xsub"):
        open_sequences(path).is_train("xview")


@pytest.mark.parametrize("skeleton", [*SKELETONS.values(), CRANE], ids=lambda s: s.name)
def test_a_store_carries_its_skeleton(tmp_path, skeleton):
    path = write_synthetic_store(tmp_path / "store.h5", skeleton=skeleton, per_split=1, frames=3)
    with open_sequences(path) as store:
        assert store.skeleton == skeleton
        assert store[0].frames.shape == (3, 2, skeleton.num_joints, 3)
    with h5py.File(path) as file:
        assert file.attrs["skeleton"] == skeleton.name
        assert file["skeleton/joint_names"].asstr()[:].tolist() == list(skeleton.joints)
        assert file["skeleton"].attrs["root"] == skeleton.root


def set_skeleton(**attributes):
    return lambda file: file["skeleton"].attrs.update(attributes)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.pop("skeleton"), "a group skeleton, found nothing"),
        (put("skeleton", [1]), "a group skeleton, found <HDF5 dataset"),
        (lambda file: file.pop("skeleton/mirror"), "a dataset skeleton/mirror, found nothing"),
        (make_group("skeleton/parents"), "a dataset skeleton/parents, found <HDF5 group"),
        (put("skeleton/joint_names", [1, 2]), "joint_names of text, found int64"),
        (put("skeleton/joint_names", "head"), "joint_names of one axis, found ()"),
        (put("skeleton/joint_names", ["a"] * 25), "group skeleton: joints: expected distinct"),
        (put("skeleton/joint_names", ["a", "b"]), "skeleton/parents of 2 rows, found (25,)"),
        (
            put("skeleton/joint_names", [b"\xff"] * 25, dtype=TEXT),
            "cannot read skeleton/joint_names ('utf-8' codec",
        ),
        (put("skeleton/mirror", np.arange(24)), "skeleton/mirror of 25 rows, found (24,)"),
        (put("skeleton/mirror", np.arange(25.0)), "skeleton/mirror of int64, found float64"),
        (put("skeleton/mirror", np.arange(25) + 1), "expected joints as numbers in 0..24"),
        (put("skeleton/parents", np.arange(25)), "parents: expected one root"),
        (put("skeleton/parents", (np.arange(25) + 1) % 25), "parents: expected one root"),
        (set_skeleton(dims=4), "dims: expected 2 or 3, found 4"),
        (set_skeleton(dims="three"), "group skeleton: invalid literal"),
        (set_skeleton(dims=[3, 3]), "group skeleton: "),
        (set_skeleton(center="no JSON"), "group skeleton: Expecting value"),
        (set_skeleton(center="[]"), "expected one or more joints each as center, spine and"),
        (set_skeleton(center="1"), "group skeleton: not the fields of a skeleton"),
        (set_skeleton(center="[25]"), "expected joints as numbers in 0..24"),
        (set_skeleton(center="[1.5]"), "expected joints as numbers in 0..24"),
        (set_skeleton(center="null"), "expected one or more joints each as center"),
        (set_skeleton(spine="[[0]]"), "spine: expected two sets of joints"),
        (set_skeleton(spine="7"), "group skeleton: not the fields of a skeleton"),
        (set_skeleton(shoulders='[["left"], ["right"]]'), "expected joints as numbers"),
        (lambda file: file["skeleton"].attrs.pop("shoulders"), "group skeleton: the JSON"),
        (set_skeleton(spine=h5py.Empty("f4")), "group skeleton: the JSON object must be"),
        # These are skeletons, but not the one that the store was written with.
        (set_skeleton(center="[2]"), "tables that match content_sha256"),
        (set_skeleton(dims=2), "tables that match content_sha256"),
        (lambda file: file.attrs.update(skeleton="openpose25"), "tables that match content_sha256"),
        (
            put("frames", np.zeros((9, 2, 17, 3), np.float32)),
            "frames of shape (F, (2, 25, 3)), found (9, 2, 17, 3)",
        ),
    ],
)
def test_a_damaged_skeleton_is_one_clear_error(path, damage, message):
    with edit(path) as file:
        damage(file)
    with pytest.raises(StoreError) as caught:
        open_sequences(path)
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)


def content_of(path) -> str:
    with open_sequences(path) as store:
        return store.content_sha256


def test_content_does_not_depend_on_path_and_writer(path, make_sequences, tmp_path):
    other = tmp_path / "elsewhere" / "other.h5"
    with StoreWriter(
        other,
        skeleton=SKELETONS["ntu25"],
        dataset="synthetic",
        class_names=("a", "b", "ü"),
        created_by="another version, on another day",
        attributes={"source_processing": "denoised"},
    ) as writer:
        for sequence in make_sequences():
            writer.append(sequence)
        writer.finish({"xsub": writer.table().subject < 12})
    assert content_of(other) == content_of(path)
    assert other.read_bytes() != path.read_bytes()


def change_value(key, row, value):
    def change(file):
        file[key][row] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        change_value("frames", (8, 1, 24, 2), 1e-30),
        change_value("label", 0, 2),
        change_value("subject", 2, 99),
        change_value("camera", 1, 7),
        change_value("setup", 0, 7),
        change_value("replication", 0, 7),
        change_value("name", 0, "seq000"),
        change_value("offset", 1, 2),
        change_value("split/xsub", 2, True),
        lambda file: file.create_dataset("split/more", data=[True, False, True]),
        lambda file: file.move("split/xsub", "split/xset"),
        lambda file: file.pop("split/xsub"),
        lambda file: file.attrs.update(dataset="other"),
        lambda file: file.attrs.update(class_names=["a", "b", "c"]),
        lambda file: file.attrs.update(skeleton="other"),
        change_value("skeleton/joint_names", 3, "hat"),
        change_value("skeleton/mirror", slice(4, 12), np.arange(4, 12)),
        set_skeleton(spine="[[0], [20]]"),
    ],
)
def test_content_changes_with_whatever_a_reader_uses(path, change):
    before = content_of(path)
    with edit(path) as file:
        change(file)
    # The change is found, unless the hashes were changed along with it.
    with pytest.raises(StoreError, match=r"match (content_sha256|frames_crc32), found "):
        list(open_sequences(path).frame_blocks())
    assert rehash(path) == content_of(path) != before


def test_blocks_of_frames_are_all_frames_and_are_verified(path, make_sequences, monkeypatch):
    monkeypatch.setattr("scdnet.data.store.BLOCK_FRAMES", 4)
    with open_sequences(path) as store:
        blocks = list(store.frame_blocks())
    assert [len(block) for block in blocks] == [4, 4, 1]
    frames = np.concatenate([s.frames for s in make_sequences()])
    np.testing.assert_array_equal(np.concatenate(blocks), frames)


@pytest.mark.parametrize(
    ("change_more", "message"),
    [
        (lambda file: None, r"frames of sequence seq0002 that match frames_crc32, found \d+"),
        # Version 2 had no checksums of single sequences.
        (
            lambda file: file.attrs.update(version=2),
            r"frames that match frames_sha256, found \w{16}",
        ),
        (
            lambda file: put("frames_crc32", crc32_of_sequences(file))(file),
            r"frames that match frames_sha256, found \w{16}",
        ),
    ],
)
def test_changed_frames_are_found_when_all_are_read(path, change_more, message):
    with h5py.File(path, "r+") as file:
        file["frames"][5, 0, 0, 0] += 1
        change_more(file)
    with (
        open_sequences(path) as store,
        pytest.raises(StoreError, match=f"expected {message}: they .* again$"),
    ):
        list(store.frame_blocks())


@pytest.mark.parametrize(("first", "end"), [(4, 5), (5, 9), (8, 9), (0, 9), (3, 6), (-1, None)])
def test_a_changed_frame_is_found_with_any_frame_of_its_sequence(path, first, end):
    with h5py.File(path, "r+") as file:
        file["frames"][5, 0, 0, 0] += 1
    with open_sequences(path) as store:
        with pytest.raises(StoreError, match="frames of sequence seq0002 that match"):
            store.read_frames(first, end)
        # The other sequences are read as before.
        assert len(store.read_frames(0, 4)) == 4
        assert (store[0].name, store[1].name) == ("seq0000", "seq0001")


def test_any_range_of_frames_can_be_read(path, make_sequences):
    frames = np.concatenate([s.frames for s in make_sequences()])
    bounds = [None, -10, -3, *range(11)]
    with open_sequences(path) as store:
        for first in bounds:
            for end in bounds:
                np.testing.assert_array_equal(store.read_frames(first or 0, end), frames[first:end])


def test_a_wrong_checksum_is_found_by_verify_alone(path):
    with h5py.File(path, "r+") as file:
        change_value("frames_crc32", 1, 0)(file)
    with open_sequences(path) as store:
        assert sum(map(len, store.frame_blocks())) == 9
        with pytest.raises(StoreError, match="frames of sequence seq0001 that match"):
            store.verify()


def test_a_store_without_its_checksums_is_refused(path):
    with h5py.File(path, "r+") as file:
        del file["frames_crc32"]
    with pytest.raises(StoreError, match="expected a dataset frames_crc32, found nothing"):
        open_sequences(path)


def test_checksums_are_crc_32_of_the_bytes_of_a_sequence(path):
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["frames_crc32"][:], crc32_of_sequences(file))


def test_joints_of_two_skeletons_are_not_mixed_up_for_their_number(tmp_path):
    """OpenPose's 25 joints are not those of Kinect v2."""
    stores = [
        write_synthetic_store(tmp_path / f"{name}.h5", skeleton=SKELETONS[name], per_split=1)
        for name in ("ntu25", "openpose25")
    ]
    first, second = (open_sequences(path).skeleton for path in stores)
    assert first.num_joints == second.num_joints and first != second != COCO_17
