"""Many broken files: sound recordings are converted exactly, all others listed with a reason."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scdnet.commands import prepare_ntu, prepare_pku
from scdnet.data.store import open_sequences
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.ntu import parse_skeleton
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import NTU_25
from tests.raw.broken import KINDS, break_file, read_labels, read_skeleton, read_video
from tests.raw_trees import PkuTree, PkuVideo

# Every kind of damage at five places or more.
FEW = 5 * len(KINDS)
with_count = pytest.mark.parametrize("count", [FEW, pytest.param(2400, marks=pytest.mark.slow)])


def convert(command: ModuleType, dataset: str, raw: Path, out: Path) -> dict[str, np.ndarray]:
    """Run a converter; return name -> frames of its store."""
    arguments = ["--dataset", dataset, "--raw", str(raw), "--out", str(out), "--workers", "1"]
    assert command.main(arguments) == 0
    files = sorted(path.name for path in out.parent.iterdir())
    assert files == [out.name, f"{out.name}.rejected.tsv"]
    with open_sequences(out) as store:
        return {sequence.name: sequence.frames for sequence in store}


def rejected_rows(out: Path) -> list[list[str]]:
    lines = Path(f"{out}.rejected.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    assert all(len(row) == 3 and int(row[1]) >= 0 and row[2] for row in rows)
    return rows


def assert_equal(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert sorted(found) == sorted(expected)
    for name, frames in expected.items():
        np.testing.assert_array_equal(found[name], frames, err_msg=name)


@with_count
def test_sound_recordings_of_ntu_are_converted_and_all_others_listed(
    tmp_path, skeleton_text, count
):
    raw = tmp_path / "raw"
    raw.mkdir()
    expected = {}
    for number in range(count):
        name = f"S001C001P{number // 1000 + 1:03}R{number % 1000:03}A001"
        data = break_file(skeleton_text((1, 0, 2, 1), seed=number).encode(), number)
        (raw / f"{name}.skeleton").write_bytes(data)
        bodies = read_skeleton(data)
        if bodies is not None:
            expected[name] = normalize(select_bodies(bodies), NTU_25)
    converted = convert(prepare_ntu, "ntu60", raw, tmp_path / "out" / "a.h5")
    assert_equal(converted, expected)
    rejected = [Path(file).stem for file, _, _ in rejected_rows(tmp_path / "out" / "a.h5")]
    assert sorted(rejected + list(converted)) == sorted(file.stem for file in raw.iterdir())
    assert count / 4 < len(rejected) < count * 3 / 4, "expected neither all nor nothing"


@with_count
@pytest.mark.parametrize("broken", ["videos", "labels"])
def test_sound_actions_of_pku_are_converted_and_all_others_listed(tmp_path, count, broken):
    tree = PkuTree.below(tmp_path / "raw")
    names = [f"{number:04}-M" for number in range(count)]
    labels = ("3,1,2,2", "51,2,3,1", "17,5,6,2")
    expected = {}
    lost = []
    for number, name in enumerate(names):
        tree.write({name: PkuVideo.of((1, 2, 1, 0, 1, 2), *labels, seed=number)})
        file = getattr(tree, broken) / f"{name}.txt"
        file.write_bytes(break_file(file.read_bytes(), number))
        frames = read_video((tree.videos / f"{name}.txt").read_bytes())
        bad_lines = [line for line, frame in enumerate(frames, start=1) if frame is None]
        lost += [("skeleton", name, line) for line in (bad_lines if frames else [0])]
        actions = read_labels((tree.labels / f"{name}.txt").read_bytes())
        if not actions:
            lost.append(("label", name, 0))
        for line, action in actions.items():
            label, start, end = action or (0, 0, 0)
            is_possible = 1 <= start <= end <= len(frames) and 1 <= label <= 51
            cut = frames[start - 1 : end] if is_possible else [None]
            if any(frame is None for frame in cut) or not np.any(cut):
                lost.append(("label", name, line))
            else:
                expected[f"{name}_{line - 1}"] = normalize(np.stack(cut, axis=1), NTU_25)
    for benchmark in ("subject", "view"):
        tree.write_split(f"cross-{benchmark}.txt", names[::2], names[1::2])
    out = tmp_path / "out" / "a.h5"
    assert_equal(convert(prepare_pku, "pku1", tree.root, out), expected)
    rows = [(Path(file), int(line)) for file, line, _ in rejected_rows(out)]
    assert [(file.parent.name, file.stem, line) for file, line in rows] == sorted(lost)
    assert len(expected) > count and len(lost) > count / 4


def assert_read_as_line_by_line(data: bytes) -> None:
    """Check that `parse_skeleton` agrees with the slow reader, or reports where it fails."""
    expected = read_skeleton(data)
    if expected is None:
        with pytest.raises(RawFileError, match=r"^x(:\d+)?: "):
            parse_skeleton(data, "x")
    else:
        np.testing.assert_array_equal(parse_skeleton(data, "x"), expected)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=3), st.integers(0, 100))
def test_a_recording_broken_several_times_is_read_as_line_by_line(skeleton_text, numbers, seed):
    data = skeleton_text((1, 2), seed=seed).encode()
    for number in numbers:
        data = break_file(data or b"1", number)
    assert_read_as_line_by_line(data)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=500) | st.text(alphabet="0125 \n.-e", max_size=500).map(str.encode))
def test_any_bytes_are_a_recording_or_an_error_that_names_the_line(data):
    assert_read_as_line_by_line(data)
