import io
import itertools
import re

import numpy as np
import pytest

from scdnet.raw.custom.readers import read_joints
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import COCO_17, H36M_17, KINECT_V1_20, MEDIAPIPE_33, NTU_25, SMPL_24, Skeleton

SKELETONS = (NTU_25, KINECT_V1_20, MEDIAPIPE_33, H36M_17, SMPL_24)
NUM_FRAMES = 40


def body(skeleton: Skeleton, num_frames: int = NUM_FRAMES, num_bodies: int = 1) -> np.ndarray:
    """Return (T, M, V, 3): a pose that sways."""
    rng = np.random.default_rng(0)
    pose = rng.normal(size=(num_bodies, skeleton.num_joints, 3))
    return pose + 0.01 * np.sin(np.arange(num_frames))[:, None, None, None]


def save(array: np.ndarray, name: str) -> bytes:
    file = io.BytesIO()
    if name.endswith(".npy"):
        np.save(file, array)
    else:
        np.savez(file, joints=array)
    return file.getvalue()


def read(array: np.ndarray, skeleton: Skeleton, name: str = "x.npz") -> np.ndarray:
    return read_joints(save(array, name), name, skeleton).bodies.swapaxes(0, 1)


def mend(array: np.ndarray, skeleton: Skeleton, name: str) -> np.ndarray:
    """Do what the error over an array tells to do."""
    with pytest.raises(RawFileError) as caught:
        read(array, skeleton, name)
    reason = str(caught.value)
    assert str(array.shape) in reason
    line = re.search(r"save (joints[\w.\[\]]*\([-\d, ]*\))", reason)
    assert line, reason
    return eval(line[1], {"joints": array})


@pytest.mark.parametrize("name", ["x.npz", "x.npy"])
@pytest.mark.parametrize("skeleton", SKELETONS)
def test_any_order_of_three_axes_is_refused_with_the_line_that_mends_it(skeleton, name):
    frames = body(skeleton)[:, 0]
    for order in list(itertools.permutations(range(3)))[1:]:
        mended = mend(frames.transpose(order), skeleton, name)
        np.testing.assert_array_equal(mended, frames)
        np.testing.assert_array_equal(read(mended, skeleton, name)[:, 0], frames)


@pytest.mark.parametrize("num_bodies", [1, 2])
@pytest.mark.parametrize("skeleton", SKELETONS)
def test_any_order_of_four_axes_is_refused_with_the_line_that_mends_it(skeleton, num_bodies):
    frames = body(skeleton, num_bodies=num_bodies)
    for order in list(itertools.permutations(range(4)))[1:]:
        mended = mend(frames.transpose(order), skeleton, "x.npz")
        np.testing.assert_array_equal(mended, frames)
        np.testing.assert_array_equal(read(mended, skeleton), frames)


@pytest.mark.parametrize("skeleton", SKELETONS)
@pytest.mark.parametrize(("num_bodies", "is_turned"), [(1, False), (2, False), (2, True)])
def test_flat_axes_are_refused_with_the_line_that_mends_them(skeleton, num_bodies, is_turned):
    frames = body(skeleton, num_bodies=num_bodies)
    flat = frames.reshape(NUM_FRAMES, -1)
    mended = mend(flat.T if is_turned else flat, skeleton, "x.npy")
    np.testing.assert_array_equal(mended.reshape(frames.shape), frames)


@pytest.mark.parametrize("skeleton", SKELETONS)
@pytest.mark.parametrize("num_recordings", [1, 3])
def test_several_recordings_in_an_array_are_refused(skeleton, num_recordings):
    # (N, C, T, V, M), as files of whole data sets have it.
    array = np.stack([body(skeleton).transpose(3, 0, 2, 1)] * num_recordings)
    np.testing.assert_array_equal(mend(array, skeleton, "x.npy"), body(skeleton))
    with pytest.raises(RawFileError, match="save each recording as a file of its own"):
        read(np.stack([body(skeleton, 12)[:, 0]] * 20), skeleton)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 2), (2, 5), (3, 6), (1, 40), (6, 40)])
def test_axes_of_bodies_and_frames_are_told_apart_where_it_is_certain(shape):
    array = body(NTU_25, *shape)
    if shape[0] >= shape[1]:
        assert read(array, NTU_25).shape == array.shape
    else:
        np.testing.assert_array_equal(mend(array, NTU_25, "x.npz"), array.swapaxes(0, 1))


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_as_many_frames_as_joints_are_told_apart_by_their_motion(skeleton):
    frames = body(skeleton, skeleton.num_joints)[:, 0]
    np.testing.assert_array_equal(read(frames, skeleton)[:, 0], frames)
    np.testing.assert_array_equal(mend(frames.swapaxes(0, 1), skeleton, "x.npz"), frames)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((40, 17, 3), "layouts of 17 joints: h36m17 (3-D), coco17 (2-D)"),
        ((40, 2, 33, 3), "layouts of 33 joints: mediapipe33 (3-D)"),
        ((40, 51), "layouts of 17 joints: h36m17 (3-D), coco17 (2-D)"),
        ((40, 19, 3), "no built-in layout has 19 joints; describe them in a file, with --skeleton"),
        ((40, 25, 4), "the last of 4 numbers is not a coordinate: save joints[..., :3]"),
        ((40, 25, 2), "these are 2-D joints"),
        ((25, 3), "looks like a single frame; save joints[None]"),
    ],
)
def test_other_shapes_are_explained(shape, reason):
    with pytest.raises(RawFileError, match=re.escape(reason)):
        read(np.ones(shape), NTU_25)


@pytest.mark.parametrize("num_bodies", [1, 2])
def test_2d_joints_without_a_score_are_found_unless_they_are_at_the_origin(num_bodies):
    points = 100 + body(COCO_17, num_bodies=num_bodies)[..., :2]
    points[3, 0, 5] = 0
    found = read(points, COCO_17)
    np.testing.assert_array_equal(found[..., :2], points)
    assert found[3, 0, 5, 2] == 0 and found[..., 2].sum() == found[..., 2].size - 1
