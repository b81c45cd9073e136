"""Broken files in masses: what is sound is kept exactly, all else is listed, each with its file, line and reason."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scdnet.commands import prepare_ntu as ntu_gendata
from scdnet.commands import prepare_pku as pku_gendata
from scdnet.data.store import open_sequences
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.skeleton_file import SkeletonFileError, parse_skeleton
from tests.raw.broken import KINDS, break_file, read_labels, read_skeleton, read_video
from tests.raw_fixtures import PkuTree, PkuVideo

MANY = pytest.mark.parametrize("count", [200, pytest.param(2400, marks=pytest.mark.slow)])


def convert(program, dataset: str, raw: Path, out: Path) -> Mapping[str, np.ndarray]:
    """Name -> frames of the store that a converter makes."""
    arguments = ["--dataset", dataset, "--raw", str(raw), "--out", str(out), "--workers", "1"]
    assert program.main(arguments) == 0
    assert sorted(path.name for path in out.parent.iterdir()) == [
        out.name,
        f"{out.name}.rejected.tsv",
    ]
    with open_sequences(out) as store:
        return {sequence.name: sequence.frames for sequence in store}


def rejected_rows(out: Path) -> list[list[str]]:
    rows = [
        row.split("\t")
        for row in Path(f"{out}.rejected.tsv").read_text(encoding="utf-8").splitlines()[1:]
    ]
    assert all(len(row) == 3 and int(row[1]) >= 0 and row[2] for row in rows)
    return rows


def assert_equal(kept: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert sorted(kept) == sorted(expected)
    for name, frames in expected.items():
        np.testing.assert_array_equal(kept[name], frames, err_msg=name)


@MANY
def test_ntu(tmp_path, skeleton_text, count):
    raw, expected = tmp_path / "raw", {}
    raw.mkdir()
    for number in range(count):
        name = f"S001C001P{number // 1000 + 1:03}R{number % 1000:03}A001"
        data = break_file(skeleton_text((1, 0, 2, 1), seed=number).encode(), number)
        (raw / f"{name}.skeleton").write_bytes(data)
        bodies = read_skeleton(data)
        if bodies is not None:
            expected[name] = normalize(select_bodies(bodies))
    kept = convert(ntu_gendata, "ntu60", raw, tmp_path / "out" / "a.h5")
    assert_equal(kept, expected)
    files = [Path(file).stem for file, _, _ in rejected_rows(tmp_path / "out" / "a.h5")]
    assert sorted(files + list(kept)) == sorted(file.stem for file in raw.iterdir())
    assert count / 4 < len(files) < count * 3 / 4  # neither all nor nothing


@MANY
@pytest.mark.parametrize("broken", ["videos", "labels"])
def test_pku(tmp_path, count, broken):
    tree, expected, lost = PkuTree.below(tmp_path / "raw"), {}, []
    names = [f"{number:04}-M" for number in range(count)]
    for number, name in enumerate(names):
        tree.write(
            {name: PkuVideo.of((1, 2, 1, 0, 1, 2), "3,1,2,2", "51,2,3,1", "17,5,6,2", seed=number)}
        )
        file = getattr(tree, broken) / f"{name}.txt"
        file.write_bytes(break_file(file.read_bytes(), number))
        frames = read_video((tree.videos / f"{name}.txt").read_bytes())
        lost += [
            ("skeleton", name, line) for line, frame in enumerate(frames, start=1) if frame is None
        ]
        lost += [("skeleton", name, 0)] if not frames else []
        actions = read_labels((tree.labels / f"{name}.txt").read_bytes())
        lost += [("label", name, 0)] if not actions else []
        for line, action in actions.items():
            label, start, end = action or (0, 0, 0)
            cut = (
                frames[start - 1 : end]
                if 1 <= start <= end <= len(frames) and 1 <= label <= 51
                else [None]
            )
            if any(frame is None for frame in cut) or not np.any(cut):
                lost.append(("label", name, line))
            else:
                expected[f"{name}_{line - 1}"] = normalize(np.stack(cut, axis=1))
    for benchmark in ("subject", "view"):
        tree.write_split(f"cross-{benchmark}.txt", names[::2], names[1::2])
    out = tmp_path / "out" / "a.h5"
    assert_equal(convert(pku_gendata, "pku1", tree.root, out), expected)
    rows = [
        (Path(file).parent.name, Path(file).stem, int(line)) for file, line, _ in rejected_rows(out)
    ]
    assert rows == sorted(lost)
    assert len(expected) > count and len(lost) > count / 4


def assert_read_as_line_by_line(data: bytes) -> None:
    """`parse_skeleton` gives what the slow reader gives, or an error that says where."""
    expected = read_skeleton(data)
    if expected is None:
        with pytest.raises(SkeletonFileError, match=r"^x(:\d+)?: "):
            parse_skeleton(data, "x")
    else:
        np.testing.assert_array_equal(parse_skeleton(data, "x"), expected)


def test_every_kind_of_damage_is_met():
    assert len(KINDS) <= 200 / 5  # each of them at five places or more


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=3), st.integers(0, 100))
def test_a_recording_broken_several_times_is_read_as_line_by_line(skeleton_text, numbers, seed):
    data = skeleton_text((1, 2), seed=seed).encode()
    for number in numbers:
        data = break_file(data or b"1", number)
    assert_read_as_line_by_line(data)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=500) | st.text(alphabet="0125 \n.-e", max_size=500).map(str.encode))
def test_any_bytes_are_a_recording_or_an_error_that_says_where(data):
    assert_read_as_line_by_line(data)
