import numpy as np
import pytest

from scdnet.raw.normalize import (
    center_bodies,
    fill_absent,
    normalize,
    rotation_between,
    select_bodies,
)
from scdnet.raw.ntu import parse_skeleton
from scdnet.skeletons import NTU_25

GOLDEN_TOLERANCE = 1e-5
CASES = (
    "S001C001P001R001A001", "S001C002P003R001A050", "S002C001P003R002A055", "S003C003P002R001A008",
    "S004C001P008R001A023", "S005C002P010R002A060", "S006C003P013R001A052", "S018C001P045R001A120",
)  # fmt: skip


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "ntu_cases.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def read_case(shared):
    folder = shared / "golden" / "ntu_cases"
    return lambda name: parse_skeleton((folder / f"{name}.skeleton").read_bytes(), name)


@pytest.fixture
def bodies():
    """(2, T, V, C), meters: two bodies that move in front of a camera."""
    rng = np.random.default_rng(1)
    pose = rng.normal(0, 0.5, (2, 1, 25, 3))
    motion = rng.normal(0, 0.01, (2, 12, 25, 3)).cumsum(axis=1)
    return pose + motion + [0, 0, 3]


def frames_of(pattern: str) -> np.ndarray:
    """Return (T, V, C): each frame is filled with its digit in the pattern."""
    return np.array([np.full((25, 3), float(digit)) for digit in pattern])


def pattern_of(body: np.ndarray) -> str:
    return "".join(str(int(frame[0, 0])) for frame in body)


@pytest.mark.parametrize("name", CASES)
def test_selected_bodies_are_those_of_the_authors(name, read_case, golden):
    expected = golden[f"{name}.raw"].transpose(3, 1, 2, 0)  # (C, T, V, M) -> (M, T, V, C)
    selected = select_bodies(read_case(name))
    np.testing.assert_allclose(selected, expected, rtol=0, atol=GOLDEN_TOLERANCE)


@pytest.mark.parametrize("name", CASES)
def test_normalized_frames_are_those_of_the_authors(name, read_case, golden):
    frames = normalize(select_bodies(read_case(name)), NTU_25)
    assert frames.dtype == np.float32 and len(frames) == golden[f"{name}.num_frame"]
    expected = golden[f"{name}.normalised"].transpose(1, 3, 2, 0)  # (C, T, V, M) -> (T, M, V, C)
    np.testing.assert_allclose(frames, expected[: len(frames)], rtol=0, atol=GOLDEN_TOLERANCE)


def test_the_two_bodies_of_largest_energy_come_largest_first():
    rng = np.random.default_rng(0)
    bodies = np.stack([scale * rng.normal(size=(3, 25, 3)) for scale in (1, 3, 0.1, 2)])
    np.testing.assert_array_equal(select_bodies(bodies), bodies[[1, 3]])


def test_energy_does_not_count_the_frames_without_the_body():
    bodies = np.zeros((4, 10, 25, 3))
    bodies[0] = 5 + np.random.default_rng(0).normal(size=(10, 25, 3))
    # It stands still, far away: its own std is 0, but with the zero frames it would be large.
    bodies[1, 3:5] = 100
    np.testing.assert_array_equal(select_bodies(bodies), bodies[[0, 1]])


def test_a_body_without_energy_comes_before_an_absent_one():
    bodies = np.zeros((4, 2, 25, 3))
    bodies[0] = 1
    np.testing.assert_array_equal(select_bodies(bodies), bodies[[0, 1]])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("12345", "12345"),
        # A body that leaves early is looped, with its gaps.
        ("12300", "12312"),
        ("10300", "10310"),
        # A gap in the middle stays.
        ("10305", "10305"),
        # A body that comes late moves to the front, without its gaps, and is looped.
        ("00123", "12312"),
        ("01020", "12121"),
        ("00001", "11111"),
        ("00000", "00000"),
    ],
)
def test_absent_frames_are_filled(before, after):
    body = frames_of(before)
    fill_absent(body)
    assert pattern_of(body) == after


def test_centering_moves_both_bodies_by_the_spine_of_the_first_and_leaves_absent_joints(bodies):
    bodies[1, 2, 7] = 0
    # A joint with x + y + z == 0 counts as absent.
    bodies[1, 3, 8] = [1, 1, -2]
    expected = bodies - bodies[0, :, 1][:, None]
    expected[1, 2, 7] = expected[1, 3, 8] = 0
    center_bodies(bodies, NTU_25)
    np.testing.assert_allclose(bodies, expected, atol=1e-12)


def test_in_the_first_frame_the_spine_points_up_and_the_shoulders_along_x(bodies):
    # The camera's y is up. The body is seen from the side, its shoulders at right angles to its
    # spine.
    bodies[0, 0, [0, 1]] = [[1, 2, 3], [1, 2.5, 3]]
    bodies[0, 0, [4, 8]] = [[1, 3, 2.8], [1, 3, 3.2]]
    frames = normalize(bodies, NTU_25)
    assert frames[0, 0, 1] - frames[0, 0, 0] == pytest.approx([0, 0, 0.5], abs=1e-6)
    assert frames[0, 0, 8] - frames[0, 0, 4] == pytest.approx([0.4, 0, 0], abs=1e-6)
    # The middle of the spine is the origin.
    assert frames[:, 0, 1] == pytest.approx(np.zeros((12, 3)), abs=1e-6)


def test_shoulders_aslant_to_the_spine_tilt_it_again(bodies):
    # The spine is upright already; the shoulders, 45 degrees above x, are turned down with it.
    bodies[0, 0, [0, 1]] = [[1, 1, 1], [1, 1, 2]]
    bodies[0, 0, [4, 8]] = [[0, 0, 1], [1, 0, 2]]
    frames = normalize(bodies, NTU_25)
    assert frames[0, 0, 8] - frames[0, 0, 4] == pytest.approx([2**0.5, 0, 0], abs=1e-6)
    assert frames[0, 0, 1] - frames[0, 0, 0] == pytest.approx([0.5**0.5, 0, 0.5**0.5], abs=1e-6)


def test_normalization_keeps_all_distances_within_a_frame(bodies):
    before = bodies.swapaxes(0, 1)
    after = normalize(bodies, NTU_25)
    np.testing.assert_allclose(distances(after), distances(before), atol=1e-5)


def distances(frames: np.ndarray) -> np.ndarray:
    """Return the distances of all joints from joint 0."""
    return np.linalg.norm(frames[..., :1, :] - frames, axis=-1)


def test_normalization_does_not_depend_on_where_the_bodies_stand(bodies):
    moved = normalize(bodies + np.array([5, -1, 2]), NTU_25)
    np.testing.assert_allclose(moved, normalize(bodies, NTU_25), atol=2e-5)


def test_an_absent_second_body_stays_zero(bodies):
    bodies[1] = 0
    assert not normalize(bodies, NTU_25)[:, 1].any()


def test_rotation_turns_the_vector_to_the_target_and_is_a_rotation():
    vector = np.array([1.0, -2.0, 0.5])
    target = np.array([0.0, 0.0, 1.0])
    rotation = rotation_between(vector, target)
    np.testing.assert_allclose(rotation @ vector, np.linalg.norm(vector) * target, atol=1e-12)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


@pytest.mark.parametrize("vector", [[0, 0, 0], [0, 0, 1e-7], [0, 0, 2], [0, 0, -2], [1e-7, 0, 2]])
def test_there_is_no_rotation_where_its_axis_is_undefined(vector):
    rotation = rotation_between(np.array(vector, float), np.array([0.0, 0.0, 1.0]))
    np.testing.assert_array_equal(rotation, np.eye(3))
