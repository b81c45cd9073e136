import shutil
from pathlib import Path

import numpy as np
import pytest

from scdnet.commands.prepare_pku import main
from scdnet.data.store import SequenceStore, open_sequences
from scdnet.raw.normalize import normalize
from scdnet.raw.raw_files import MAX_FRAMES
from tests.raw_fixtures import PKU1, PKU2, PkuTree, PkuVideo


def run(tree: PkuTree | Path, out: Path, *options: str, dataset: str = "pku1") -> int:
    root = tree.root if isinstance(tree, PkuTree) else tree
    return main(
        ["--dataset", dataset, "--raw", str(root), "--out", str(out), "--workers", "1", *options]
    )


def rejected_by(out: Path) -> list[tuple[str, int, str]]:
    """Folder and file name, line, reason."""
    rows = [row.split("\t") for row in Path(f"{out}.rejected.tsv").read_text().splitlines()[1:]]
    return [("/".join(Path(file).parts[-2:]), int(line), reason) for file, line, reason in rows]


def assert_frames_of(store: SequenceStore, videos: dict[str, PkuVideo]) -> None:
    """Every label line of the videos is a sequence: its frames, from 1 and the last included, normalised."""
    expected = {
        f"{name}_{index}": (video.frames[int(start) - 1 : int(end)].swapaxes(0, 1), int(label) - 1)
        for name, video in videos.items()
        for index, (label, start, end, _) in enumerate(line.split(",") for line in video.labels)
    }
    assert store.table.name.tolist() == sorted(expected)
    for sequence in store:
        bodies, label = expected[sequence.name]
        np.testing.assert_array_equal(sequence.frames, normalize(bodies))
        assert sequence.label == label


def test_part_one_becomes_the_expected_arrays(pku1, tmp_path, capsys):
    out = tmp_path / "pku1.h5"
    assert run(pku1, out) == 0
    assert capsys.readouterr() == (f"kept 22, listed missing 0, rejected 0: {out}\n", "")
    store = open_sequences(out)
    assert_frames_of(store, PKU1)
    assert (store.dataset, len(store.class_names), store.class_names[50]) == ("pku1", 51, "writing")
    cameras = {
        name[5]: camera
        for name, camera in zip(store.table.name, store.table.camera.tolist(), strict=True)
    }
    assert cameras == {"L": 1, "M": 2, "R": 3}
    for column in ("subject", "setup", "replication"):
        assert set(getattr(store.table, column).tolist()) == {-1}
    videos = [name[:6] for name in store.table.name.tolist()]
    assert store.is_train("xsub").tolist() == [video.startswith("0002") for video in videos]
    assert store.is_train("xview").tolist() == [
        video in ("0002-L", "0002-M", "0364-L") for video in videos
    ]


def test_part_two_has_subjects_and_keeps_the_classes_of_part_one(pku2, tmp_path):
    assert run(pku2, tmp_path / "pku2.h5", dataset="pku2") == 0
    store = open_sequences(tmp_path / "pku2.h5")
    assert_frames_of(store, PKU2)
    assert store.table.name.tolist() == ["A01N01-L_0", "A01N01-L_1", "A01N12-M_0", "A26N03-R_0"]
    assert store.table.subject.tolist() == [1, 1, 12, 3] and store.table.camera.tolist() == [
        1,
        1,
        2,
        3,
    ]
    assert (store.dataset, len(store.class_names), store.class_names[8]) == ("pku2", 51, "drop")
    assert store.is_train("xsub").tolist() == [True, True, False, True]
    assert store.is_train("xview").tolist() == [True, True, True, False]


def test_an_upright_body_that_faces_along_x_is_only_centred(tmp_path):
    frames = np.zeros((3, 2, 25, 3))
    frames[:, 0] = np.arange(75).reshape(25, 3) / 10 + 1  # joints of no shape, but these:
    frames[:, 0, [0, 1]] = [[2, 3, 4], [2, 3, 4.5]]  # the spine along +z
    frames[:, 0, [4, 8]] = [[2, 3, 5], [3, 3, 5]]  # the shoulders along +x
    frames[2, 0] += 10  # it walks away in the last frame, which cannot be seen once it is centred
    frames[1:, 1] = 20  # the second body comes late: moved to the front, then looped
    frames[1, 1] = 19
    tree = PkuTree.below(tmp_path / "raw")
    tree.write({"0001-L": PkuVideo(frames, ["7,1,3,2"])})
    for benchmark in ("subject", "view"):
        tree.write_split(f"cross-{benchmark}.txt", ["0001-L"], [])
    assert run(tree, tmp_path / "a.h5") == 0
    found = open_sequences(tmp_path / "a.h5")[0].frames
    centre = np.array([[2, 3, 4.5]] * 2 + [[12, 13, 14.5]])[:, None]  # the middle of body 0's spine
    np.testing.assert_allclose(found[:, 0], frames[:, 0] - centre, atol=1e-5)
    looped = np.array([19, 20, 19])[:, None, None]
    np.testing.assert_allclose(found[:, 1], np.broadcast_to(looped - centre, (3, 25, 3)), atol=1e-5)


def test_the_form_of_the_texts_changes_nothing(pku1, tmp_path):
    run(pku1, tmp_path / "a.h5")
    for file in pku1.root.rglob("*.txt"):
        file.write_bytes(
            b"\xef\xbb\xbf"
            + file.read_bytes().replace(b"\n", b"\r\n").replace(b" ", b"\t ")
            + b"\r\n \n"
        )
    assert run(pku1, tmp_path / "b.h5") == 0
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_workers_and_separate_roots_give_the_same_store(pku1, tmp_path):
    run(pku1, tmp_path / "a.h5")
    roots = [argument for folder in pku1[1:] for argument in ("--raw", str(folder))]
    assert (
        main(["--dataset", "pku1", *roots, "--out", str(tmp_path / "b.h5"), "--workers", "2"]) == 0
    )
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


BAD_LABELS = {  # line of the label file -> what is wrong with it
    "8,0,3,2": "frames 0..3 of a video of 8 frames",
    "8,7,9,2": "frames 7..9 of a video of 8 frames",
    "8,999999999,999999999,2": "frames 999999999..999999999 of a video of 8 frames",
    "8,5,4,2": "frames 5..4, expected an end that is not before the start",
    "0,1,3,2": "class 0, expected 1..51",
    "52,1,3,2": "class 52, expected 1..51",
    "8,1,3": "expected class,start,end,confidence, found '8,1,3'",
    "8,1,3,2,2": "expected class,start,end,confidence, found '8,1,3,2,2'",
    "8,-1,3,2": "expected class,start,end,confidence, found '8,-1,3,2'",
    "8,1.5,3,2": "expected class,start,end,confidence, found '8,1.5,3,2'",
    "eight": "expected class,start,end,confidence, found 'eight'",
}


def test_a_bad_label_line_is_rejected_counts_for_the_index_and_takes_no_other_along(pku1, tmp_path):
    labels = [line for bad in BAD_LABELS for line in (bad, "14,3,5,1")]
    (pku1.labels / "0002-M.txt").write_text("\n".join(labels))
    assert run(pku1, tmp_path / "a.h5") == 0
    names = [
        name
        for name in open_sequences(tmp_path / "a.h5").table.name.tolist()
        if name.startswith("0002-M")
    ]
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
def test_a_bad_line_of_a_video_takes_only_the_actions_that_need_it(pku1, tmp_path, bad, reason):
    file = pku1.videos / "0002-M.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], bad, *lines[4:]]))  # frame 4; 0002-M_2 is frames 3 to 5
    assert run(pku1, tmp_path / "a.h5") == 0
    store = open_sequences(tmp_path / "a.h5")
    assert "0002-M_2" not in store.table.name and {"0002-M_0", "0002-M_1"} < set(store.table.name)
    assert rejected_by(tmp_path / "a.h5") == [
        ("label/0002-M.txt", 3, "frames 3..5: line 4 of the video cannot be used"),
        ("skeleton/0002-M.txt", 4, reason),
    ]


def test_a_video_cut_short_keeps_the_actions_before(pku1, tmp_path):
    file = pku1.videos / "0002-R.txt"
    file.write_text(
        file.read_text()[: len("".join(file.read_text().splitlines(keepends=True)[:4])) + 100]
    )
    assert run(pku1, tmp_path / "a.h5") == 0
    assert [row[:2] for row in rejected_by(tmp_path / "a.h5")] == [
        ("label/0002-R.txt", 2),  # frames 6..8
        ("label/0002-R.txt", 3),  # frames 3..5
        ("skeleton/0002-R.txt", 5),
    ]


def test_an_action_without_a_body_and_a_label_file_without_an_action_are_rejected(pku1, tmp_path):
    pku1.write(
        {"0002-L": PkuVideo.of((1, 0, 0, 1), "7,2,3,1", "7,1,4,1"), "0002-M": PkuVideo.of((1, 1))}
    )
    assert run(pku1, tmp_path / "a.h5") == 0
    assert rejected_by(tmp_path / "a.h5") == [
        ("label/0002-L.txt", 1, "frames 2..3: no body in any of them"),
        ("label/0002-M.txt", 0, "no action in it"),
    ]


def test_files_that_match_no_other_are_rejected_and_the_rest_goes_on(pku1, tmp_path):
    (pku1.labels / "0002-L.txt").unlink()
    (pku1.videos / "0002-R.txt").unlink()
    shutil.copy(pku1.videos / "0002-M.txt", pku1.videos / "2-M.txt")
    pku1.write({"0400-L": PKU1["0002-L"], "0401-L": PKU1["0002-L"]})
    pku1.write_split(
        "cross-view.txt", ["0002-M", "0364-L", "0400-L", "0401-L"], ["0002-R", "0364-R"]
    )
    pku1.write_split("cross-subject.txt", ["0002-M", "0401-L"], ["0401-L", "0364-L", "0364-R"])
    assert run(pku1, tmp_path / "a.h5") == 0
    assert {name[:6] for name in open_sequences(tmp_path / "a.h5").table.name} == {
        "0002-M",
        "0364-L",
        "0364-R",
    }
    assert rejected_by(tmp_path / "a.h5") == [
        ("label/0002-R.txt", 0, "no video 0002-R.txt"),
        ("skeleton/0002-L.txt", 0, "no label file 0002-L.txt"),
        ("skeleton/0400-L.txt", 0, "xsub lists it on neither side"),
        ("skeleton/0401-L.txt", 0, "xsub lists it on both sides"),
        ("skeleton/2-M.txt", 0, "the skeletons of a video, but its name is not like 0002-L"),
    ]


def test_listed_videos_that_are_not_there_are_said(pku2, tmp_path, capsys):
    for folder in (pku2.videos, pku2.labels):
        (folder / "A01N12-M.txt").unlink()
    assert run(pku2, tmp_path / "a.h5", dataset="pku2") == 0
    assert "warning: listed in the splits, but not there (1): A01N12-M\n" in capsys.readouterr().err


def test_labels_that_ask_for_a_video_many_times_are_bounded(pku1, tmp_path, monkeypatch):
    monkeypatch.setattr("scdnet.commands.prepare_pku.MAX_FRAMES", 20)
    pku1.write({"0002-L": PkuVideo.of((1,) * 8, *["7,1,8,1"] * 3, "7,2,5,1")})
    assert run(pku1, tmp_path / "a.h5") == 0
    assert rejected_by(tmp_path / "a.h5") == [
        (
            "label/0002-L.txt",
            3,
            "frames 1..8: with them the actions of the video take more than 20 frames",
        )
    ]
    assert (
        "0002-L_3" in open_sequences(tmp_path / "a.h5").table.name
    )  # frames of rejected ones do not count
    assert MAX_FRAMES == 216_000


def test_a_folder_without_anything_of_the_part_keeps_nothing(tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(empty, tmp_path / "a.h5") == 1
    out, err = capsys.readouterr()
    assert (
        "kept 0, listed missing 0, rejected 0: no store written" in out
        and f"warning: {empty}: no file there" in err
    )
    (empty / "notes.txt").write_text("nothing\n")
    assert run(empty, tmp_path / "a.h5") == 1
    assert (
        "warning: no file of pku1: looked for 0002-L.txt and cross-subject.txt"
        in capsys.readouterr().err
    )
