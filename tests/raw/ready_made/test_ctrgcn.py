import csv
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scdnet.errors import ScdnetError
from scdnet.raw.datasets import parse_ntu_name
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.ntu import parse_skeleton
from scdnet.raw.pku import parse_action, parse_video
from scdnet.raw.ready_made import ctrgcn
from scdnet.raw.ready_made.plan import plan_job
from scdnet.raw.ready_made.scratch import Scratch
from scdnet.skeletons import NTU_25
from tests.raw.ready_made.importing import (
    break_bytes,
    import_broken,
    import_files,
    make_walk,
    write_all,
)

# Subjects 1 and 2 train, 3 tests; cameras 2 and 3 train, 1 tests.
NAMES = (
    "S001C001P003R001A001", "S001C002P002R001A002", "S001C003P001R001A060", "S001C001P001R001A004",
)  # fmt: skip


@pytest.fixture
def folder(shared) -> Path:
    return shared / "data" / "ready_made"


def imported(roots, tmp_path, names=None):
    """Open and import files; return what was opened, sequences and rejections."""
    with Scratch(tmp_path / "out" / "a.h5") as scratch:
        roots = [roots] if isinstance(roots, Path) else roots
        ready_made = ctrgcn.open_files(roots, names, scratch)
        return ready_made, *import_files(ready_made)


def raw_frames(folder: Path) -> dict[str, np.ndarray]:
    """Normalize the raw recordings of NTU RGB+D, without the frames in which nobody is."""
    frames = {}
    for path in folder.glob("raw/nturgbd*.zip"):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(".skeleton"):
                    bodies = parse_skeleton(archive.read(member), member)
                    bodies = bodies[:, bodies.any(axis=(0, 2, 3))]
                    frames[Path(member).stem] = normalize(select_bodies(bodies), NTU_25)
    return frames


def equal_recordings(folder: Path, file: str) -> set[str]:
    """Return the recordings that equal the raw files, says the table."""
    with (folder / "expected" / "comparison.tsv").open() as table:
        rows = list(csv.reader(table, delimiter="\t"))
    return {row[1] for row in rows if row[0] == file and row[9] == "equal"}


def names_of(folder: Path, dataset: str) -> Path:
    return folder / "ctrgcn" / dataset / "statistics" / "skes_available_name.txt"


@pytest.mark.parametrize(
    ("dataset", "file", "benchmark", "num_equal"),
    [
        ("ntu", "NTU60_CS.npz", "xsub", 18),
        ("ntu", "NTU60_CV.npz", "xview", 18),
        ("ntu120", "NTU120_CSub.npz", "xsub", 7),
    ],
)
def test_rows_get_their_names_and_equal_the_raw_files_where_the_readme_says_so(
    folder, tmp_path, dataset, file, benchmark, num_equal
):
    path = folder / "ctrgcn" / dataset / file
    ready_made, sequences, rejected = imported(path, tmp_path, names_of(folder, dataset))
    assert rejected == [] and "CTR-GCN" in ready_made.source_processing
    sides = {entry.name: entry.is_train for entry in ready_made.entries}
    with np.load(path) as arrays:
        for side in ("train", "test"):
            order = (folder / f"expected/order/{path.stem}_{side}.txt").read_text().split()
            rows = zip(order, arrays[f"x_{side}"], arrays[f"y_{side}"], strict=True)
            for name, row, label in rows:
                bodies = row[: np.flatnonzero(row.any(axis=1))[-1] + 1].reshape(-1, 2, 25, 3)
                if (bodies[:, 0] == bodies[:, 1]).all():
                    bodies = bodies[:, :1]
                frames = normalize(select_bodies(bodies.swapaxes(0, 1)), NTU_25)
                sequence = sequences[name]
                np.testing.assert_allclose(sequence.frames, frames, rtol=0, atol=1e-6)
                assert sequence.label == label.argmax() == int(name[-3:]) - 1
                assert sequence.camera == parse_ntu_name(name).camera
                assert sides[name] == {benchmark: side == "train"}
    equal = equal_recordings(folder, f"ctrgcn/{dataset}/{file}")
    assert len(equal) == num_equal
    expected = raw_frames(folder)
    for name in equal:
        np.testing.assert_allclose(sequences[name].frames, expected[name], rtol=0, atol=1e-6)


def test_a_single_person_of_ntu120_is_not_stored_twice(folder, tmp_path):
    path = folder / "ctrgcn" / "ntu120" / "NTU120_CSub.npz"
    _, sequences, _ = imported(path, tmp_path, names_of(folder, "ntu120"))
    for name, sequence in sequences.items():
        assert sequence.frames[:, 1].any() == name.endswith("A112")


def test_two_benchmarks_are_united_by_name(folder, tmp_path):
    paths = [folder / "ctrgcn" / "ntu" / f"NTU60_{name}.npz" for name in ("CS", "CV")]
    ready_made = imported(paths, tmp_path, names_of(folder, "ntu"))[0]
    assert len(ready_made.entries) == 48
    job = plan_job(ready_made)
    assert len(job.items) == 24 and job.rejected == []
    for entry in job.items:
        name = parse_ntu_name(entry.name)
        is_train = {"xsub": name.subject in (1, 2, 4, 5), "xview": name.camera in (2, 3)}
        assert entry.is_train == is_train


@pytest.mark.parametrize(
    ("file", "num_equal"), [("denoised_data/raw_denoised_joints.pkl", 18), ("raw_data", 19)]
)
def test_the_intermediates_equal_the_raw_files_where_they_can(folder, tmp_path, file, num_equal):
    path = folder / "ctrgcn" / "ntu" / file
    _, sequences, rejected = imported(path, tmp_path, names_of(folder, "ntu"))
    assert len(sequences) == 24 and rejected == []
    expected = raw_frames(folder)
    differences = {
        name: np.abs(sequence.frames - expected[name]).max() for name, sequence in sequences.items()
    }
    equal = {name for name, difference in differences.items() if difference < 1e-6}
    assert len(equal) == num_equal
    assert equal >= equal_recordings(folder, f"ctrgcn/ntu/{file}")


def test_intermediates_have_the_official_splits(folder, tmp_path):
    ready_made, _, _ = imported(folder / "ctrgcn" / "ntu" / "raw_data", tmp_path)
    (training,) = [e for e in ready_made.entries if e.name == "S005C002P004R001A010"]
    (test,) = [e for e in ready_made.entries if e.name == "S004C001P006R001A001"]
    assert training.is_train == {"xsub": True, "xview": True}
    assert test.is_train == {"xsub": False, "xview": False}


def pku_actions(folder: Path) -> dict[str, np.ndarray]:
    """Normalize lines start + 1 to end, at most 300, of each action of PKU-MMD."""
    actions = {}
    with zipfile.ZipFile(folder / "raw" / "pku_v2.zip") as archive:
        names = archive.namelist()
        for name in (name for name in names if "/skeleton/" in name and name.endswith(".txt")):
            frames, _ = parse_video(archive.read(name), name)
            (labels,) = [other for other in names if f"/label/{Path(name).name}" in other]
            for index, line in enumerate(archive.read(labels).decode().split()):
                action = parse_action(line, labels, index + 1)
                bodies = frames[action.start : action.end][:300].swapaxes(0, 1)
                actions[f"{Path(name).stem}_{index}"] = normalize(bodies, NTU_25)
    return actions


def test_pku_of_mamp_equals_the_lines_of_the_raw_files(folder, tmp_path):
    ready_made, sequences, rejected = imported(folder / "mamp", tmp_path)
    assert (ready_made.dataset, len(ready_made.class_names)) == ("pku2", 51) and not rejected
    expected = pku_actions(folder)
    num_compared = 0
    for side in ("train", "test"):
        order = (folder / f"expected/order/PKUv2_XSub_{side}.txt").read_text().split()
        for row, name in enumerate(order):
            width = len(str(len(order)))
            sequence = sequences[f"PKUv2_XSub_{side}_{row:0{width}}"]
            np.testing.assert_allclose(sequence.frames, expected[name], rtol=0, atol=1e-6)
            num_compared += 1
    assert num_compared == len(sequences) == 15


def test_without_names_rows_are_numbered(folder, tmp_path):
    ready_made, sequences, _ = imported(folder / "ctrgcn/ntu/NTU60_CS.npz", tmp_path)
    assert sorted(sequences)[:2] == ["NTU60_CS_test_00", "NTU60_CS_test_01"]
    assert len(sequences) == 24 and sequences["NTU60_CS_test_00"].subject == -1
    sides = {entry.name: entry.is_train for entry in ready_made.entries}
    assert sides["NTU60_CS_test_00"] == {"xsub": False}
    assert sides["NTU60_CS_train_12"] == {"xsub": True}


def make_rows(names, num_frames=6):
    """Return rows (N, T, 150) as CTR-GCN writes them, and their labels (N, 60)."""
    rows = np.zeros((len(names), num_frames + 2, 2, 25, 3), np.float32)
    labels = np.zeros((len(names), 60))
    for row, name in enumerate(names):
        (body,) = make_walk(num_frames, 1, seed=int(name[-3:]))
        rows[row, :num_frames, 0] = body - body[0, 1]
        labels[row, int(name[-3:]) - 1] = 1
    return rows.reshape(len(names), -1, 150), labels


def make_arrays():
    """Return the arrays of the x-sub file of NAMES: ordered by subject, then as listed."""
    x_train, y_train = make_rows([NAMES[2], NAMES[3], NAMES[1]])
    x_test, y_test = make_rows([NAMES[0]])
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def write_npz(tmp_path, save=np.savez, name="NTU60_CS.npz", **arrays):
    (tmp_path / "raw").mkdir(exist_ok=True)
    path = tmp_path / "raw" / name
    save(path, **arrays)
    return path


@pytest.fixture
def names_file(tmp_path):
    path = tmp_path / "skes_available_name.txt"
    path.write_text("".join(f"{name}\n" for name in NAMES))
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_compressed_or_not_the_sequences_are_the_same(tmp_path, names_file, save, capsys):
    path = write_npz(tmp_path, save, **make_arrays())
    _, sequences, rejected = imported(path, tmp_path, names_file)
    assert sorted(sequences) == sorted(NAMES) and not rejected
    for name in NAMES:
        expected = normalize(make_walk(6, 1, seed=int(name[-3:])), NTU_25)
        np.testing.assert_allclose(sequences[name].frames, expected, atol=1e-5)
    said = "Unpacking" if save is np.savez_compressed else "Checking"
    assert f"{said} {path}/x_train.npy: 0.0 MB" in capsys.readouterr().out
    # Temporary files are gone.
    assert not list(tmp_path.glob("out/*")) and not list(tmp_path.glob("out/.*"))


def test_a_zip_of_the_file_gives_the_same(tmp_path, names_file):
    path = write_npz(tmp_path, **make_arrays())
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(path, "ntu/NTU60_CS.npz")
    ready_made, sequences, _ = imported(tmp_path / "all.zip", tmp_path, names_file)
    assert sorted(sequences) == sorted(NAMES)
    assert ready_made.entries[0].where == f"{tmp_path}/all.zip/ntu/NTU60_CS.npz"


def test_an_empty_frame_of_one_person_is_absent_though_it_is_minus_the_origin(tmp_path):
    body = make_walk(6, 1, seed=1)
    body[:, 3] = 0
    row = np.zeros((1, 9, 150), np.float32)
    row[0, :6, :75] = (body[0] - body[0, 0, 1]).reshape(6, 75)
    arrays = {"x_train": row, "y_train": np.eye(60)[:1]}
    ready_made, _, _ = imported(write_npz(tmp_path, **arrays), tmp_path)
    bodies = ready_made.entries[0].read_bodies()
    assert bodies.shape[1] == 6
    assert not bodies[:, 3].any() and bodies[0, [0, 1, 2, 4, 5]].any(axis=(1, 2)).all()


FAULTS = {
    "no body in any of 3 frames": {"x_train": np.ones((3, 3, 150), np.float32)},
    "expected one 1 among 0 in its row of y_train": {"y_train": np.full((3, 60), 0.5)},
    "expected finite numbers": {"x_train": np.full((3, 8, 150), np.nan, np.float32)},
    "no body in any of 0 frames": {"x_train": np.zeros((3, 8, 150), np.float32)},
}


@pytest.mark.parametrize("reason", FAULTS)
def test_rows_that_cannot_be_used_are_rejected_one_by_one(tmp_path, reason):
    path = write_npz(tmp_path, **make_arrays() | FAULTS[reason])
    _, sequences, rejected = imported(path, tmp_path)
    assert list(sequences) == ["NTU60_CS_test_0"]
    assert len(rejected) == 3
    for number, row in enumerate(sorted(rejected)):
        assert row.reason.startswith(f"NTU60_CS_train_{number}: ") and reason in row.reason


def without(*keys):
    return {key: array for key, array in make_arrays().items() if key not in keys}


FORMS = {
    "expected the arrays x_train, y_train, x_test, y_test, found y_train, y_test": without(
        "x_train", "x_test"
    ),
    "expected the arrays .* found x_train, x_test, y_test": without("y_train"),
    "expected one-hot labels of shape .* found float64 of shape": make_arrays()
    | {"y_train": np.zeros(3)},
    r"expected one-hot labels of shape .* found <U1": make_arrays()
    | {"y_train": np.array([["a"]])},
    "expected 60, 120 or 51 columns as labels, found 7": make_arrays()
    | {"y_train": np.eye(7)[:3], "y_test": np.eye(7)[:1]},
    "51 classes are those of PKU-MMD: expected a file name": make_arrays()
    | {"y_train": np.eye(51)[:3], "y_test": np.eye(51)[:1]},
    "have different numbers of columns": make_arrays() | {"y_test": np.eye(7)[:1]},
    "expected 3 rows as y_train has, found 2": make_arrays()
    | {"x_train": make_arrays()["x_train"][:2]},
    r"found float32 of shape \(3, 8, 149\)": make_arrays()
    | {"x_train": make_arrays()["x_train"][:, :, :149]},
    "found int64 of shape": make_arrays() | {"x_train": np.zeros((3, 8, 150), int)},
    r"found float32 of shape \(3, 150\)": make_arrays()
    | {"x_train": make_arrays()["x_train"][:, 0]},
    r"found float32 of shape \(3, 0, 150\)": make_arrays()
    | {"x_train": make_arrays()["x_train"][:, :0]},
    "found one of objects": make_arrays() | {"y_train": np.array([[None]])},
}


@pytest.mark.parametrize("reason", FORMS)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_of_another_form_is_refused(tmp_path, reason, save):
    with pytest.raises(ScdnetError, match=reason):
        imported(write_npz(tmp_path, save, **FORMS[reason]), tmp_path)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (NAMES[:3], "x_train has 3 rows, but 2 of the given names"),
        ([name[:-1] + "9" for name in NAMES], "the labels of 3 of 3 rows of y_train are not"),
        (
            ["one", *NAMES],
            r"names.txt:1: expected a name Sxxx.*, found 'one.skeleton'",
        ),
        ([*NAMES, NAMES[1]], r"names.txt:5: S001C002P002R001A002 is already in line 2"),
        ([], "expected names of recordings, one a line, found none"),
    ],
)
def test_names_of_other_files_are_refused(tmp_path, lines, reason):
    path = write_npz(tmp_path, **make_arrays())
    names = tmp_path / "names.txt"
    names.write_text("".join(f"{line}.skeleton\r\n" for line in lines))
    with pytest.raises(ScdnetError, match=reason):
        imported(path, tmp_path, names)


def test_a_row_whose_label_contradicts_its_name_is_rejected_alone(tmp_path, names_file):
    arrays = make_arrays()
    arrays["y_train"][0] = np.eye(60)[7]
    path = write_npz(tmp_path, **arrays)
    _, sequences, rejected = imported(path, tmp_path, names_file)
    assert len(sequences) == 3
    assert [row.reason for row in rejected] == [f"{NAMES[2]}: expected label 59, found 7"]


def test_names_for_rows_in_no_known_order_are_refused(tmp_path, names_file):
    path = write_npz(tmp_path, name="NTU60_mine.npz", **make_arrays())
    with pytest.raises(ScdnetError, match="not in an order that names can be given to"):
        imported(path, tmp_path, names_file)


def test_several_files_without_names_are_refused_before_anything_is_unpacked(tmp_path, capsys):
    paths = [
        write_npz(tmp_path, np.savez_compressed, name, **make_arrays())
        for name in ("NTU60_CS.npz", "NTU60_CV.npz")
    ]
    with pytest.raises(ScdnetError, match=r"contains no names, .* give --names skes_avail"):
        imported(paths, tmp_path)
    assert capsys.readouterr().out == ""


def test_files_of_several_datasets_are_refused(tmp_path, names_file):
    other = make_arrays() | {"y_train": np.zeros((3, 120)), "y_test": np.zeros((1, 120))}
    for side in ("train", "test"):
        other[f"y_{side}"][:, :60] = make_arrays()[f"y_{side}"]
    write_npz(tmp_path, **make_arrays())
    write_npz(tmp_path, name="NTU120_CSub.npz", **other)
    with pytest.raises(ScdnetError, match=r"expected files of one dataset, found .* in .*ntu60"):
        imported(tmp_path / "raw", tmp_path, names_file)


def make_raw():
    """Return the content of `raw_skes_data.pkl` for NAMES."""
    return [
        {
            "name": np.str_(name),
            "num_frames": 6,
            "data": {
                "72057594037944738": {
                    "joints": make_walk(6, 1, int(name[-3:])).reshape(-1, 3).astype(np.float32),
                    "colors": np.zeros((6, 25, 2), np.float32),
                    "interval": list(range(6)),
                }
            },
        }
        for name in NAMES
    ]


def make_denoised():
    """Return the content of `raw_denoised_joints.pkl` for NAMES."""
    return [make_walk(6, 1, int(name[-3:])).reshape(6, 75).astype(np.float32) for name in NAMES]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("make", [make_raw, make_denoised])
def test_intermediates_of_any_protocol_give_the_same(tmp_path, names_file, protocol, make):
    root = write_all(tmp_path / "raw", {"raw_x.pkl": pickle.dumps(make(), protocol)})
    _, sequences, rejected = imported(root, tmp_path, names_file)
    assert sorted(sequences) == sorted(NAMES) and not rejected
    for name in NAMES:
        expected = normalize(make_walk(6, 1, int(name[-3:])), NTU_25)
        np.testing.assert_allclose(sequences[name].frames, expected, rtol=0, atol=1e-5)


def test_a_person_whose_id_changes_is_one_body_and_another_is_a_second(tmp_path):
    first, second = make_walk(6, 2).astype(np.float32)
    made = make_raw()[:1]
    tracks = {
        "1": (first[:4], range(4)),
        "2": (first[4:], range(4, 6)),
        "3": (second[1:5] * 0.01, range(1, 5)),
    }
    made[0]["data"] = {
        key: {"joints": joints.reshape(-1, 3), "interval": list(frames)}
        for key, (joints, frames) in tracks.items()
    }
    root = write_all(tmp_path / "raw", {"raw_skes_data.pkl": pickle.dumps(made)})
    bodies = imported(root, tmp_path)[0].entries[0].read_bodies()
    np.testing.assert_array_equal(bodies[0], first)
    np.testing.assert_array_equal(bodies[1, 1:5], second[1:5] * np.float32(0.01))
    assert not bodies[1, [0, 5]].any()


def raw_with(**changes):
    made = make_raw()
    made[0] |= changes
    return made


def track_with(**changes):
    made = make_raw()
    made[0]["data"]["72057594037944738"] |= changes
    return made


PICKLE_FAULTS = [
    (raw_with(name="x"), "recording 1: expected a name SxxxCxxxPxxxRxxxAxxx, found 'x'"),
    (raw_with(num_frames=0), "expected 1 to 216000 frames, found 0"),
    (raw_with(num_frames=5), "expected as interval the frames of 150 joints, in 0..4"),
    (raw_with(data=[]), "expected a dict of bodies as data, found a list"),
    (raw_with(data={}), "no body in any of 6 frames"),
    (track_with(joints=3), "as joints, found 3"),
    (
        track_with(joints=np.zeros((9, 3), np.float32)),
        "expected as interval the frames of 9 joints",
    ),
    (track_with(interval=None), "expected as interval"),
    (track_with(interval=[0, 1, 2, 3, 4, "5"]), "expected as interval"),
    (track_with(interval=[0, 1, 2, 3, 4, 10**9]), "expected as interval"),
    ([None, *make_raw()[1:]], "recording 1: expected a dict, found none"),
    ([None, *make_denoised()[1:]], "of shape (frames, 75 or 150), found none"),
    ([np.zeros((6, 74), np.float32), *make_denoised()[1:]], "found f4 of shape (6, 74)"),
    ([np.zeros((6, 75), int), *make_denoised()[1:]], "found i8 of shape (6, 75)"),
    ([np.zeros((0, 75)), *make_denoised()[1:]], "no body in any of 0 frames"),
    ([np.zeros((6, 75)), *make_denoised()[1:]], "no body in any of 6 frames"),
]


@pytest.mark.parametrize(("made", "reason"), PICKLE_FAULTS)
def test_a_recording_that_cannot_be_used_is_rejected_alone(tmp_path, names_file, made, reason):
    root = write_all(tmp_path / "raw", {"raw_x.pkl": pickle.dumps(made)})
    _, sequences, rejected = imported(root, tmp_path, names_file)
    assert sorted(sequences) == sorted(NAMES[1:])
    assert len(rejected) == 1 and reason in rejected[0].reason, rejected


def test_intermediates_without_labels_need_names(tmp_path, names_file):
    root = write_all(tmp_path / "raw", {"raw_denoised_joints.pkl": pickle.dumps(make_denoised())})
    with pytest.raises(ScdnetError, match="contains neither names nor labels: give --names"):
        imported(root, tmp_path)
    names_file.write_text(NAMES[0])
    with pytest.raises(ScdnetError, match="contains 4 recordings, but 1 names given"):
        imported(root, tmp_path, names_file)


def test_another_pickle_is_refused(tmp_path):
    root = write_all(tmp_path / "raw", {"a.pkl": pickle.dumps({"a": 1})})
    with pytest.raises(ScdnetError, match=r"expected the content of raw_skes_data.* found a dict"):
        imported(root, tmp_path)


def saved(save, **arrays) -> bytes:

    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


BREAKABLE = {
    "NTU60_CS.npz": saved(np.savez, **make_arrays()),
    "NTU60_CSub.npz": saved(np.savez_compressed, **make_arrays()),
    "raw_skes_data.pkl": pickle.dumps(make_raw(), 5),
    "raw_denoised_joints.pkl": pickle.dumps(make_denoised(), 4),
}


@pytest.mark.parametrize("count", [50, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("file", BREAKABLE)
def test_broken_files_end_in_a_rejected_line_or_one_error(tmp_path, names_file, file, count):
    def opener(roots, names, scratch):
        return ctrgcn.open_files(roots, names_file, scratch)

    reasons = set()
    for seed in range(count):
        root = write_all(tmp_path / "raw", {file: break_bytes(BREAKABLE[file], seed)})
        sequences, reason = import_broken(opener, root, tmp_path)
        assert sequences.keys() <= set(NAMES) or file == "raw_skes_data.pkl"
        reasons.add(reason)
    assert len(reasons) > count / 10, "expected many kinds of damage"
