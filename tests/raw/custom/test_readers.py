import re
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scdnet.raw.custom.readers import read_joints
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import KINECT_V1_20
from tests.raw.walker import csv, npz, walking

FRAMES = walking("kinect_v1_20", num_frames=4)  # (T, V, C)
TWO = np.stack([FRAMES, FRAMES[::-1]], axis=1)  # (T, M, V, C)
UNTRACKED = "expected joints that were not tracked to be filled in"
CONTENTS = {"x.npz": npz(TWO), "x.csv": csv(TWO)}


def read(data: bytes, name: str = "x.npz") -> np.ndarray:
    return read_joints(data, name, KINECT_V1_20).bodies


@pytest.mark.parametrize("name", CONTENTS)
def test_the_suffix_tells_how_a_file_is_read_and_bodies_come_first(name):
    found = read(CONTENTS[name], f"a.zip/some.where/{name}")
    np.testing.assert_array_equal(found, TWO.swapaxes(0, 1))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(read(CONTENTS[name], name.upper()), found)


def test_integers_become_floats():
    found = read(npz((1000 * FRAMES).astype(np.int16)))
    assert found.dtype == np.float64 and found[0, 0, 3, 1] == 700


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (-np.inf, "-inf"), (1e30, "1e+30")])
def test_a_number_that_is_not_finite_is_named_with_its_frame(value, shown):
    frames = TWO.copy()
    frames[2, 1, 5] = [0, value, 1]
    # Only the first such frame is named.
    frames[3] = np.nan
    reason = f"x.npz: frame 3, body 2: expected finite numbers, found 0, {shown}, 1 for left elbow"
    with pytest.raises(RawFileError, match=re.escape(reason)):
        read(npz(frames))


def test_a_joint_that_was_not_tracked_is_named_with_its_frame():
    frames = TWO.copy()
    # A body with all joints at 0, 0, 0 is absent.
    frames[1, 0] = 0
    frames[2, 0, 19] = 0
    with pytest.raises(
        RawFileError, match=rf"x\.npz: frame 3, body 1: {UNTRACKED}, found 0, 0, 0 for right foot$"
    ):
        read(npz(frames))


def test_one_joint_may_be_the_origin_in_all_frames_of_a_body():
    frames = TWO - TWO[:, :, :1]
    # A body with all joints at 0, 0, 0 is absent.
    frames[1, 1] = 0
    np.testing.assert_array_equal(read(npz(frames)), frames.swapaxes(0, 1))
    # Now there is a second one, a foot that was never seen.
    frames[:, 0, 19] = 0
    reason = rf"frame 1, body 1: {UNTRACKED}, found 0, 0, 0 for center of hips, right foot$"
    with pytest.raises(RawFileError, match=reason):
        read(npz(frames))


def test_a_recording_without_a_body_is_refused():
    with pytest.raises(RawFileError, match=r"x\.npz: no body in any of 4 frames"):
        read(npz(np.zeros_like(TWO)))


def test_another_kind_of_file_is_refused():
    with pytest.raises(RawFileError, match=r"x\.txt: expected a name that ends in \.npz or "):
        read(b"", "x.txt")


def read_or_refuse(data: bytes, name: str) -> None:
    with suppress(RawFileError):
        assert np.isfinite(read(data, name)).all()


@given(st.binary(max_size=200), st.sampled_from(sorted(CONTENTS)))
def test_random_bytes_are_refused_in_no_other_way(data, name):
    read_or_refuse(data, name)


@given(st.sampled_from(sorted(CONTENTS)), st.data())
def test_damaged_files_are_refused_in_no_other_way(name, draw):
    content = bytearray(CONTENTS[name])
    for at in draw.draw(st.lists(st.integers(-len(content), len(content) - 1), max_size=4)):
        content[at] = draw.draw(st.integers(0, 255))
    read_or_refuse(bytes(content[: draw.draw(st.integers(0, len(content)))]), name)
