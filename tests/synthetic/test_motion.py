import numpy as np
import pytest

from scdnet.synthetic.actions import ACTIONS
from scdnet.synthetic.dataset import DemoPlan, Take, stage
from scdnet.synthetic.motion import interpolate, mirrored, smooth_noise
from scdnet.synthetic.sensor import choose_window, place_camera, record, view

PLAN = DemoPlan()


def test_interpolation_passes_through_the_keys_and_never_beyond_its_neighbours():
    keys = np.array([[0.0], [1], [1], [-2], [3]])
    seconds = np.array([0.0, 0.5, 1, 1.2, 2])
    np.testing.assert_allclose(interpolate(seconds, keys, seconds[:, None]), keys, atol=1e-12)
    for k in range(4):
        between = interpolate(seconds, keys, np.linspace(seconds[k], seconds[k + 1], 50)[:, None])
        assert (
            keys[k : k + 2].min() - 1e-12 <= between.min()
            and between.max() <= keys[k : k + 2].max() + 1e-12
        )


def test_interpolation_holds_the_last_key():
    assert interpolate(
        np.array([0.0, 1]), np.array([[0.0], [5]]), np.array([[7.0]])
    ) == pytest.approx(5)


def test_smooth_noise_has_unit_variance_and_small_steps():
    noise = smooth_noise(np.random.default_rng(0), 3000, (40,), rate_hz=0.5)
    assert noise.std() == pytest.approx(1, abs=0.05)
    assert np.abs(np.diff(noise, axis=0)).max() < 2 * np.pi * 0.5 / 30 * np.sqrt(
        6
    )  # three waves of amplitude sqrt(2/3)


def test_mirror_image_of_the_mirror_image_is_the_original():
    joints = np.random.default_rng(0).normal(size=(4, 25, 3))
    np.testing.assert_array_equal(mirrored(mirrored(joints)), joints)


@pytest.mark.parametrize("action", ACTIONS)
def test_motion_is_that_of_a_person(action):
    joints = stage(Take(3, 2, 1, action), PLAN).joints
    speed = 30 * np.linalg.norm(np.diff(joints, axis=0), axis=-1)
    assert speed.max() < 12  # metres a second: less than the hand of a good thrower
    assert np.abs(joints).max() < 3  # within the room


def test_people_facing_each_other_keep_their_distance():
    for action in (50, 58):
        joints = stage(Take(3, 1, 1, action), PLAN).joints
        apart = np.linalg.norm(joints[:, 0, 1] - joints[:, 1, 1], axis=-1)
        assert apart.min() > 0.4 and apart.max() < 1.6


def test_all_cameras_see_the_same_performance_up_to_a_rigid_motion():
    joints = stage(Take(3, 1, 1, 23), PLAN).joints
    for number in (1, 2, 3):
        camera = place_camera(number, num_cameras=3, setup=3)
        np.testing.assert_allclose(camera.axes @ camera.axes.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(camera.axes) == pytest.approx(1)
        seen = view(joints, camera)
        assert (seen[..., 2] > 1).all()  # in front of the camera
        assert (seen[..., 3, 1] > seen[..., 0, 1]).all()  # heads up
        np.testing.assert_allclose(seen @ camera.axes + camera.centre, joints, atol=1e-9)


def test_cameras_stand_at_different_angles():
    ahead = [place_camera(number, num_cameras=3, setup=3).axes[2] for number in (1, 2, 3)]
    assert all(ahead[a] @ ahead[b] < 0.8 for a, b in ((0, 1), (1, 2), (0, 2)))


def test_no_recording_misses_more_of_the_action_than_allowed():
    performance = stage(Take(3, 1, 1, 10), PLAN)
    first, last = performance.action
    for seed in range(50):
        window = choose_window(performance, 0.25, np.random.default_rng(seed))
        assert window.start <= first + 0.25 * (last - first) and window.stop >= last - 0.25 * (
            last - first
        )


def test_sensor_errs_by_centimetres_and_sometimes_loses_a_body():
    joints = view(stage(Take(3, 1, 1, 58), PLAN).joints, place_camera(2, num_cameras=3, setup=3))
    errors, counts, first_orders, num_swapped = [], set(), set(), 0
    for seed in range(20):
        frames = record(joints, np.random.default_rng(seed))
        assert len(frames) == len(joints)
        counts |= {len(frame) for frame in frames}
        first_id = min(body.id for frame in frames for body in frame)
        orders = [
            tuple(body.id - first_id for body in frame) for frame in frames if len(frame) == 2
        ]
        first_orders.add(orders[0])
        num_swapped += orders[0] != orders[-1]
        errors += [
            np.abs(b.joints - joints[t, b.id - first_id]) for t, f in enumerate(frames) for b in f
        ]
    assert (
        0.02 < np.median(errors) < 0.15
    )  # mostly skew: a fifth of how far a joint is from the middle
    assert counts == {0, 1, 2}
    assert first_orders == {(0, 1), (1, 0)}
    assert 0 < num_swapped < 20  # in some recordings the bodies change places in the list
