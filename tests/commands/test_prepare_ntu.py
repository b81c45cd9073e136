import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scdnet.cli import run_command
from scdnet.commands.prepare_ntu import main
from scdnet.data.store import open_sequences
from scdnet.raw.datasets import missing_names

SCRIPT = Path(__file__).parents[2] / "data_prep" / "ntu_gendata.py"


@pytest.fixture
def raw(tmp_path, skeleton_text) -> Path:
    """A folder of three recordings, one of them in a folder of its own."""
    folder = tmp_path / "raw"
    (folder / "more").mkdir(parents=True)
    names = ("S001C002P003R001A005", "more/S001C001P001R001A060", "S002C001P002R002A001")
    for seed, name in enumerate(names):
        (folder / f"{name}.skeleton").write_text(skeleton_text((1, 2, 1), seed=seed))
    return folder


def run(raw: Path | list[Path], out: Path, *options: str, dataset: str = "ntu60") -> int:
    roots = raw if isinstance(raw, list) else [raw]
    arguments = [argument for root in roots for argument in ("--raw", str(root))]
    return main(["--dataset", dataset, *arguments, "--out", str(out), "--workers", "1", *options])


def rejected_by(out: Path) -> dict[str, tuple[str, str]]:
    """Read file name -> line, reason."""
    rows = [row.split("\t") for row in Path(f"{out}.rejected.tsv").read_text().splitlines()[1:]]
    return {Path(file).name: (line, reason) for file, line, reason in rows}


def test_a_folder_becomes_a_store_with_both_benchmarks(raw, tmp_path, capsys):
    out = tmp_path / "ntu60.h5"
    assert run(raw, out) == 0
    assert capsys.readouterr().out == (
        f"Converted 3, skipped 0 (missing list), rejected 0.\nSequence store: {out}\n"
    )
    store = open_sequences(out)
    assert store.table.name.tolist() == [
        "S001C001P001R001A060",
        "S001C002P003R001A005",
        "S002C001P002R002A001",
    ]
    assert store.table.label.tolist() == [59, 4, 0]
    assert store.table.subject.tolist() == [1, 3, 2]
    assert store.table.camera.tolist() == [1, 2, 1]
    assert store.table.setup.tolist() == [1, 1, 2]
    assert store.table.replication.tolist() == [1, 1, 2]
    assert store.is_train("xsub").tolist() == [True, False, True]
    assert store.is_train("xview").tolist() == [False, True, False]
    assert len(store.class_names) == 60 and store.dataset == "ntu60"


def test_the_authors_recordings_become_the_authors_frames(shared, tmp_path):
    out = tmp_path / "ntu120.h5"
    assert run(shared / "golden" / "ntu_cases", out, "--workers", "2", dataset="ntu120") == 0
    with np.load(shared / "golden" / "ntu_cases.npz") as golden:
        for sequence in open_sequences(out):
            num_frames = len(sequence.frames)
            assert num_frames == golden[f"{sequence.name}.num_frame"]
            # (C, T, V, M) -> (T, M, V, C)
            expected = golden[f"{sequence.name}.normalised"].transpose(1, 3, 2, 0)[:num_frames]
            np.testing.assert_allclose(sequence.frames, expected, rtol=0, atol=1e-5)


def test_a_zip_gives_the_same_store_as_its_folder(raw, tmp_path):
    with zipfile.ZipFile(tmp_path / "raw.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in raw.rglob("*.skeleton"):
            archive.write(file, f"nturgb+d_skeletons/{file.name}")
    assert run(raw, tmp_path / "a.h5") == run(tmp_path / "raw.zip", tmp_path / "b.h5") == 0
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_files_that_cannot_be_used_are_listed_and_the_others_converted(
    raw, tmp_path, skeleton_text, capsys
):
    text = skeleton_text()
    (raw / "S001C001P001R001A061.skeleton").write_text(text)
    (raw / "S001C001P001R001A000.skeleton").write_text(text)
    (raw / "S1C1P1R1A1.skeleton").write_text(text)
    (raw / "S003C001P001R001A001.skeleton").write_text("\n".join(text.splitlines()[:7]))
    (raw / "S003C001P001R001A002.skeleton").write_text("1\n0\n")
    (raw / "readme.txt").write_text("not a recording")
    assert run(raw, tmp_path / "a.h5") == 0
    assert "Converted 3, skipped 0 (missing list), rejected 5." in capsys.readouterr().out
    rejected = rejected_by(tmp_path / "a.h5")
    expected = {
        "S001C001P001R001A061": ("0", "expected a class in 1..60, found 61"),
        "S001C001P001R001A000": ("0", "expected a class in 1..60, found 0"),
        "S1C1P1R1A1": ("0", "expected a name of the form SxxxCxxxPxxxRxxxAxxx"),
        "S003C001P001R001A002": ("0", "contains no body in any of 1 frames"),
    }
    for name, row in expected.items():
        assert rejected[f"{name}.skeleton"] == row
    # The first line that is missing.
    assert rejected["S003C001P001R001A001.skeleton"][0] == "8"


def test_subject_setup_and_camera_numbers_are_not_limited(tmp_path, skeleton_text):
    (tmp_path / "S999C999P999R999A060.skeleton").write_text(skeleton_text())
    assert run(tmp_path, tmp_path / "a.h5") == 0
    assert open_sequences(tmp_path / "a.h5")[0].subject == 999


def test_of_a_name_found_twice_the_first_is_used_and_the_other_listed(raw, tmp_path, skeleton_text):
    other = tmp_path / "other"
    other.mkdir()
    (other / "S001C002P003R001A005.skeleton").write_text(skeleton_text((1,) * 9))
    assert run([other, raw], tmp_path / "a.h5") == 0
    assert len(open_sequences(tmp_path / "a.h5")[1].frames) == 9
    line, reason = rejected_by(tmp_path / "a.h5")["S001C002P003R001A005.skeleton"]
    first = other / "S001C002P003R001A005.skeleton"
    assert (line, reason) == ("0", f"has the same name as {first}, which is used instead")


def test_recordings_on_the_published_list_are_skipped_and_counted(
    raw, tmp_path, skeleton_text, capsys
):
    name = min(missing_names("ntu60"))
    (raw / f"{name}.skeleton").write_text(skeleton_text())
    assert run(raw, tmp_path / "a.h5") == 0
    assert "Converted 3, skipped 1 (missing list), rejected 0." in capsys.readouterr().out


def test_another_missing_list_replaces_the_published_one(raw, tmp_path, skeleton_text, capsys):
    (raw / f"{min(missing_names('ntu60'))}.skeleton").write_text(skeleton_text())
    (tmp_path / "list.txt").write_text("S001C002P003R001A005.skeleton\n")
    assert run(raw, tmp_path / "a.h5", "--missing-list", str(tmp_path / "list.txt")) == 0
    assert "Converted 3, skipped 1 (missing list), rejected 0." in capsys.readouterr().out
    names = open_sequences(tmp_path / "a.h5").table.name
    assert "S001C002P003R001A005" not in names and min(missing_names("ntu60")) in names


def test_options_are_not_abbreviated(raw, tmp_path, capsys):
    # It would be parsed as --debug, which `run_command` looks for itself.
    with pytest.raises(SystemExit, match="2"):
        run(raw, tmp_path / "a.h5", "--deb")
    assert "unrecognized arguments: --deb" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("archive", "num_recordings", "num_train"),
    [pytest.param("uiprmd", 2000, 1200, marks=pytest.mark.slow), ("irds", 188, 0)],
)
def test_real_recordings_are_read_without_a_single_one_rejected(
    shared, tmp_path, archive, num_recordings, num_train, capsys
):
    raw = shared / "data" / f"{archive}_skeletons.zip"
    assert run(raw, tmp_path / "a.h5", "--workers", "2") == 0
    out, err = capsys.readouterr()
    assert f"Converted {num_recordings}, skipped 0 (missing list), rejected 0." in out
    assert "xview has an empty training split" in err
    store = open_sequences(tmp_path / "a.h5")
    assert store.is_train("xsub").sum() == num_train and np.isfinite(store.read_frames()).all()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("--raw raw --out new.h5", 0, "Converted 3"),
        ("--raw empty --out new.h5", 1, "Converted 0"),
        ("--raw none --out new.h5", 2, "error: none: no such folder or zip\n"),
        ("--raw raw --out old.h5", 2, "error: --out old.h5: exists; choose another name"),
        ("--raw raw --out old.h5 --overwrite", 0, "Converted 3"),
        ("--raw raw --out new.h5 --missing-list none", 2, "error: "),
        ("--dataset ntu61 --raw raw --out new.h5", 2, "--dataset"),
        ("--out new.h5", 2, "--raw"),
    ],
)
def test_the_exit_status_tells_whether_anything_was_converted(
    raw, tmp_path, monkeypatch, capfd, arguments, status, message
):
    (tmp_path / "old.h5").touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    given = ["--dataset", "ntu60", "--workers", "1", *arguments.split()]
    with pytest.raises(SystemExit) as stopped:
        run_command(lambda: main(given))
    assert stopped.value.code == status
    assert message in "".join(capfd.readouterr())


@pytest.mark.end_to_end
@pytest.mark.parametrize("program", [["-m", "scdnet", "prepare", "ntu"], [SCRIPT]])
def test_the_script_and_the_verb_are_the_same_command(raw, tmp_path, program):
    arguments = ["--dataset", "ntu60", "--raw", "raw", "--out", "a.h5", "--workers", "2"]
    done = subprocess.run(
        [sys.executable, *program, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "Converted 3, skipped 0 (missing list), rejected 0.\nSequence store: a.h5\n"
    )
    assert len(open_sequences(tmp_path / "a.h5")) == 3
