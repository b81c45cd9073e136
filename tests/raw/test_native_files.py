"""Files of other programs, made from known bodies: what is read lies where the bodies do."""

from pathlib import Path

import numpy as np
import pytest

from scdnet.raw.custom.bvh import compute_positions, parse_bvh
from scdnet.raw.custom.openpose import group_recordings
from scdnet.raw.custom.readers import read_joints
from scdnet.raw.joint_mapping import joint_matrix
from scdnet.raw.raw_files import RawFile, find_raw_files
from scdnet.skeleton import Skeleton
from scdnet.skeletons import COCO_17, NTU_25, SKELETONS

# Joints of the same name that the files have elsewhere on purpose: at the shoulders (azure32,
# openpose25), between neck and nose, and at the top of the head (h36m17).
ELSEWHERE = {"azure32": {"neck"}, "openpose25": {"neck"}, "h36m17": {"neck", "head"}}


@pytest.fixture(scope="module")
def native(shared) -> Path:
    return shared / "data" / "ready_made" / "native"


@pytest.fixture(scope="module")
def truth(shared) -> dict[str, np.ndarray]:
    """Return the joints of ntu25 (T, V, C), meters in the camera frame, of each file."""
    with np.load(shared / "data" / "ready_made" / "expected" / "truth.npz") as arrays:
        return dict(arrays)


def read(file: RawFile, layout: str) -> np.ndarray:
    return read_joints(file.read(), file.where, SKELETONS[layout]).bodies


def common(skeleton: Skeleton) -> tuple[list[int], list[int]]:
    """Return the joints that are the same in `skeleton` and in ntu25."""
    joints = [
        joint
        for joint in skeleton.joints
        if joint in NTU_25.joints and joint not in ELSEWHERE.get(skeleton.name, ())
    ]
    return [skeleton.joints.index(j) for j in joints], [NTU_25.joints.index(j) for j in joints]


def project(joints: np.ndarray) -> np.ndarray:
    """Return the pixels of (..., C), by the pinhole of the ready-made files."""
    x, y, z = np.moveaxis(joints.astype(np.float64), -1, 0)
    return np.stack([960 - 1081 * x / z, 540 - 1081 * y / z], axis=-1)


each_file = pytest.mark.parametrize(
    ("name", "layout", "key", "to_camera", "unit"),
    [
        ("azure_kinect.json", "azure32", "azure_kinect", [[-1, 0, 0], [0, -1, 0], [0, 0, 1]], 1000),
        ("h36m17.npz", "h36m17", "h36m", [[1, 0, 0], [0, 0, 1], [0, -1, 0]], 1),
        ("X3D.npy", "h36m17", "h36m", [[-1, 0, 0], [0, -1, 0], [0, 0, 1]], 0.9137),
    ],
)


@each_file
def test_3d_joints_are_the_true_ones(native, truth, name, layout, key, to_camera, unit):
    (body,) = read(RawFile(str(native / name)), layout)
    is_present = body.any(axis=(1, 2))
    assert is_present.sum() in (len(body), len(body) - 1)
    joints, of_truth = common(SKELETONS[layout])
    assert len(joints) >= 12
    found = body[is_present][:, joints] @ np.transpose(to_camera) / unit
    expected = truth[key][is_present][:, of_truth]
    if key == "h36m":
        # The origin of these is another: a point of the floor, the pelvis. Both move alike.
        found = found - found[:, :1]
        expected = expected - expected[:, :1]
    np.testing.assert_allclose(found, expected, atol=1e-3)


# Medians in meters of the joints of ntu25 that the rules do not copy; the others are exact.
MAPPED = {
    "azure32": {"middle of spine": 0.028, "neck": 0.017, "spine at shoulders": 0.024},
    "h36m17": {"middle of spine": 0.015, "neck": 0.01, "head": 0.021, "left hand": 0.012,
               "right hand": 0.012, "left foot": 0.131, "right foot": 0.127,
               "tip of left hand": 0.023, "tip of right hand": 0.023, "left thumb": 0.05,
               "right thumb": 0.05},
}  # fmt: skip


@each_file
def test_joints_mapped_to_ntu_are_as_near_as_documented(
    native, truth, name, layout, key, to_camera, unit
):
    (body,) = read(RawFile(str(native / name)), layout)
    is_present = body.any(axis=(1, 2))
    found = joint_matrix(SKELETONS[layout]) @ body[is_present] @ np.transpose(to_camera) / unit
    errors = found - found[:, :1] - truth[key][is_present] + truth[key][is_present][:, :1]
    medians = np.median(np.linalg.norm(errors, axis=2), axis=0)
    expected = [MAPPED[layout].get(joint, 0) for joint in NTU_25.joints]
    np.testing.assert_allclose(medians, expected, atol=2e-3)


def test_the_frame_without_a_body_is_absent(native):
    (body,) = read(RawFile(str(native / "azure_kinect.json")), "azure32")
    assert np.flatnonzero(~body.any(axis=(1, 2))).tolist() == [11]


def test_positions_of_the_bvh_are_exact(native, truth):
    nodes, values = parse_bvh((native / "motion.bvh").read_bytes(), "motion.bvh")
    is_joint = [not node.name.endswith(" end") for node in nodes]
    found = compute_positions(nodes, values)[:, is_joint]
    np.testing.assert_allclose(found, truth["bvh_positions_cm"], atol=1e-5)


def test_the_bvh_is_read_as_smpl_without_a_skeleton_of_ones_own(native, truth):
    (body,) = read(RawFile(str(native / "motion.bvh")), "smpl24")
    smpl = SKELETONS["smpl24"]
    for ours, theirs in (("pelvis", 0), ("left foot", 4), ("spine 3", 11), ("right wrist", 21)):
        expected = truth["bvh_positions_cm"][:, theirs]
        np.testing.assert_allclose(body[:, smpl.joints.index(ours)], expected, atol=1e-5)


def test_people_of_openpose_are_linked_and_lie_where_they_were(native, truth):
    (recording,) = group_recordings(find_raw_files(native / "openpose", (".json",)))
    assert recording.stem == "handshake"
    bodies = read(recording, "openpose25")
    assert bodies.shape == (2, 40, 25, 3)
    is_present = bodies.any(axis=(2, 3))
    assert np.flatnonzero(~is_present.any(axis=0)).tolist() == [17]
    assert np.flatnonzero(is_present.sum(axis=0) == 1).tolist() == [25, 26]
    expected = project(truth["openpose"].swapaxes(0, 1))
    for body, person in zip(bodies, expected, strict=True):
        assert_pixels(body, person, SKELETONS["openpose25"])


def test_key_points_of_coco_lie_where_they_were(native, truth):
    (body,) = read(RawFile(str(native / "coco17.npz")), "coco17")
    # Joints of score 0.05 are wrong on purpose.
    body[body[..., 2] < 0.06] = 0
    assert_pixels(body, project(truth["coco17"]), COCO_17)


def assert_pixels(body: np.ndarray, expected: np.ndarray, skeleton: Skeleton) -> None:
    """Check (T, V, C) of pixels and score: noise of 0.7 pixels, half a pixel on average."""
    joints, of_truth = common(skeleton)
    assert len(joints) == 12
    points = np.where(body[:, joints, 2:] > 0, body[:, joints, :2], np.nan)
    errors = points - expected[:, of_truth]  # (T, V, 2)
    assert np.nanmedian(np.abs(errors)) < 0.6
    assert np.abs(np.nanmean(errors, axis=0)).max() < 0.5
