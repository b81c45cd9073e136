import io

import numpy as np
import pytest

from scdnet.raw.custom.readers import read_joints
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import (
    AZURE_32,
    COCO_17,
    H36M_17,
    KINECT_V1_20,
    MEDIAPIPE_33,
    NTU_25,
    OPENPOSE_25,
    Skeleton,
)
from tests.raw.walker import csv, npz, walking

BODIES = {
    skeleton.name: walking(skeleton.name, num_frames=20)
    for skeleton in (NTU_25, KINECT_V1_20, MEDIAPIPE_33, H36M_17, AZURE_32)
}
SKELETONS = {s.name: s for s in (NTU_25, KINECT_V1_20, MEDIAPIPE_33, H36M_17, AZURE_32)}
# The joints of the picture by the names that 3-D skeletons give them.
NTU_NAMES = {"neck": "spine at shoulders", "middle of hips": "base of spine", "nose": "head"}
in_any_layout = pytest.mark.parametrize("layout", BODIES)
in_any_format = pytest.mark.parametrize("suffix", [".npz", ".npy", ".csv"])
in_any_layout_and_format = pytest.mark.parametrize(
    ("layout", "suffix"), list(zip(BODIES, [".npz", ".npy", ".csv", ".npz", ".csv"], strict=True))
)


def write(frames: np.ndarray, suffix: str) -> bytes:
    if suffix == ".csv":
        return csv(frames)
    if suffix == ".npz":
        return npz(frames)
    file = io.BytesIO()
    np.save(file, frames)
    return file.getvalue()


def check(frames: np.ndarray, layout: str, suffix: str = ".npz") -> None:
    """Read (T, V, C) from a file. Raises RawFileError."""
    read_joints(write(frames, suffix), f"x{suffix}", SKELETONS[layout])


def in_picture(frames: np.ndarray, height: float = 0.6) -> np.ndarray:
    """Return x, y in 0..1, y down, of (T, V, 3) as a camera sees a body of this height."""
    points = frames[..., :2] * [1, -1]
    points = points - points.min(axis=(0, 1))
    return points / points[..., 1].max() * height + 0.15


def with_scores(points: np.ndarray, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scores = np.clip(0.8 + 0.1 * rng.normal(size=points.shape[:2]), 0, 1)
    return np.concatenate([points, scores[..., None]], axis=-1)


def of_2d_layout(skeleton: Skeleton) -> np.ndarray:
    """Return (T, V, 3) in the joints of a 2-D layout, roughly: those that it lacks are others."""
    joints = NTU_25.joints
    places = []
    for joint in skeleton.joints:
        name = NTU_NAMES.get(joint, joint)
        if name not in joints:
            side = name.split()[0]
            is_foot = "toe" in name or "heel" in name
            name = f"{side} foot" if is_foot else "head"
        places.append(joints.index(name))
    return BODIES["ntu25"][:, places]


@in_any_layout_and_format
@pytest.mark.parametrize("scale", [1, 100, 1000])
def test_real_sizes_are_read_wherever_the_origin_is(layout, suffix, scale):
    frames = scale * BODIES[layout]
    for origin in (
        0,
        frames.min(axis=(0, 1)) - 1e-3,
        frames[:, :1],
        frames[:1, :1],
        frames[:, [3]],
    ):
        check(frames - origin, layout, suffix)


@in_any_layout_and_format
@pytest.mark.parametrize("height", [0.3, 0.6, 0.8])
def test_places_in_a_picture_with_confidences_are_refused(layout, suffix, height):
    frames = with_scores(in_picture(BODIES[layout], height))
    with pytest.raises(RawFileError, match=r"confidence, not a coordinate.*--unit px --up -y"):
        check(frames, layout, suffix)


@in_any_layout_and_format
@pytest.mark.parametrize("size", [(640, 480), (1920, 1080)])
def test_pixels_with_confidences_are_refused(layout, suffix, size):
    frames = with_scores(in_picture(BODIES[layout])) * [*size, 1]
    with pytest.raises(RawFileError, match=r"no depth|confidence, not a coordinate"):
        check(frames, layout, suffix)


@in_any_layout
def test_pixels_without_depth_are_refused(layout):
    with pytest.raises(RawFileError, match=r"no depth: .* need a 2-D layout"):
        check(BODIES[layout] * [500, 500, 0] + [0, 0, 7], layout)


@in_any_format
@pytest.mark.parametrize(("layout", "other"), [("ntu25", OPENPOSE_25), ("h36m17", COCO_17)])
@pytest.mark.parametrize("scale", [1, 1000])
def test_joints_of_a_2d_layout_are_recognized_by_their_bones(layout, other, suffix, scale):
    frames = with_scores(in_picture(of_2d_layout(other))) * [scale, scale, 1]
    with pytest.raises(RawFileError, match=f"use the layout {other.name} with --unit px"):
        check(frames, layout, suffix)


@in_any_format
@pytest.mark.parametrize("size", [(1, 1), (640, 480), (1920, 1080)])
@pytest.mark.parametrize("height", [0.3, 0.6, 0.8])
def test_image_landmarks_of_mediapipe_are_refused(suffix, size, height):
    frames = BODIES["mediapipe33"]
    points = in_picture(frames, height)
    depth = frames[..., 2:] - frames[:, 23:25, 2:].mean(axis=1, keepdims=True)
    image = np.concatenate([points * size, 0.5 * depth * size[0]], axis=-1)
    with pytest.raises(RawFileError, match=r"image landmarks: .*pose_world_landmarks"):
        check(image, "mediapipe33", suffix)
    # The origin of world landmarks is the middle of the hips.
    world = (frames - frames[:, 23:25].mean(axis=1, keepdims=True)) * [1, -1, 1]
    check(world, "mediapipe33", suffix)


@in_any_layout
def test_image_landmarks_in_other_joints_are_refused(layout):
    frames = BODIES[layout]
    lower = list(SKELETONS[layout].spine[0])
    depth = frames[..., 2:] - frames[:, lower, 2:].mean(axis=1, keepdims=True)
    image = np.concatenate([in_picture(frames), 0.3 * depth], axis=-1)
    with pytest.raises(RawFileError, match="image landmarks: "):
        check(image, layout)
