"""What normalization makes passes the check of it; anything else that users pass does not."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scdnet.data.normalized import check_normalized
from scdnet.errors import ScdnetError
from scdnet.raw import ntu
from scdnet.raw.custom.frames import normalize_facing
from scdnet.raw.normalize import normalize
from scdnet.skeleton import Skeleton
from scdnet.skeletons import KINECT_V1_20, NTU_25, SKELETONS

SPATIAL = [skeleton for skeleton in SKELETONS.values() if skeleton.dims == 3]
PLANAR = [skeleton for skeleton in SKELETONS.values() if skeleton.dims == 2]
in_all = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
in_3d = pytest.mark.parametrize("skeleton", SPATIAL, ids=lambda s: s.name)
in_2d = pytest.mark.parametrize("skeleton", PLANAR, ids=lambda s: s.name)


def recorded(
    skeleton: Skeleton, *, seed: int = 0, num_frames: int = 12, num_bodies: int = 2
) -> np.ndarray:
    """Return bodies (M, T, V, C) as a camera sees them: 3 m away, or in pixels, y up."""
    rng = np.random.default_rng(seed)
    pose = 0.4 * rng.normal(size=(num_bodies, 1, skeleton.num_joints, 3))
    bodies = pose + 0.05 * rng.normal(size=(num_bodies, num_frames, skeleton.num_joints, 3))
    bodies += (0.5, 1, 3)
    if skeleton.dims == 2:
        bodies = bodies * (200, 200, 0) + (900, 500, 0.7)
    return bodies


def normalized(skeleton: Skeleton, **how: int) -> np.ndarray:
    return normalize(recorded(skeleton, **how), skeleton)


def refuse(frames: np.ndarray, skeleton: Skeleton, message: str) -> None:
    with pytest.raises(ScdnetError, match=message) as error:
        check_normalized(frames, skeleton)
    assert "make them with scdnet.read_recording or scdnet.normalize_frames" in str(error.value)


@in_all
@pytest.mark.parametrize("num_bodies", [1, 2])
def test_normalized_frames_pass(skeleton: Skeleton, num_bodies: int):
    for seed in range(20):
        check_normalized(normalized(skeleton, seed=seed, num_bodies=num_bodies), skeleton)
    check_normalized(normalized(skeleton, num_frames=1), skeleton)


@in_all
def test_bodies_and_joints_that_are_missing_at_times_pass(skeleton: Skeleton):
    rng = np.random.default_rng(1)
    for seed in range(20):
        bodies = recorded(skeleton, seed=seed, num_frames=40)
        # Joints that were not found, body 0 late and with a gap, body 1 for a while.
        bodies[rng.random(bodies.shape[:3]) < 0.1] = 0
        bodies[0, :5] = bodies[0, 20:24] = bodies[1, 30:] = 0
        check_normalized(normalize(bodies, skeleton), skeleton)


@in_all
def test_frames_that_were_never_normalized_are_refused(skeleton: Skeleton):
    frames = recorded(skeleton).swapaxes(0, 1).astype(np.float32)
    refuse(frames, skeleton, "the center of body 0 lies up to .* from the origin, expected 0")


@in_all
@pytest.mark.parametrize("frame", [0, 5, 11])
def test_a_single_frame_off_the_origin_is_found(skeleton: Skeleton, frame: int):
    frames = normalized(skeleton)
    frames[frame, 0, :, 0] += 0.01
    refuse(frames, skeleton, "the center of body 0 lies up to 0.01 from the origin")


@in_3d
@pytest.mark.parametrize("factor", [100, 1000, 1e-3])
def test_another_unit_than_meters_is_refused(skeleton: Skeleton, factor: float):
    refuse(factor * normalized(skeleton), skeleton, "expected a trunk of 0.05 to 10 m, found")


@in_2d
@pytest.mark.parametrize("factor", [0.5, 1.05, 200])
def test_a_2d_body_of_another_size_is_refused(skeleton: Skeleton, factor: float):
    frames = normalized(skeleton) * np.array([factor, factor, 1])
    refuse(frames, skeleton, f"expected a trunk of 0.99 to 1.01, found {factor:g}:")


@in_3d
@pytest.mark.parametrize("turn", ["y", "z", "mirrored", "axes exchanged"])
def test_turned_bodies_are_refused(skeleton: Skeleton, turn: str):
    half = np.sqrt(0.5)
    matrix = {
        "y": [[half, 0, half], [0, 1, 0], [-half, 0, half]],
        "z": [[0.98, -0.2, 0], [0.2, 0.98, 0], [0, 0, 1]],
        "mirrored": np.diag([-1, 1, 1]),
        "axes exchanged": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    }[turn]
    frames = normalized(skeleton) @ np.array(matrix).T
    refuse(frames, skeleton, r"the shoulders of body 0 are not along \+x in frame 0")


@pytest.mark.parametrize("other", SKELETONS.values(), ids=lambda s: s.name)
@in_all
def test_the_joints_of_another_skeleton_are_refused(skeleton: Skeleton, other: Skeleton):
    if skeleton is other:
        pytest.skip("it is the same")
    with pytest.raises(ScdnetError):
        check_normalized(normalized(other), skeleton)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((9, 25, 3)), r"expected frames \(T, 2, 25, 3\) of ntu25, found \(9, 25, 3\)"),
        (np.zeros((0, 2, 25, 3)), r"found \(0, 2, 25, 3\)"),
        (np.zeros((9, 2, 25, 2)), r"found \(9, 2, 25, 2\)"),
        (np.full((9, 2, 25, 3), np.nan), "frames contain NaN or Inf"),
        (np.zeros((9, 2, 25, 3)), "body 0 is absent in frame 0"),
    ],
)
def test_other_shapes_and_absent_bodies_are_refused(frames: np.ndarray, message: str):
    refuse(frames, NTU_25, message)


def every(path: Path, suffix: str, step: int) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(suffix))
        return [(name, archive.read(name)) for name in names[::step]]


def test_real_recordings_of_kinect_v2_pass(shared: Path):
    files = every(shared / "data/uiprmd_skeletons.zip", ".skeleton", 100)
    assert len(files) == 20
    for name, content in files:
        check_normalized(ntu.read_frames(content, name), NTU_25)


def test_real_recordings_of_kinect_v1_pass_and_their_raw_frames_do_not(shared: Path):
    files = every(shared / "data/nwucla_all_sqe.zip", ".json", 50)
    assert len(files) == 30
    for _, content in files:
        joints = np.array(json.load(io.BytesIO(content))["skeletons"], np.float32)  # (T, V, C)
        check_normalized(normalize_facing(joints[None], KINECT_V1_20), KINECT_V1_20)
        raw = np.stack([joints, 0 * joints], axis=1)
        with pytest.raises(ScdnetError, match="not normalized"):
            check_normalized(raw, KINECT_V1_20)
