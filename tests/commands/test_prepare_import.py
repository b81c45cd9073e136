import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scdnet.cli import run_command
from scdnet.commands.prepare_import import main
from scdnet.data.store import open_sequences
from scdnet.raw.normalize import normalize
from scdnet.raw.ready_made.formats import FORMATS
from scdnet.skeletons import COCO_17, NTU_25
from tests.raw.ready_made.importing import make_walk

ROOT = Path(__file__).parents[2]
NAMES = ("S001C001P001R001A001", "S001C002P003R001A002")


def write_annotations(path: Path) -> None:
    """Write an annotation file of two recordings, one of two bodies."""
    annotations = [
        {
            "frame_dir": name,
            "label": number,
            "keypoint": make_walk(8 + number, 1 + number, number).astype(np.float16),
            "total_frames": 8 + number,
        }
        for number, name in enumerate(NAMES)
    ]
    split = {"xsub_train": [NAMES[0]], "xsub_val": [NAMES[1]]}
    path.write_bytes(pickle.dumps({"split": split, "annotations": annotations}, 2))


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    write_annotations(folder / "ntu60_3danno.pkl")
    return folder


def run(raw: Path, out: Path, *options: str, ready_made: str = "pyskl") -> int:
    given = ["--format", ready_made, "--raw", str(raw), "--out", str(out), "--workers", "1"]
    return main([*given, *options])


def test_ready_made_files_become_a_store(raw, tmp_path, capsys):
    out = tmp_path / "a.h5"
    assert run(raw, out) == 0
    assert capsys.readouterr().out == (
        f"Converted 2, skipped 0 (missing list), rejected 0.\nSequence store: {out}\n"
    )
    with open_sequences(out) as store:
        assert (store.dataset, store.skeleton, len(store.class_names)) == ("ntu60", NTU_25, 60)
        assert store.table.name.tolist() == list(NAMES)
        assert store.table.subject.tolist() == [1, 3] and store.table.camera.tolist() == [1, 2]
        assert store.is_train("xsub").tolist() == [True, False]
        assert "rounded to float16" in store._file.attrs["source_processing"]
        expected = normalize(make_walk(8, 1).astype(np.float16), NTU_25)
        np.testing.assert_array_equal(store[0].frames, expected)


def test_the_same_files_give_the_same_store_with_any_number_of_workers(raw, tmp_path):
    run(raw, tmp_path / "a.h5")
    run(raw / "ntu60_3danno.pkl", tmp_path / "b.h5", "--workers", "2")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_files_without_names_get_those_of_a_list(shared, tmp_path, capsys):
    folder = shared / "data" / "ready_made" / "ctrgcn" / "ntu"
    names = folder / "statistics" / "skes_available_name.txt"
    options = ("--raw", str(folder / "NTU60_CV.npz"), "--names", str(names))
    assert run(folder / "NTU60_CS.npz", tmp_path / "a.h5", *options, ready_made="ctrgcn") == 0
    out, _ = capsys.readouterr()
    assert "x_train.npy: 0.8 MB in a temporary file beside" in out
    assert "Converted 24" in out
    with open_sequences(tmp_path / "a.h5") as store:
        assert store.benchmarks == ("xsub", "xview")
        assert store.table.name.tolist() == sorted(names.read_text().split())
    # Temporary files are gone.
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_a_2d_file_gives_a_2d_store(shared, tmp_path):
    path = shared / "data" / "ready_made" / "pyskl" / "ntu60_hrnet.pkl"
    assert run(path, tmp_path / "a.h5") == 0
    with open_sequences(tmp_path / "a.h5") as store:
        assert store.skeleton == COCO_17 and len(store) == 24


EXAMPLES = {
    "pyskl": ("pyskl/ntu60_3danno.pkl", 24),
    "ctrgcn": ("mamp", 15),
    "agcn": ("hico", 5),
    "crosclr": ("crosclr/NTU-RGB-D", 5),
    "nwucla": ("nw_ucla", 6),
    "txt2npy": ("txt2npy", 2),
}


@pytest.mark.parametrize("ready_made", FORMATS)
def test_the_example_of_each_format_becomes_a_store(shared, tmp_path, ready_made):
    path, num_sequences = EXAMPLES[ready_made]
    out = tmp_path / "a.h5"
    assert run(shared / "data" / "ready_made" / path, out, ready_made=ready_made) == 0
    with open_sequences(out) as store:
        assert len(store) == num_sequences and np.isfinite(store.read_frames()).all()
        assert store._file.attrs["source_processing"]
    assert not Path(f"{out}.rejected.tsv").exists()


def test_joints_can_be_mapped_to_ntu25(shared, tmp_path):
    path = shared / "data" / "ready_made" / "nw_ucla"
    assert run(path, tmp_path / "a.h5", "--to", "ntu25", ready_made="nwucla") == 0
    with open_sequences(tmp_path / "a.h5") as store:
        assert store.skeleton == NTU_25


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("--format pyskl --raw raw --out new.h5", 0, "Converted 2"),
        ("--format pyskl --raw empty --out new.h5", 1, "warning: empty: contains no file"),
        ("--format pyskl --raw none --out new.h5", 2, "error: none: no such "),
        ("--format pyskl --raw raw --out old.h5", 2, "error: --out old.h5: exists; choose another"),
        ("--format pyskl --raw raw --out old.h5 --overwrite", 0, "Converted 2"),
        ("--format pyskl --raw raw --out new.h5 --names x", 2, "files of pyskl contain the names"),
        ("--format pyskl --raw bad.pkl --out new.h5", 2, "error: bad.pkl: not a readable pickle"),
        ("--format pyskl --raw evil.pkl --out new.h5", 2, "evil.pkl: refused as a pickle: it "),
        ("--format ctrgcn --raw raw --out new.h5", 2, "expected the content of raw_skes_data.pkl"),
        ("--format ctrgcn --raw bad.npz --out new.h5", 2, "error: bad.npz: cannot be read"),
        ("--format other --raw raw --out new.h5", 2, "--format: invalid choice: 'other'"),
        ("--raw raw --out new.h5", 2, "arguments are required: --format"),
    ],
)
def test_the_exit_status_tells_whether_anything_was_converted(
    raw, tmp_path, monkeypatch, capfd, arguments, status, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.h5").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.pkl").write_bytes(b"\x80\x04")
    (tmp_path / "bad.npz").write_bytes(b"text")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(print))
    with pytest.raises(SystemExit) as stopped:
        run_command(lambda: main([*arguments.split(), "--workers", "1"]))
    assert stopped.value.code == status
    assert message in "".join(capfd.readouterr())


@pytest.mark.end_to_end
@pytest.mark.parametrize(
    "program", [["-m", "scdnet", "prepare", "import"], [str(ROOT / "data_prep/import_gendata.py")]]
)
def test_the_script_and_the_verb_are_the_same_command(raw, tmp_path, program):
    arguments = ["--format", "pyskl", "--raw", "raw", "--out", "a.h5", "--workers", "2"]
    done = subprocess.run(
        [sys.executable, *program, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(open_sequences(tmp_path / "a.h5")) == 2
