import re

import numpy as np
import pytest

import scdnet
from scdnet.errors import ScdnetError
from scdnet.raw.custom_frames import make_capture, read_frames
from scdnet.raw.ntu import Body, format_skeleton
from scdnet.raw.ntu import read_frames as read_skeleton_frames
from tests.raw.walker import csv, npz, walked

CAPTURE = {"layout": "ntu25", "unit": "mm", "up": "y"}
MILLIMETERS = 1000 * walked()


@pytest.mark.parametrize("write", [npz, csv])
@pytest.mark.parametrize("as_path", [str, lambda path: path])
def test_a_custom_recording_is_read_as_a_store_contains_it(tmp_path, write, as_path):
    path = tmp_path / f"walk.{write.__name__}"
    path.write_bytes(write(MILLIMETERS))
    found = scdnet.read_recording(as_path(path), **CAPTURE)
    assert found.shape == (12, 2, 25, 3) and found.dtype == np.float32
    expected = read_frames(write(MILLIMETERS), str(path), make_capture(**CAPTURE))
    np.testing.assert_array_equal(found, expected)


def test_a_skeleton_file_is_read_as_a_store_contains_it(tmp_path):
    path = tmp_path / "walk.SKELETON"
    path.write_text(format_skeleton([[Body(0, joints)] for joints in walked()]))
    found = scdnet.read_recording(path)
    np.testing.assert_array_equal(found, read_skeleton_frames(path.read_bytes(), str(path)))


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("a.txt", {}, "expected a name that ends in one of .skeleton, .npz, .csv"),
        ("a.npz", CAPTURE | {"layout": None}, "expected one of layout and skeleton, found"),
        ("a.csv", CAPTURE | {"unit": "inch"}, "unit inch: expected m or cm or mm for the 3-D"),
        ("a.csv", CAPTURE | {"up": None}, "up None: expected y or z or -y or -z for the 3-D"),
        ("a.skeleton", {"unit": "mm"}, "unit is not used for a .skeleton file; omit it"),
        ("a.skeleton", {}, "cannot be read: "),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_the_file_are_refused(tmp_path, name, given, reason):
    with pytest.raises(ScdnetError, match=re.escape(f"{tmp_path / name}: {reason}")):
        scdnet.read_recording(tmp_path / name, **given)
