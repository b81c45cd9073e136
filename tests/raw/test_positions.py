"""Parts of long recordings, and where recordings are found."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

import scdnet
from scdnet.errors import ScdnetError
from scdnet.raw.custom.frames import make_capture
from scdnet.raw.ntu import Body, format_skeleton
from scdnet.raw.positions import find_recording, find_recordings, read_positions
from scdnet.raw.raw_files import RawFile, RawFileError
from tests.raw.custom.test_openpose import document, moved
from tests.raw.walker import csv, npz, walked, walking

OPTIONS = {"layout": "ntu25", "unit": "m", "up": "y"}


def two_people() -> np.ndarray:
    """Return (T, M, V, C) of somebody who comes late and somebody who leaves early and turns."""
    one = walked().round(5)
    other = (1.2 * walked() @ np.diag([-1, 1, -1]) + [1, 0, 6]).round(5)
    frames = np.stack([one, other], axis=1)
    frames[:4, 0] = 0
    frames[8:, 1] = 0
    return frames


def write(path: Path, frames: np.ndarray) -> None:
    if path.suffix == ".npz":
        path.write_bytes(npz(joints=frames))
        return
    bodies = [[Body(m, one) for m, one in enumerate(frame) if one.any()] for frame in frames]
    path.write_text(format_skeleton(bodies))


@pytest.mark.parametrize("suffix", [".npz", ".skeleton"])
@pytest.mark.parametrize(("first", "end"), [(0, 12), (0, 3), (2, 9), (9, 12)])
def test_a_part_is_normalized_as_a_file_of_these_frames_would_be(
    tmp_path: Path, suffix: str, first: int, end: int
):
    options = OPTIONS if suffix == ".npz" else {}
    write(tmp_path / f"all{suffix}", two_people())
    write(tmp_path / f"part{suffix}", two_people()[first:end])
    capture = make_capture(**options) if options else None
    positions = read_positions(RawFile(str(tmp_path / f"all{suffix}")), capture)
    expected = scdnet.read_recording(tmp_path / f"part{suffix}", **options)
    np.testing.assert_array_equal(positions.normalize(first, end), expected)


def test_a_part_without_anybody_is_named(tmp_path: Path):
    frames = walked()[:, None].copy()
    frames[4:9] = 0
    write(tmp_path / "a.npz", frames)
    positions = read_positions(RawFile(str(tmp_path / "a.npz")), make_capture(**OPTIONS))
    with pytest.raises(RawFileError, match=r"a\.npz: no body in the frames 5 to 8"):
        positions.normalize(5, 9)


def test_recordings_of_all_formats_are_found_at_any_depth_and_in_zips(tmp_path: Path):
    folder = tmp_path / "a"
    (folder / "b" / "c").mkdir(parents=True)
    (folder / "walk.CSV").write_bytes(csv(walked()))
    write(folder / "b" / "one.skeleton", two_people())
    for number in range(3):
        (folder / "b" / "c" / f"clip_{number:03}_keypoints.json").write_bytes(document(moved(1)))
    (folder / "notes.txt").write_text("")
    found = [Path(one.where).relative_to(folder).as_posix() for one in find_recordings(folder)]
    assert found == ["b/c/clip_000_keypoints.json", "b/one.skeleton", "walk.CSV"]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(folder / "walk.CSV", "in/walk.csv")
    (one,) = find_recordings(tmp_path / "all.zip")
    assert one.where == f"{tmp_path}/all.zip/in/walk.csv"
    assert find_recordings(folder / "walk.CSV") == [find_recording(folder / "walk.CSV")]


def test_a_folder_without_recordings_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ScdnetError, match=rf"{re.escape(str(tmp_path))}: contains no file that"):
        find_recordings(tmp_path)
    with pytest.raises(ScdnetError, match=r"none: no such folder or zip"):
        find_recordings(tmp_path / "none")


def test_joints_of_a_part_are_mapped(tmp_path: Path):
    write(tmp_path / "all.npz", walking("kinect_v1_20"))
    write(tmp_path / "part.npz", walking("kinect_v1_20")[3:])
    options = {**OPTIONS, "layout": "kinect_v1_20", "to": "ntu25"}
    positions = read_positions(RawFile(str(tmp_path / "all.npz")), make_capture(**options))
    expected = scdnet.read_recording(tmp_path / "part.npz", **options)
    np.testing.assert_array_equal(positions.normalize(3), expected)
