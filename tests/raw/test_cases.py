"""Inputs that users bring and that go wrong: each row of cases/README.md of the shared folder."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from scdnet.commands import prepare_custom, prepare_ntu
from scdnet.data.store import SequenceStore, open_sequences
from scdnet.errors import ScdnetError


class Done(NamedTuple):
    """What a conversion did: its exit status, what it printed, and the rejected rows by file."""

    status: int
    text: str
    rejected: dict[str, tuple[int, str]]
    store: SequenceStore | None


Convert = Callable[..., Done]


@pytest.fixture
def cases(shared: Path) -> Path:
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip(f"{folder}: no such folder")
    return folder


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., Done]:
    """Runs a converter on a folder or file."""

    def call(main: Callable[[list[str]], int], raw: Path, *options: str) -> Done:
        out = tmp_path / "x.h5"
        given = ["--raw", str(raw), "--out", str(out), "--workers", "1", "--overwrite", *options]
        status = main(given)
        listed = Path(f"{out}.rejected.tsv")
        rows = listed.read_text().splitlines()[1:] if listed.exists() else []
        rejected = {
            Path(file).name: (int(line), reason)
            for file, line, reason in (row.split("\t") for row in rows)
        }
        text = "".join(capsys.readouterr())
        return Done(status, text, rejected, open_sequences(out) if out.exists() else None)

    return call


@pytest.fixture
def convert(run: Callable[..., Done], cases: Path) -> Convert:
    """Converts a case with the command of README.md."""

    def call(case: str, *options: str, layout: str = "ntu25", up: str = "y") -> Done:
        given = ("--layout", layout, "--unit", "m", f"--up={up}")
        return run(prepare_custom.main, cases / case, *given, *options)

    return call


@pytest.fixture
def convert_ntu(run: Callable[..., Done], cases: Path) -> Convert:
    return lambda case: run(prepare_ntu.main, cases / case, "--dataset", "ntu60")


def only_frames(done: Done) -> np.ndarray:
    assert done.status == 0 and not done.rejected and done.store is not None
    (sequence,) = done.store
    return sequence.frames


@pytest.mark.parametrize(
    "case",
    [
        "csv-joints-by-limb", "csv-joints-alphabetical", "csv-all-x-then-y-then-z",
        "csv-right-before-left", "csv-semicolon", "csv-space", "csv-tab", "csv-quoted-header",
        "csv-numbered-from-1",
    ],
)  # fmt: skip
def test_a_csv_in_another_form_gives_the_frames_of_the_plain_one(convert, case):
    expected = only_frames(convert("csv-plain"))
    np.testing.assert_array_equal(only_frames(convert(case)), expected)


def test_a_csv_in_utf16_gives_the_first_frames_of_the_plain_one(convert):
    expected = only_frames(convert("csv-plain"))[:40]
    np.testing.assert_array_equal(only_frames(convert("csv-utf16")), expected)


@pytest.mark.parametrize(
    ("case", "capture", "reasons"),
    [
        ("npz-pyskl-M1", {}, ["(1, 170, 25, 3)", "(bodies, frames,", "transpose(1, 0, 2, 3)"]),
        ("npz-pyskl-dict", {}, ["annotation of pyskl", "scdnet prepare import --format pyskl"]),
        ("npz-openpose-body25-xyc", {"up": "-y"}, ["confidence", "openpose25", "--unit px"]),
        (
            "mediapipe-image",
            {"layout": "mediapipe33", "up": "-y"},
            ["image landmarks", "pose_world_landmarks"],
        ),
    ],
)
def test_what_would_be_silently_wrong_is_refused_with_the_way_out(convert, case, capture, reasons):
    done = convert(case, **capture)
    assert done.status == 1 and done.store is None
    ((_, reason),) = done.rejected.values()
    assert all(part in reason for part in reasons), reason
    # The reason is printed, too.
    assert reason in done.text


@pytest.mark.parametrize("case", ["origin-first-frame", "origin-all-frames"])
def test_a_joint_at_the_origin_is_kept(convert, case):
    assert len(only_frames(convert(case))) == 170


def test_files_of_equal_names_in_folders_are_all_kept_under_their_paths(convert):
    done = convert("class-folders")
    expected = [f"{folder}/{name}" for folder in ("sit", "wave") for name in ("001", "002", "003")]
    assert done.store.table.name.tolist() == expected and not done.rejected
    done = convert("class-folders", "--labels-from", "folder")
    assert done.store.table.name.tolist() == expected
    assert done.store.class_names == ("sit", "wave")
    assert done.store.table.label.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("CTV", "transpose(1, 2, 0)"), ("CTVM", "transpose(1, 3, 2, 0)"),
        ("NCTVM", "joints[0].transpose(1, 3, 2, 0)"), ("T3V", "transpose(0, 2, 1)"),
        ("T75", "reshape(-1, 25, 3)"), ("VTC", "transpose(1, 0, 2)"),
    ],
)  # fmt: skip
def test_another_shape_is_refused_with_the_line_that_mends_it(convert, cases, name, line):
    done = convert("npz-shapes")
    assert done.status == 1
    assert line in done.rejected[f"{name}.npz"][1]
    with np.load(cases / "npz-shapes" / f"{name}.npz") as arrays:
        assert str(arrays["joints"].shape) in done.rejected[f"{name}.npz"][1]


@pytest.mark.parametrize(
    ("joints", "layouts"),
    [
        (17, "h36m17 (3-D), coco17 (2-D)"), (18, "--skeleton FILE"), (22, "--skeleton FILE"),
        (24, "smpl24 (3-D)"), (32, "azure32 (3-D)"), (34, "--skeleton FILE"),
    ],
)  # fmt: skip
def test_the_layouts_that_fit_the_number_of_joints_are_named(convert, joints, layouts):
    _, reason = convert(f"v{joints}").rejected["a.npz"]
    assert f"(20, {joints}, 3)" in reason and f"{joints} joints" in reason and layouts in reason


def test_lost_frames_are_rejected_with_their_line(convert):
    done = convert("csv-lost-frames")
    lines = {name: line for name, (line, _) in done.rejected.items()}
    assert lines == {"None.csv": 22, "empty.csv": 22, "nan.csv": 22, "commas-at-end.csv": 1}


@pytest.mark.parametrize(
    ("table", "classes", "num_train"),
    [
        ("ok", "1 2 3 10", 8), ("Train", "1 2 3 10", 8), ("bom-crlf", "1 2 3 10", 8),
        ("capital", "1 2 3 10", 8), ("extra", "1 2 3 10", 8), ("float", "1 2 3 10", 8),
        ("leading-zero", "1 2 3 10", 8), ("path", "1 2 3 10", 8), ("quoted", "1 2 3 10", 8),
        ("semicolon", "1 2 3 10", 8), ("spaces", "1 2 3 10", 8), ("suffix", "1 2 3 10", 8),
        ("utf16", "1 2 3 10", 8), ("val", "1 2 3 10", 8), ("winpath", "1 2 3 10", 8),
        ("fromone", "1 2 3", 9), ("one", "fall", 8),
    ],
)  # fmt: skip
def test_a_table_in_another_form_is_read(convert, cases, table, classes, num_train):
    done = convert("table/rec", "--table", str(cases / "table" / f"{table}.csv"))
    assert done.status == 0 and not done.rejected
    assert done.store.class_names == tuple(classes.split())
    assert done.store.is_train("custom").sum() == num_train and len(done.store) == 12


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("latin1", "latin1.csv:13: expected UTF-8, found byte 0xe4; save it as UTF-8"),
        ("xlsx", "xlsx.csv: expected a text, found a zip or an Excel workbook (.xlsx), which must"),
    ],
)
def test_a_table_in_another_encoding_is_refused_with_what_it_is(convert, cases, table, reason):
    with pytest.raises(ScdnetError) as caught:
        convert("table/rec", "--table", str(cases / "table" / f"{table}.csv"))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("table", "rejected"),
    [
        ("dup", {"dup.csv": (14, "'r00' is already in line 2")}),
        ("miss", {"r05.npz": (0, "no usable line in the table ")}),
        ("nolabel", {"nolabel.csv": (6, "expected a label, found ''"), "r04.npz": (0, "no usab")}),
    ],
)
def test_bad_lines_of_a_table_are_listed_and_the_others_used(convert, cases, table, rejected):
    done = convert("table/rec", "--table", str(cases / "table" / f"{table}.csv"))
    assert done.status == 0 and done.rejected.keys() == rejected.keys()
    for name, (line, reason) in rejected.items():
        assert done.rejected[name][0] == line and done.rejected[name][1].startswith(reason)


def test_a_class_of_the_test_split_alone_is_warned_of_with_its_share(convert, cases):
    done = convert("table/rec", "--table", str(cases / "table" / "unseen.csv"))
    assert "2 of 4 test sequences (50 %) are of classes without a training" in done.text
    assert ", new: " in done.text


def test_all_recordings_may_test(convert, cases):
    done = convert("table/rec", "--table", str(cases / "table" / "alltest.csv"))
    assert done.status == 0 and "empty training split" in done.text


def test_short_recordings_are_converted(convert, cases):
    done = convert("short/rec", "--table", str(cases / "short" / "t.csv"))
    assert done.status == 0 and len(done.store) == 12 and not done.rejected


@pytest.mark.parametrize(
    ("case", "up", "axis"),
    [("up-wrong", "z", "y"), ("up-wrong", "-y", "y"), ("up-wrong-yDown", "y", "-y")],
)
def test_another_axis_that_points_up_is_warned_of(convert, case, up, axis):
    done = convert(case, up=up)
    assert done.status == 0 and f"the trunk points along {axis}, not along {up}" in done.text
    assert "the trunk points" not in convert(case, up=axis).text


def test_odd_files_of_ntu_are_listed_with_what_they_are(convert_ntu):
    done = convert_ntu("ntu-odd")
    reasons = {
        name.removesuffix(".skeleton")[-4:]: reason for name, (_, reason) in done.rejected.items()
    }
    assert "5000 NUL bytes" in reasons["A002"] and "an empty file" in reasons["A003"]
    assert "web page" in reasons["A015"] and "Git LFS pointer" in reasons["A016"]
    assert "1 files were not converted because another has the same name" in done.text
    # What macOS adds is not listed.
    assert not any(name.startswith("._") for name in done.rejected)
    assert len(done.store) == 12 and len(done.rejected) == 16


def test_a_zip_of_a_mac_is_read_without_its_attributes(convert_ntu):
    done = convert_ntu("ntu-zip/nturgbd_skeletons_s001_to_s017.zip")
    assert done.status == 0 and len(done.store) == 1 and not done.rejected


@pytest.mark.parametrize("case", ["ntu-zip/folder", "ntu-zip/outer.zip"])
def test_a_zip_where_recordings_are_looked_for_is_named(convert_ntu, case):
    done = convert_ntu(case)
    assert done.status == 1
    assert "it contains" in done.text and "nturgbd_skeletons_s001_to_s017.zip" in done.text


def test_half_a_zip_is_called_that(convert_ntu):
    with pytest.raises(ScdnetError, match="an incomplete zip, whose end is missing"):
        convert_ntu("ntu-zip/partial.zip")


@pytest.mark.parametrize(
    ("name", "ready_made"),
    [("NTU60_CS.npz", "ctrgcn"), ("ntu60_3danno.pkl", "pyskl"), ("train_data_joint.npy", "agcn")],
)
def test_a_ready_made_file_leads_to_its_importer(convert, convert_ntu, name, ready_made):
    expected = f"scdnet prepare import --format {ready_made} "
    with pytest.raises(ScdnetError, match=expected):
        convert_ntu(f"ready-made/{name}")
    if name.endswith(".pkl"):
        with pytest.raises(ScdnetError, match=expected):
            convert(f"ready-made/{name}")
    else:
        done = convert(f"ready-made/{name}")
        assert done.status == 1 and expected in done.rejected[name][1]


def test_a_folder_of_ready_made_files_leads_to_an_importer(convert_ntu):
    done = convert_ntu("ready-made")
    assert done.status == 1 and "scdnet prepare import --format ctrgcn" in done.text
