import io
import re
import sys
import warnings

import numpy as np
import pytest

from scdnet.errors import ScdnetError
from scdnet.raw.custom.c3d_markers import read_c3d
from scdnet.raw.raw_files import RawFileError
from tests.raw.custom.test_bvh import SKELETON

NAMES = ["C7", "KNEE_LEFT", "hips", "KneeRight"]
MARKERS = 100 * (1 + np.arange(60.0).reshape(5, 4, 3))


def c3d_file(names=NAMES, markers=MARKERS, missing=()) -> bytes:
    """Return a C3D file; `missing` are frames and numbers of markers that were not found."""
    c3d = pytest.importorskip("c3d", reason="the extra mocap is not installed")
    frames = np.zeros((*markers.shape[:2], 5), dtype=np.float32)
    frames[..., :3] = markers
    for frame, marker in missing:
        frames[frame, marker] = [0, 0, 0, -1, -1]
    writer = c3d.Writer(point_rate=100)
    writer.set_point_labels(names)
    writer.add_frames([(points, np.zeros((0, 0))) for points in frames])
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer.write(file)
    return file.getvalue()


def test_markers_are_found_by_their_names():
    bodies = read_c3d(c3d_file(), "a.c3d", SKELETON).bodies
    np.testing.assert_allclose(bodies, MARKERS[None][:, :, [2, 1, 3]])


def test_a_marker_that_was_not_found_is_zero():
    bodies = read_c3d(c3d_file(missing=[(1, 3)]), "a.c3d", SKELETON).bodies
    assert np.argwhere(~bodies.any(axis=-1)).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "an empty file"), (b"<html>", r"a web page \(HTML\)")],
)
def test_what_arrived_instead_of_a_file_is_named(data, reason):
    pytest.importorskip("c3d", reason="the extra mocap is not installed")
    with pytest.raises(RawFileError, match=rf"not a readable C3D file \({reason}"):
        read_c3d(data, "a.c3d", SKELETON)


def test_without_the_extra_one_line_tells_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "c3d", None)
    with pytest.raises(ScdnetError, match=r"a\.c3d: .* needs .*; pip install 'scdnet\[mocap\]'"):
        read_c3d(b"", "a.c3d", SKELETON)


def test_missing_markers_are_refused_with_those_of_the_file():
    data = c3d_file(["LASI", "RASI", "hips", "C7"])
    with pytest.raises(RawFileError, match=r"no joint is named knee left, .*found LASI, RASI"):
        read_c3d(data, "a.c3d", SKELETON)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (0, "not a readable C3D file"),
        (600, "not a readable C3D file"),
        (-512, "is the file cut sho"),
    ],
)
def test_a_file_that_is_cut_short_is_refused(size, reason):
    data = c3d_file(markers=np.tile(MARKERS, (20, 1, 1)))
    with pytest.raises(RawFileError, match=re.escape(reason)):
        read_c3d(data[:size], "a.c3d", SKELETON)


def test_a_file_without_markers_is_refused():
    data = bytearray(c3d_file())
    # The number of markers in the header and the parameter POINT:USED.
    at = data.index(b"USED")
    data[2:4] = data[at + 8 : at + 10] = bytes(2)
    with pytest.raises(RawFileError, match=r"a\.c3d: "):
        read_c3d(bytes(data), "a.c3d", SKELETON)
