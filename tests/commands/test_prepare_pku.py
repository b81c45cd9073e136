import shutil
from pathlib import Path

import numpy as np
import pytest

from scdnet.commands.prepare_pku import main
from scdnet.data.store import SequenceStore, open_sequences
from scdnet.raw.normalize import normalize
from scdnet.skeletons import NTU_25
from tests.raw_trees import PKU1, PKU2, PkuTree, PkuVideo


def run(tree: PkuTree | Path, out: Path, *options: str, dataset: str = "pku1") -> int:
    root = tree.root if isinstance(tree, PkuTree) else tree
    return main(
        ["--dataset", dataset, "--raw", str(root), "--out", str(out), "--workers", "1", *options]
    )


def rejected_by(out: Path) -> list[tuple[str, int, str]]:
    """Read the rows: folder and file name, line, reason."""
    rows = [row.split("\t") for row in Path(f"{out}.rejected.tsv").read_text().splitlines()[1:]]
    return [("/".join(Path(file).parts[-2:]), int(line), reason) for file, line, reason in rows]


def assert_frames_of(store: SequenceStore, videos: dict[str, PkuVideo]) -> None:
    """Check that each label line of the videos is a sequence: its frames, normalized."""
    expected = {}
    for name, video in videos.items():
        for index, line in enumerate(video.labels):
            action, start, end, _ = map(int, line.split(","))
            # Frames count from 1, and the last one is included.
            bodies = video.frames[start - 1 : end].swapaxes(0, 1)
            expected[f"{name}_{index}"] = (bodies, action - 1)
    assert store.table.name.tolist() == sorted(expected)
    for sequence in store:
        bodies, label = expected[sequence.name]
        np.testing.assert_array_equal(sequence.frames, normalize(bodies, NTU_25))
        assert sequence.label == label


def test_part_one_becomes_the_expected_arrays(pku1, tmp_path, capsys):
    out = tmp_path / "pku1.h5"
    assert run(pku1, out) == 0
    printed = f"Converted 22, skipped 0 (missing list), rejected 0.\nSequence store: {out}\n"
    found = capsys.readouterr()
    assert found.out == printed
    # The splits of this example are not those of the dataset.
    assert [line[:23] for line in found.err.splitlines()] == [
        "warning: benchmark xsub",
        "warning: benchmark xvie",
    ]
    store = open_sequences(out)
    assert_frames_of(store, PKU1)
    assert (store.dataset, len(store.class_names), store.class_names[50]) == ("pku1", 51, "writing")
    letters = [name[5] for name in store.table.name]
    cameras = dict(zip(letters, store.table.camera.tolist(), strict=True))
    assert cameras == {"L": 1, "M": 2, "R": 3}
    for column in ("subject", "setup", "replication"):
        assert set(getattr(store.table, column).tolist()) == {-1}
    videos = [name[:6] for name in store.table.name.tolist()]
    assert store.is_train("xsub").tolist() == [video.startswith("0002") for video in videos]
    train = ("0002-L", "0002-M", "0364-L")
    assert store.is_train("xview").tolist() == [video in train for video in videos]


def test_part_two_has_subjects_and_keeps_the_classes_of_part_one(pku2, tmp_path):
    assert run(pku2, tmp_path / "pku2.h5", dataset="pku2") == 0
    store = open_sequences(tmp_path / "pku2.h5")
    assert_frames_of(store, PKU2)
    assert store.table.name.tolist() == ["A01N01-L_0", "A01N01-L_1", "A01N12-M_0", "A26N03-R_0"]
    assert store.table.subject.tolist() == [1, 1, 12, 3]
    assert store.table.camera.tolist() == [1, 1, 2, 3]
    assert (store.dataset, len(store.class_names), store.class_names[8]) == ("pku2", 51, "drop")
    assert store.is_train("xsub").tolist() == [True, True, False, True]
    assert store.is_train("xview").tolist() == [True, True, True, False]


def test_an_upright_body_that_faces_along_x_is_only_centered(tmp_path):
    frames = np.zeros((3, 2, 25, 3))
    # The spine points along +z, the shoulders along +x; all other joints have no shape.
    frames[:, 0] = np.arange(75).reshape(25, 3) / 10 + 1
    frames[:, 0, [0, 1]] = [[2, 3, 4], [2, 3, 4.5]]
    frames[:, 0, [4, 8]] = [[2, 3, 5], [3, 3, 5]]
    # The body walks away in the last frame, which cannot be seen once it is centered.
    frames[2, 0] += 10
    # The second body comes late: it is moved to the front and looped.
    frames[1:, 1] = 20
    frames[1, 1] = 19
    tree = PkuTree.below(tmp_path / "raw")
    tree.write({"0001-L": PkuVideo(frames, ["7,1,3,2"])})
    for benchmark in ("subject", "view"):
        tree.write_split(f"cross-{benchmark}.txt", ["0001-L"], [])
    assert run(tree, tmp_path / "a.h5") == 0
    found = open_sequences(tmp_path / "a.h5")[0].frames
    spine_middle = np.array([[2, 3, 4.5], [2, 3, 4.5], [12, 13, 14.5]])[:, None]
    np.testing.assert_allclose(found[:, 0], frames[:, 0] - spine_middle, atol=1e-5)
    looped = np.array([19, 20, 19])[:, None, None]
    expected = np.broadcast_to(looped - spine_middle, (3, 25, 3))
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-5)


def test_the_form_of_the_texts_changes_nothing(pku1, tmp_path):
    run(pku1, tmp_path / "a.h5")
    for file in pku1.root.rglob("*.txt"):
        text = file.read_bytes().replace(b"\n", b"\r\n").replace(b" ", b"\t ")
        file.write_bytes(b"\xef\xbb\xbf" + text + b"\r\n \n")
    assert run(pku1, tmp_path / "b.h5") == 0
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_workers_and_separate_roots_give_the_same_store(pku1, tmp_path):
    run(pku1, tmp_path / "a.h5")
    roots = [argument for folder in pku1[1:] for argument in ("--raw", str(folder))]
    arguments = ["--dataset", "pku1", *roots, "--out", str(tmp_path / "b.h5"), "--workers", "2"]
    assert main(arguments) == 0
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


OUTSIDE = "outside the video, which has 8 frames"
# Line of the label file -> why it cannot be used.
BAD_LABELS = {
    "8,0,3,2": f"frames 0..3: {OUTSIDE}",
    "8,7,9,2": f"frames 7..9: {OUTSIDE}",
    "8,999999999,999999999,2": f"frames 999999999..999999999: {OUTSIDE}",
    "8,5,4,2": "expected a start before the end, found frames 5..4",
    "0,1,3,2": "expected a class in 1..51, found 0",
    "52,1,3,2": "expected a class in 1..51, found 52",
    "8,1,3": "expected class,start,end,confidence, found '8,1,3'",
    "8,1,3,2,2": "expected class,start,end,confidence, found '8,1,3,2,2'",
    "8,-1,3,2": "expected class,start,end,confidence, found '8,-1,3,2'",
    "8,1.5,3,2": "expected class,start,end,confidence, found '8,1.5,3,2'",
    "eight": "expected class,start,end,confidence, found 'eight'",
}


def test_a_bad_label_line_is_rejected_and_still_counts_for_the_index(pku1, tmp_path):
    labels = [line for bad in BAD_LABELS for line in (bad, "14,3,5,1")]
    (pku1.labels / "0002-M.txt").write_text("\n".join(labels))
    assert run(pku1, tmp_path / "a.h5") == 0
    names = open_sequences(tmp_path / "a.h5").table.name.tolist()
    names = [name for name in names if name.startswith("0002-M")]
    assert names == sorted(f"0002-M_{2 * i + 1}" for i in range(len(BAD_LABELS)))
    assert rejected_by(tmp_path / "a.h5") == [
        ("label/0002-M.txt", 2 * i + 1, reason) for i, reason in enumerate(BAD_LABELS.values())
    ]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("1 2 3", "expected 150 numbers, found 3"),
        ("", "expected 150 numbers, found 0"),
        (" ".join(["1"] * 151), "expected 150 numbers, found 151"),
        (
            " ".join(["1"] * 119 + ["nan"] + ["1"] * 30),
            "expected 150 finite numbers, found 'nan' as number 120",
        ),
        (
            " ".join(["1"] * 149 + ["1e31"]),
            "expected 150 finite numbers, found '1e31' as number 150",
        ),
    ],
)
def test_a_bad_line_of_a_video_rejects_only_the_actions_that_need_it(pku1, tmp_path, bad, reason):
    file = pku1.videos / "0002-M.txt"
    lines = file.read_text().splitlines()
    # Frame 4 is bad, and 0002-M_2 has frames 3 to 5.
    file.write_text("\n".join([*lines[:3], bad, *lines[4:]]))
    assert run(pku1, tmp_path / "a.h5") == 0
    store = open_sequences(tmp_path / "a.h5")
    assert "0002-M_2" not in store.table.name and {"0002-M_0", "0002-M_1"} < set(store.table.name)
    assert rejected_by(tmp_path / "a.h5") == [
        ("label/0002-M.txt", 3, "frames 3..5: line 4 of the video cannot be used"),
        ("skeleton/0002-M.txt", 4, reason),
    ]


def test_a_video_cut_short_keeps_the_actions_before(pku1, tmp_path):
    file = pku1.videos / "0002-R.txt"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:4]) + lines[4][:100])
    assert run(pku1, tmp_path / "a.h5") == 0
    # The labels of lines 2 and 3 are frames 6 to 8 and 3 to 5.
    assert [row[:2] for row in rejected_by(tmp_path / "a.h5")] == [
        ("label/0002-R.txt", 2),
        ("label/0002-R.txt", 3),
        ("skeleton/0002-R.txt", 5),
    ]


def test_an_action_without_a_body_and_a_label_file_without_an_action_are_rejected(pku1, tmp_path):
    absent = PkuVideo.of((1, 0, 0, 1), "7,2,3,1", "7,1,4,1")
    pku1.write({"0002-L": absent, "0002-M": PkuVideo.of((1, 1))})
    assert run(pku1, tmp_path / "a.h5") == 0
    assert rejected_by(tmp_path / "a.h5") == [
        ("label/0002-L.txt", 1, "frames 2..3: no body in any of them"),
        ("label/0002-M.txt", 0, "contains no action"),
    ]


def test_files_without_a_partner_are_rejected_and_the_others_converted(pku1, tmp_path):
    (pku1.labels / "0002-L.txt").unlink()
    (pku1.videos / "0002-R.txt").unlink()
    shutil.copy(pku1.videos / "0002-M.txt", pku1.videos / "2-M.txt")
    pku1.write({"0400-L": PKU1["0002-L"], "0401-L": PKU1["0002-L"]})
    view_train = ["0002-M", "0364-L", "0400-L", "0401-L"]
    pku1.write_split("cross-view.txt", view_train, ["0002-R", "0364-R"])
    pku1.write_split("cross-subject.txt", ["0002-M", "0401-L"], ["0401-L", "0364-L", "0364-R"])
    assert run(pku1, tmp_path / "a.h5") == 0
    names = open_sequences(tmp_path / "a.h5").table.name
    assert {name[:6] for name in names} == {"0002-M", "0364-L", "0364-R"}
    assert rejected_by(tmp_path / "a.h5") == [
        ("label/0002-R.txt", 0, "no video 0002-R.txt"),
        ("skeleton/0002-L.txt", 0, "no label file 0002-L.txt"),
        ("skeleton/0400-L.txt", 0, "listed on neither side of xsub"),
        ("skeleton/0401-L.txt", 0, "listed on both sides of xsub"),
        ("skeleton/2-M.txt", 0, "contains skeletons, but is not named like 0002-L"),
    ]


def test_missing_videos_of_the_splits_are_warned_of(pku2, tmp_path, capsys):
    for folder in (pku2.videos, pku2.labels):
        (folder / "A01N12-M.txt").unlink()
    assert run(pku2, tmp_path / "a.h5", dataset="pku2") == 0
    expected = "warning: missing videos of the splits (1): A01N12-M\n"
    assert expected in capsys.readouterr().err


def test_a_folder_without_any_file_of_the_part_converts_nothing(tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(empty, tmp_path / "a.h5") == 1
    out, err = capsys.readouterr()
    assert "Converted 0, skipped 0 (missing list), rejected 0.\nNo sequence store" in out
    assert f"warning: {empty}: contains no file" in err
    (empty / "notes.txt").write_text("nothing\n")
    assert run(empty, tmp_path / "a.h5") == 1
    expected = "warning: no file of pku1; looked for 0002-L.txt and cross-subject.txt\n"
    assert expected in capsys.readouterr().err
