import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scdnet.commands.prepare_custom import main
from scdnet.data.store import open_sequences
from scdnet.raw.joint_mapping import filled_joints
from scdnet.skeletons import SKELETONS
from tests.raw.walker import csv, npz, walked, walking

TABLE = "name,label,subject,split\nwalk,walk,1,train\nrun.csv,run,,test\nhop,hop,2,train\n"


@pytest.fixture
def raw(tmp_path):
    """A directory of three recordings, one of them a csv in a subdirectory, and their table."""
    directory = tmp_path / "raw"
    (directory / "a").mkdir(parents=True)
    (directory / "walk.npz").write_bytes(npz(joints=walked()))
    (directory / "a" / "run.csv").write_bytes(csv(walked()[::2]))
    two_bodies = np.stack([walked(), walked() + np.array([1, 0, 0])], axis=1)
    (directory / "hop.npz").write_bytes(npz(two_bodies))
    (directory / "labels.csv").write_text(TABLE)
    return directory


def convert(raw: Path, out: Path, *options: str, layout: str = "ntu25") -> int:
    given = ["--layout", layout, "--unit", "m", "--up", "y", "--workers", "1"]
    return main(["--raw", str(raw), "--out", str(out), *given, *options])


def rejected_by(out: Path) -> list[tuple[str, str, str]]:
    """Return (file name, line, reason) of each rejection."""
    rows = [row.split("\t") for row in Path(f"{out}.rejected.tsv").read_text().splitlines()[1:]]
    return [(Path(file).name, line, reason) for file, line, reason in rows]


def test_a_directory_and_its_table_become_a_store(raw, tmp_path, capsys):
    out = tmp_path / "own.h5"
    assert convert(raw, out, "--table", str(raw / "labels.csv"), "--dataset", "mine") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("Converted 3, skipped 0 (missing list), rejected 0.\n")
    assert "empty" not in printed.err
    store = open_sequences(out)
    assert store.dataset == "mine" and store.class_names == ("hop", "run", "walk")
    assert store.table.name.tolist() == ["hop", "run", "walk"]
    assert store.table.label.tolist() == [0, 1, 2]
    assert store.table.subject.tolist() == [2, -1, 1]
    assert store.table.camera.tolist() == [-1, -1, -1]
    assert store.benchmarks == ("custom",)
    assert store.is_train("custom").tolist() == [True, False, True]
    assert [len(sequence.frames) for sequence in store] == [12, 6, 12]
    assert store[0].frames[:, 1].any() and not store[2].frames[:, 1].any()


@pytest.mark.parametrize("layout", ["ntu25", "kinect_v1_20", "mediapipe33"])
def test_the_store_states_how_its_joints_were_made(tmp_path, layout):
    (tmp_path / "a.npz").write_bytes(npz(walking(layout)))
    assert convert(tmp_path / "a.npz", tmp_path / "own.h5", "--to", "ntu25", layout=layout) == 0
    attributes = open_sequences(tmp_path / "own.h5")._file.attrs
    assert [attributes[key] for key in ("layout", "unit", "up")] == [layout, "m", "y"]
    assert tuple(attributes["filled_joints"]) == filled_joints(SKELETONS[layout])
    assert attributes["format"] == "scdnet-sequences" and attributes["skeleton"] == "ntu25"


def test_without_a_table_there_is_one_class_and_all_train(raw, tmp_path, capsys):
    (raw / "labels.csv").unlink()
    assert convert(raw, tmp_path / "own.h5") == 0
    assert "warning: benchmark custom has an empty test split" in capsys.readouterr().err
    store = open_sequences(tmp_path / "own.h5")
    assert store.class_names == ("unlabeled",) and store.table.label.tolist() == [0, 0, 0]
    assert store.is_train("custom").all() and (store.table.subject == -1).all()


def test_a_zip_gives_the_same_store_as_its_directory_with_any_number_of_workers(raw, tmp_path):
    with zipfile.ZipFile(tmp_path / "raw.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (raw / "walk.npz", raw / "a" / "run.csv", raw / "hop.npz"):
            archive.write(file, f"own/{file.name}")
    table = ("--table", str(raw / "labels.csv"))
    assert convert(raw, tmp_path / "a.h5", *table) == 0
    assert convert(tmp_path / "raw.zip", tmp_path / "b.h5", *table, "--workers", "2") == 0
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_unusable_files_and_lines_are_listed_and_the_others_converted(raw, tmp_path, capsys):
    (raw / "walk.csv").write_bytes(csv(walked()))
    (raw / "short.csv").write_text("1,2,3\n")
    (raw / "new.npz").write_bytes(npz(walked()))
    (raw / "labels.csv").write_text(TABLE + "short,hop,3,test\nnobody,fly,3,test\nhop,run,3,test\n")
    assert convert(raw, tmp_path / "own.h5", "--table", str(raw / "labels.csv")) == 0
    assert "Converted 3, skipped 0 (missing list), rejected 5." in capsys.readouterr().out
    assert sorted(rejected_by(tmp_path / "own.h5")) == [
        ("labels.csv", "6", "no recording 'nobody'"),
        ("labels.csv", "7", "'hop' is already in line 4"),
        ("new.npz", "0", f"no usable line in the table {raw}/labels.csv"),
        ("short.csv", "1", "expected 75 or 150 comma-separated numbers, found 3"),
        ("walk.npz", "0", f"has the same name as {raw}/walk.csv, which is used instead"),
    ]
    # The classes are those of the whole table.
    assert open_sequences(tmp_path / "own.h5").class_names == ("fly", "hop", "run", "walk")


def test_all_recordings_may_be_in_the_test_split(raw, tmp_path, capsys):
    (raw / "labels.csv").write_text(TABLE.replace("train", "test"))
    assert convert(raw, tmp_path / "own.h5", "--table", str(raw / "labels.csv")) == 0
    assert "benchmark custom has an empty training split" in capsys.readouterr().err
    assert not open_sequences(tmp_path / "own.h5").is_train("custom").any()


def test_a_name_that_the_store_cannot_contain_is_listed(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.npz")).write_bytes(npz(walked()))
    (tmp_path / "café.npz").write_bytes(npz(walked()))
    assert convert(tmp_path, tmp_path / "own.h5") == 0
    assert open_sequences(tmp_path / "own.h5").table.name.tolist() == ["café"]
    assert rejected_by(tmp_path / "own.h5") == [("caf\\udce9.npz", "0", "name is not UTF-8")]


CAPTURE = ["--layout", "ntu25", "--unit", "m", "--up=y"]


@pytest.mark.end_to_end
@pytest.mark.parametrize(
    ("raw_name", "out_name", "options", "status", "message"),
    [
        ("raw", "new.h5", [*CAPTURE, "--table", "raw/labels.csv"], 0, "Converted 3"),
        ("raw", "new.h5", [*CAPTURE, "--unit", "mm"], 1, "Converted 0"),
        ("empty", "new.h5", CAPTURE, 1, "warning: empty: "),
        ("none", "new.h5", CAPTURE, 2, "error: none: no such "),
        ("raw", "old.h5", CAPTURE, 2, "error: --out old.h5: exists; "),
        ("raw", "new.h5", [*CAPTURE, "--table", "none.csv"], 2, "error: none.csv: cannot be read"),
        ("raw", "new.h5", [*CAPTURE, "--table", "wrong.csv"], 2, "error: wrong.csv:1: expected "),
        ("raw", "new.h5", CAPTURE[:-1], 2, "the following arguments are required: --up"),
        ("raw", "new.h5", CAPTURE[2:], 2, "one of the arguments --layout --skeleton is required"),
        ("raw", "new.h5", [*CAPTURE, "--unit", "inch"], 2, "--unit: invalid choice: 'inch'"),
    ],
)  # fmt: skip
def test_the_exit_status_tells_whether_anything_was_converted(
    run, raw, tmp_path, monkeypatch, raw_name, out_name, options, status, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.h5").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong.csv").write_text("file,label\n")
    arguments = ["--raw", raw_name, "--out", out_name, "--workers", "1", *options]
    done = run("data_prep/custom_gendata.py", *arguments)
    assert done.status == status
    assert message in done.out + done.err
