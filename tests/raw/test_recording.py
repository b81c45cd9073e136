import re
from pathlib import Path

import numpy as np
import pytest

import scdnet
from scdnet.errors import ScdnetError
from scdnet.raw.custom.frames import make_capture, read_frames
from scdnet.raw.joint_mapping import MAPPINGS
from scdnet.raw.ntu import Body, format_skeleton
from scdnet.raw.ntu import read_frames as read_skeleton_frames
from scdnet.skeletons import SKELETONS
from tests.raw.custom.test_openpose import POSE, document
from tests.raw.walker import csv, npz, walked, walking

CAPTURE = {"layout": "ntu25", "unit": "mm", "up": "y"}
MILLIMETERS = 1000 * walked()


@pytest.mark.parametrize("write", [npz, csv])
@pytest.mark.parametrize("as_path", [str, lambda path: path])
def test_a_custom_recording_is_read_as_a_store_contains_it(tmp_path, write, as_path):
    path = tmp_path / f"walk.{write.__name__}"
    path.write_bytes(write(MILLIMETERS))
    found = scdnet.read_recording(as_path(path), **CAPTURE)
    assert found.shape == (12, 2, 25, 3) and found.dtype == np.float32
    expected, _ = read_frames(write(MILLIMETERS), str(path), make_capture(**CAPTURE))
    np.testing.assert_array_equal(found, expected)


def test_a_skeleton_file_is_read_as_a_store_contains_it(tmp_path):
    path = tmp_path / "walk.SKELETON"
    path.write_text(format_skeleton([[Body(0, joints)] for joints in walked()]))
    found = scdnet.read_recording(path)
    np.testing.assert_array_equal(found, read_skeleton_frames(path.read_bytes(), str(path)))


PIXELS = {"layout": "openpose25", "unit": "px", "up": "-y"}


def write_openpose(folder: Path, name: str = "clip") -> None:
    folder.mkdir(exist_ok=True)
    for number in range(3):
        data = document(POSE + np.array([number, 0, 0]))
        (folder / f"{name}_{number:012}_keypoints.json").write_bytes(data)


def test_a_folder_or_any_frame_of_openpose_is_its_recording(tmp_path):
    write_openpose(tmp_path / "a")
    (tmp_path / "a" / "notes.json").mkdir()
    found = scdnet.read_recording(tmp_path / "a", **PIXELS)
    assert found.shape == (3, 2, 25, 3)
    for number in (0, 2):
        path = tmp_path / "a" / f"clip_{number:012}_keypoints.json"
        np.testing.assert_array_equal(scdnet.read_recording(str(path), **PIXELS), found)


def test_a_frame_belongs_to_its_own_recording(tmp_path):
    write_openpose(tmp_path, "a")
    write_openpose(tmp_path, "b")
    (tmp_path / "b_000000000003_keypoints.json").write_bytes(document())
    first = tmp_path / "b_000000000000_keypoints.json"
    assert len(scdnet.read_recording(first, **PIXELS)) == 4
    with pytest.raises(ScdnetError, match=r"expected one recording of \.json files, found 2; name"):
        scdnet.read_recording(tmp_path, **PIXELS)


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(ScdnetError, match=r"expected one recording of \.json files, found 0"):
        scdnet.read_recording(tmp_path, **PIXELS)


def given_for(layout: str) -> dict[str, str]:
    """Return how `positions` of a layout are described."""
    return {"unit": "px" if SKELETONS[layout].dims == 2 else "mm", "up": "-y"}


def positions(layout: str, num_bodies: int = 0) -> np.ndarray:
    """Return (T, V, C), or with `num_bodies` (T, M, V, C), in millimeters or pixels, y down."""
    if SKELETONS[layout].dims == 2:
        rng = np.random.default_rng(0)
        size = (12, SKELETONS[layout].num_joints, 1)
        points = rng.uniform(100, 900, (*size[:2], 2))
        frames = np.concatenate([points, rng.uniform(0.1, 1, size)], axis=-1)
    else:
        frames = 1000 * walking(layout) * [1, -1, -1]
    # Scores stay as they are.
    step = [200, 200, 0] if SKELETONS[layout].dims == 2 else 200
    bodies = [frames + np.multiply(step, number) for number in range(num_bodies)]
    return np.stack(bodies, axis=1) if num_bodies else frames


@pytest.mark.parametrize("layout", SKELETONS)
@pytest.mark.parametrize("num_bodies", [0, 1, 3])
def test_frames_in_memory_are_normalized_as_those_of_a_file(tmp_path, layout, num_bodies):
    array = positions(layout, num_bodies)
    given = given_for(layout)
    (tmp_path / "a.npz").write_bytes(npz(array))
    expected = scdnet.read_recording(tmp_path / "a.npz", layout=layout, **given)
    for skeleton in (layout, SKELETONS[layout]):
        found = scdnet.normalize_frames(array, skeleton=skeleton, **given)
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        scdnet.normalize_frames(array.tolist(), skeleton=layout, **given), expected
    )


@pytest.mark.parametrize("layout", MAPPINGS)
def test_frames_in_memory_are_mapped_as_those_of_a_file(tmp_path, layout):
    given = {**given_for(layout), "to": "ntu25"}
    (tmp_path / "a.npz").write_bytes(npz(positions(layout)))
    found = scdnet.normalize_frames(positions(layout), skeleton=layout, **given)
    assert found.shape == (12, 2, 25, 3)
    expected = scdnet.read_recording(tmp_path / "a.npz", layout=layout, **given)
    np.testing.assert_array_equal(found, expected)


def test_joints_without_a_score_are_found_unless_they_are_at_the_origin():
    array = positions("coco17")
    array[..., 2] = 1
    array[3, 4] = 0
    found = scdnet.normalize_frames(array[..., :2], skeleton="coco17", unit="px", up="-y")
    expected = scdnet.normalize_frames(array, skeleton="coco17", unit="px", up="-y")
    np.testing.assert_array_equal(found, expected)
    assert not found[3, 0, 4].any()


NTU = {"unit": "m", "up": "y"}
COCO = {"skeleton": "coco17", "unit": "px", "up": "-y"}


@pytest.mark.parametrize(
    ("array", "given", "reason"),
    [
        (walked().transpose(1, 0, 2), NTU, "found (25, 12, 3), which looks like (joints, frames"),
        (walked()[None, :, :20], NTU, "found (1, 12, 20, 3)"),
        (walked().reshape(12, 75), NTU, "found (12, 75), which looks like x y z of 25 joints in"),
        (walking("h36m17"), NTU, "layouts of 17 joints: h36m17 (3-D), coco17 (2-D)"),
        ([[1], [2, 3]], NTU, "array: expected an array of numbers"),
        ([["a"]], NTU, "array: expected an array of real numbers, found one of <U1"),
        (walked() * np.nan, NTU, "array: frame 1, body 1: expected finite numbers"),
        (0 * walked(), NTU, "array: no body in any of 12 frames"),
        (walked(), {"unit": "mm", "up": "y"}, "array: expected a trunk of 0.1 to 1.5 m"),
        (walked(), {"unit": "px", "up": "y"}, "unit px: expected m or cm or mm for the 3-D"),
        (walked(), {"unit": "m"}, "up missing: expected y or z or -y or -z"),
        (walked(), {"skeleton": "kinect"}, "skeleton kinect: expected one of ntu25, kinect_v1_20,"),
        (walked(), {"skeleton": Path("x.yaml")}, "x.yaml: no such skeleton file"),
        (positions("coco17"), COCO | {"unit": "m"}, "unit m: expected px"),
        (positions("coco17"), COCO | {"up": "z"}, "up z: expected y or"),
        (positions("coco17"), COCO | {"to": "ntu25"}, "to ntu25: only ntu25, kinect_v1_20, "),
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_normalized_are_refused(array, given, reason):
    with pytest.raises(ScdnetError, match=re.escape(reason)):
        scdnet.normalize_frames(array, **given)


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("a.txt", {}, "expected a name that ends in one of .skeleton, .npz, "),
        ("a.npz", CAPTURE | {"layout": None}, "expected either layout or skeleton, "),
        ("a.csv", CAPTURE | {"unit": "inch"}, "unit inch: expected m or cm or mm for the 3-D"),
        ("a.csv", CAPTURE | {"up": None}, "up missing: expected y or z or -y or -z for the 3-D"),
        ("a.skeleton", {"unit": "mm"}, "unit is not used for a .skeleton file; omit it"),
        ("a.skeleton", {}, "cannot be read: "),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_the_file_are_refused(tmp_path, name, given, reason):
    with pytest.raises(ScdnetError, match=re.escape(f"{tmp_path / name}: {reason}")):
        scdnet.read_recording(tmp_path / name, **given)


def test_what_is_dropped_from_a_file_is_warned_of(tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"{number},{line}" for number, line in enumerate(csv(MILLIMETERS).decode().split())]
    path.write_text("\n".join(rows))
    with pytest.warns(UserWarning, match=r"a\.csv: dropped first column, which counts the frames"):
        found = scdnet.read_recording(path, **CAPTURE)
    np.testing.assert_array_equal(
        found, scdnet.normalize_frames(MILLIMETERS, **NTU | {"unit": "mm"})
    )


@pytest.mark.parametrize(("up", "axis"), [("z", "y"), ("-y", "y")])
def test_another_axis_that_points_up_is_warned_of(tmp_path, up, axis):
    path = tmp_path / "a.npz"
    path.write_bytes(npz(MILLIMETERS))
    reason = f"the trunk points along {axis}, not along {up}"
    with pytest.warns(UserWarning, match=f"a.npz: {reason}") as warned:
        scdnet.read_recording(path, **CAPTURE | {"up": up})
    # The line that is shown is that of the caller.
    assert [warning.filename for warning in warned] == [__file__]
    with pytest.warns(UserWarning, match=f"array: {reason}"):
        scdnet.normalize_frames(MILLIMETERS, unit="mm", up=up)
