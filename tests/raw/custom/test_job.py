import zipfile

import numpy as np
import pytest

from scdnet.errors import ScdnetError
from scdnet.raw.convert import find_all
from scdnet.raw.custom.frames import make_capture
from scdnet.raw.custom.job import match_table, name_recordings, plan_job
from scdnet.raw.custom.readers import SUFFIXES, read_joints
from scdnet.raw.custom.table import Row
from scdnet.raw.raw_files import RawFileError, find_raw_files
from scdnet.skeletons import KINECT_V1_20, MEDIAPIPE_33, NTU_25
from tests.raw.walker import npz, walked

CAPTURE = make_capture(layout="ntu25", unit="m", up="y")


@pytest.fixture
def make(tmp_path):
    """Return a function that writes recordings and names those that it finds in some roots."""

    def name(paths: str, *roots: str, **options: bool):
        for path in paths.split():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(npz(walked()))
        found = list(find_all([tmp_path / root for root in roots or ("",)], SUFFIXES))
        named, rejected = name_recordings(found, **options)
        return named, [rejection.reason for rejection in rejected]

    return name


def as_zip(tmp_path, names: str):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in names.split():
            archive.writestr(name, npz(walked()))
    return find_raw_files(tmp_path / "x.zip", SUFFIXES)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ("a.npz b/c.npz", "a c"),
        ("a/1.npz b/1.npz b/2.npz", "2 a/1 b/1"),
        ("1.npz b/1.npz", "1 b/1"),
        ("x/a/1.npz y/a/1.npz", "x/a/1 y/a/1"),
        ("x/a.b.npz y/a.b.npz", "x/a.b y/a.b"),
    ],
)
def test_the_name_is_the_path_where_file_names_repeat(make, tmp_path, paths, names):
    named, reasons = make(paths)
    assert sorted(named) == names.split() and not reasons
    named, _ = name_recordings(as_zip(tmp_path, paths))
    assert sorted(named) == names.split()


def test_of_equal_paths_the_first_is_used(make):
    named, (reason,) = make("x/1.npz y/1.npz", "x", "y")
    assert list(named) == ["1"] and "x/1.npz" in named["1"].path
    assert reason.startswith("has the same name as ")
    named, (reason,) = make("z/2.npz z/2.npy", "z")
    assert named["2"].path.endswith("2.npy") and reason.startswith("has the same name as ")


def test_a_class_is_the_folder_that_contains_a_recording(make, tmp_path):
    make("sit/a/001.npz wave/b/001.npz wave/b/002.npz")

    def plan(*roots: str):
        files = list(find_all([tmp_path / root for root in roots], SUFFIXES))
        job = plan_job(files, dataset="x", capture=CAPTURE, has_class_folders=True)
        classes = {name: job.class_names[numbers["label"]] for _, name, numbers in job.items}
        return classes, [rejection.reason for rejection in job.rejected]

    classes, reasons = plan("")
    assert classes == {"sit/a/001": "a", "wave/b/001": "b", "002": "b"} and not reasons
    # The folders may be given one by one.
    classes, reasons = plan("sit/a", "wave/b")
    assert classes == {"a/001": "a", "b/001": "b", "002": "b"} and not reasons


def test_a_recording_at_the_top_of_a_zip_has_no_class(tmp_path):
    named, (rejection,) = name_recordings(
        as_zip(tmp_path, "sit/1.npz 2.npz"), has_class_folders=True
    )
    assert list(named) == ["1"] and rejection.reason.startswith("lies in no folder")


@pytest.mark.parametrize(
    ("listed", "name"),
    [
        ("c", "c"), ("b/c", "c"), ("data/x/b/c", "c"), ("y/c", None), ("x/1", "x/1"),
        ("y/1", "y/1"), ("raw/y/1", "y/1"), ("1", None), ("z/1", None),
    ],
)  # fmt: skip
def test_names_in_a_table_may_have_folders_that_agree(make, listed, name):
    named, _ = make("b/c.npz x/1.npz y/1.npz")
    rows = {listed: Row("wave", {}, True, 2), "c.": Row("wave", {}, True, 3)}
    if name is None:
        with pytest.raises(ScdnetError, match=f"t.csv: no line names a recording; .*'{listed}'"):
            match_table(rows, named, "t.csv")
    else:
        found, rejected = match_table(rows, named, "t.csv")
        assert list(found) == [name]
        assert rejected[0] == ("t.csv", 3, "no recording 'c.'")


def test_a_name_of_several_recordings_is_rejected_with_some_of_them(make):
    named, _ = make("x/1.npz y/1.npz z.npz")
    rows = {"1": Row("wave", {}, True, 2), "z": Row("wave", {}, True, 3)}
    found, rejected = match_table(rows, named, "t.csv")
    assert list(found) == ["z"]
    reason = "'1' may be one of 2 recordings, such as x/1, y/1; write the folder"
    assert rejected[0] == ("t.csv", 2, reason)


def test_the_native_files_are_read_as_they_were_made(shared):
    folder = shared / "data" / "ready_made"
    if not folder.is_dir():
        pytest.skip(f"{folder}: no such folder")
    truth = np.load(folder / "expected" / "truth.npz")

    def read(name, skeleton):
        path = folder / "native" / name
        return read_joints(path.read_bytes(), str(path), skeleton)

    reading = read("kinect_v2.csv", NTU_25)
    np.testing.assert_allclose(reading.bodies[0], truth["kinect_v2_csv"], atol=1e-5)
    assert reading.dropped == ("column Timestamp",)
    reading = read("mediapipe_world.csv", MEDIAPIPE_33)
    landmarks = truth["mediapipe_landmarks_kinect_frame"]
    expected = landmarks - landmarks[:, 5:7].mean(axis=1, keepdims=True)
    found = reading.bodies[0][:, [0, 11, 12, 15, 16, 23, 24, 27, 28]] * [-1, -1, 1]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert reading.dropped == ("column (unnamed)", "visibility of each joint")
    with pytest.raises(RawFileError, match="image landmarks"):
        read("mediapipe_image.csv", MEDIAPIPE_33)


@pytest.mark.slow
def test_all_recordings_of_precog_with_a_body_are_read(shared):
    archive = shared / "data" / "precog_csv.zip"
    if not archive.exists():
        pytest.skip(f"{archive}: no such file")
    empty = []
    files = find_raw_files(archive, (".csv",))
    for file in files:
        try:
            reading = read_joints(file.read(), file.where, KINECT_V1_20)
            assert reading.dropped in ((), ("last column, which has no name",))
        except RawFileError as error:
            empty.append((file.stem, error.args[2]))
    # All numbers of these two are 0.
    assert len(files) == 72 and empty == [
        ("Seq2_10", "no body in any of 206 frames"),
        ("Seq4_10", "no body in any of 229 frames"),
    ]
