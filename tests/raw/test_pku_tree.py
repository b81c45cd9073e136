import shutil
import zipfile
from pathlib import Path

import pytest

from scdnet.raw.convert import ConvertError, find_all
from scdnet.raw.pku import SUFFIXES
from scdnet.raw.pku_tree import LABELS, VIDEO, Split, Tree, detect_kind, find_tree, parse_split
from scdnet.raw.raw_files import RawFile, RawFileError
from tests.raw_trees import PKU1, PKU2, PkuTree


def find(root: Path, dataset: str = "pku1") -> Tree:
    return find_tree(find_all([root], SUFFIXES), dataset)


def names(tree: Tree) -> list[str]:
    assert not tree.rejected and not tree.missing
    return [recording.name for recording in tree.recordings]


@pytest.mark.parametrize(
    "folders",
    [
        # The names of part I as published.
        ("PKU_Skeleton_Renew", "Train_Label_PKU_final", "Split"),
        (".", "label", "."),
        ("a", "b", "c"),
    ],
)
def test_folders_may_have_any_names(tmp_path, pku1, folders):
    tree = PkuTree.below(tmp_path / "other", *folders)
    for old, new in zip(pku1[1:], tree[1:], strict=True):
        shutil.copytree(old, new, dirs_exist_ok=True)
    found = find(tree.root)
    assert names(found) == sorted(PKU1)
    for recording in found.recordings:
        assert Path(recording.video.where).parent == tree.videos.resolve() or folders[0] == "."
        assert Path(recording.labels.where).parent == tree.labels


def test_both_parts_may_lie_in_one_tree(tmp_path, pku1, pku2):
    for part, version in ((pku1, "v1"), (pku2, "v2")):
        shutil.copytree(part.root, tmp_path / "both" / version)
    assert names(find(tmp_path / "both", "pku1")) == sorted(PKU1)
    assert names(find(tmp_path / "both", "pku2")) == sorted(PKU2)


def test_both_parts_may_lie_in_the_same_folders(tmp_path, pku1, pku2):
    for part in (pku1, pku2):
        shutil.copytree(part.root, tmp_path / "both", dirs_exist_ok=True)
    assert names(find(tmp_path / "both", "pku1")) == sorted(PKU1)
    assert names(find(tmp_path / "both", "pku2")) == sorted(PKU2)


def test_videos_may_be_nested_by_phase(tmp_path, pku1):
    for old, kind in ((pku1.videos, "skeleton"), (pku1.labels, "label")):
        for file in old.iterdir():
            phase = "train" if file.stem.startswith("0002") else "test"
            new = tmp_path / "nested" / phase / kind / file.name
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, new)
    shutil.copytree(pku1.splits, tmp_path / "nested" / "split")
    assert names(find(tmp_path / "nested")) == sorted(PKU1)


@pytest.mark.parametrize(
    ("subject", "view"),
    [
        ("cross_subject_v2.txt", "cross_view_v2.txt"),
        ("cross-subject-v2.txt", "Cross-View.txt"),
        ("cross_subject", "cross-view_v2"),
        ("crosssubject.txt", "cross_view.txt"),
    ],
)
def test_split_files_may_be_named_in_many_ways(pku1, subject, view):
    (pku1.splits / "cross-subject.txt").rename(pku1.splits / subject)
    (pku1.splits / "cross-view.txt").rename(pku1.splits / view)
    assert names(find(pku1.root)) == sorted(PKU1)


def test_names_in_splits_may_have_a_suffix(pku1):
    for file in pku1.splits.iterdir():
        file.write_text(file.read_text().replace("-L,", "-L.txt,").replace(", ", ","))
    assert names(find(pku1.root)) == sorted(PKU1)


def test_a_zip_is_read_like_a_folder(tmp_path, pku1):
    with zipfile.ZipFile(tmp_path / "pku.zip", "w") as archive:
        for file in sorted(pku1.root.rglob("*.txt")):
            # Nothing is unpacked, so `..` leads nowhere.
            archive.write(file, f"../{file.relative_to(pku1.root)}")
    assert names(find(tmp_path / "pku.zip")) == sorted(PKU1)


def test_a_broken_file_has_the_kind_of_its_folder(pku1):
    (pku1.videos / "0002-L.txt").write_bytes(bytes(range(256)))
    (pku1.labels / "0002-M.txt").write_text("")
    found = find(pku1.root)
    assert names(found) == sorted(PKU1)
    assert found.recordings[0].video.where == str(pku1.videos / "0002-L.txt")
    assert found.recordings[1].labels.where == str(pku1.labels / "0002-M.txt")


def test_where_all_files_of_a_folder_are_broken_its_name_tells_the_kind(pku1):
    for file in pku1.labels.iterdir():
        file.write_text("none\n")
    assert names(find(pku1.root)) == sorted(PKU1)
    # The innermost name counts.
    root = pku1.root.rename(pku1.root.with_name("label_and_skeleton"))
    for file in (root / "skeleton").iterdir():
        file.write_text("none\n")
    assert names(find(root)) == sorted(PKU1)


def test_where_its_name_tells_nothing_either_a_folder_has_the_kind_that_is_missing(pku1):
    for file in pku1.labels.iterdir():
        file.write_text("none\n")
    pku1.labels.rename(pku1.root / "annotations")
    assert names(find(pku1.root)) == sorted(PKU1)


def test_of_two_files_of_one_name_and_kind_the_first_is_used(pku1):
    shutil.copytree(pku1.videos, pku1.root / "skeleton_copy")
    found = find(pku1.root)
    assert len(found.recordings) == len(PKU1) == len(found.rejected)
    first = pku1.videos / Path(found.rejected[0].file).name
    assert found.rejected[0].reason == f"has the same name as {first}, which is used instead"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"1 " * 150, VIDEO),
        (b"\r\n0.1 " * 149, None),
        (b"\n" + b"0.1 " * 149, VIDEO),
        (b"1,2,3,2\n", LABELS),
        (b"\xef\xbb\xbf1, 2, 3, 2\r\n", LABELS),
        (b"Training videos:\n", None),
        (b"", None),
        (b"This is a file of prose, of more than eight words on its first line.\n", None),
        (b"\0\5\26\7" + bytes(range(256)), None),
    ],
)
def test_the_first_line_tells_the_kind(tmp_path, text, kind):
    (tmp_path / "x.txt").write_bytes(text)
    assert detect_kind(RawFile(str(tmp_path / "x.txt"))) == kind


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("label", r"no labels: looked for files named 0002-L\.txt with class,start,end,confidence"),
        ("skeleton", r"no video: looked for files named 0002-L\.txt with 150 numbers per line"),
        (
            "split/cross-view.txt",
            r"no split file: looked for cross-view\.txt .*, "
            r"with names like 0002-L in lines 2 and 4; found none",
        ),
    ],
)
def test_a_kind_of_file_that_is_missing_is_an_error_that_says_what_was_looked_for(
    pku1, remove, message
):
    path = pku1.root / remove
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ConvertError, match=message):
        find(pku1.root)


def test_a_split_lists_both_sides():
    split = parse_split(b"Training videos:\r\n a.txt, b ,c,\r\nValidataion videos:\r\nd,,\r\n", "x")
    assert split == Split(frozenset({"a", "b", "c"}), frozenset({"d"}))


def test_a_split_file_of_the_other_part_is_not_taken(pku1):
    pku1.write_split("cross-view.txt", ["A01N01-L"], ["A01N02-L"])
    expected = r"looked for cross-view\.txt .*; found .*cross-view\.txt"
    with pytest.raises(ConvertError, match=expected):
        find(pku1.root)


def test_a_split_file_that_is_cut_short_is_named(pku1):
    (pku1.splits / "cross-view.txt").write_text("Training videos:\n0002-L\nValidation videos:")
    expected = r"cross-view\.txt:3: expected .* validation videos in line 4, found the end"
    with pytest.raises(RawFileError, match=expected):
        find(pku1.root)


def test_split_files_that_differ_are_refused_and_copies_are_not(pku1):
    shutil.copy(pku1.splits / "cross-view.txt", pku1.splits / "cross_view.txt")
    assert names(find(pku1.root)) == sorted(PKU1)
    pku1.write_split("cross_view.txt", ["0002-L"], ["0002-M"])
    with pytest.raises(ConvertError, match=r"cross-view\.txt and .*cross_view\.txt differ"):
        find(pku1.root)


def test_suffixes_may_be_in_capitals_and_other_texts_are_ignored(pku1):
    for file in [*pku1.videos.iterdir(), *pku1.labels.iterdir()]:
        file.rename(file.with_suffix(".TXT"))
    for file in pku1.splits.iterdir():
        file.write_text(file.read_text().replace("-L,", "-L.TXT,"))
    prose = "Please cite the paper if you use these recordings in work of your own.\n"
    (pku1.root / "README.txt").write_text(prose)
    assert names(find(pku1.root)) == sorted(PKU1)
