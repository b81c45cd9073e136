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
from scdnet.skeletons import NTU_25
from tests.raw.broken import with_count
from tests.raw.ready_made.ctrgcn_files import (
    NAMES,
    imported,
    make_arrays,
    make_denoised,
    make_raw,
    write_npz,
)
from tests.raw.ready_made.importing import (
    break_bytes,
    import_broken,
    write_all,
)


@pytest.fixture
def folder(shared) -> Path:
    return shared / "data" / "ready_made"


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


def test_a_zip_of_the_file_gives_the_same(tmp_path, names_file):
    path = write_npz(tmp_path, **make_arrays())
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(path, "ntu/NTU60_CS.npz")
    ready_made, sequences, _ = imported(tmp_path / "all.zip", tmp_path, names_file)
    assert sorted(sequences) == sorted(NAMES)
    assert ready_made.entries[0].where == f"{tmp_path}/all.zip/ntu/NTU60_CS.npz"


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


def break_member(data: bytes, seed: int) -> bytes:
    """Break an array inside a `.npz`, whose checksums then fit all the same."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(file, "w") as archive:
        members = source.namelist()
        for number, member in enumerate(members):
            content = source.read(member)
            is_broken = number == seed // 2 % len(members)
            archive.writestr(member, break_bytes(content, seed) if is_broken else content)
    return file.getvalue()


@with_count
@pytest.mark.parametrize("file", BREAKABLE)
def test_broken_files_end_in_a_rejected_line_or_one_error(tmp_path, names_file, file, num_broken):
    def opener(roots, scratch):
        return ctrgcn.open_files(roots, scratch, names_file)

    reasons = set()
    for seed in range(num_broken):
        break_file = break_member if file.endswith(".npz") and seed % 2 else break_bytes
        root = write_all(tmp_path / "raw", {file: break_file(BREAKABLE[file], seed)})
        sequences, reason = import_broken(opener, root, tmp_path)
        assert sequences.keys() <= set(NAMES) or file == "raw_skes_data.pkl"
        reasons.add(reason)
    assert len(reasons) > 10, "expected many kinds of damage"


def test_a_pickle_of_another_project_leads_to_its_format(shared, tmp_path):
    path = shared / "data" / "ready_made" / "pyskl" / "ntu60_3danno.pkl"
    with pytest.raises(ScdnetError, match=r"found a dict; this seems .* --format pyskl --raw"):
        imported(path, tmp_path)
