import numpy as np
import pytest

from scdnet.synthetic.dataset import DemoPlan, Take, perform_take
from scdnet.synthetic.sensor import place_camera, sample_window, simulate_sensor, to_camera

PLAN = DemoPlan()


def test_all_cameras_see_the_same_performance_up_to_a_rigid_motion():
    joints = perform_take(Take(3, 1, 1, 23), PLAN).joints
    for number in (1, 2, 3):
        camera = place_camera(number, num_cameras=3, setup=3)
        np.testing.assert_allclose(camera.axes @ camera.axes.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(camera.axes) == pytest.approx(1)
        seen = to_camera(joints, camera)
        # People stand in front of the camera, heads up.
        assert (seen[..., 2] > 1).all()
        assert (seen[..., 3, 1] > seen[..., 0, 1]).all()
        np.testing.assert_allclose(seen @ camera.axes + camera.center, joints, atol=1e-9)


def test_cameras_stand_at_different_angles():
    ahead = [place_camera(number, num_cameras=3, setup=3).axes[2] for number in (1, 2, 3)]
    assert all(ahead[a] @ ahead[b] < 0.8 for a, b in ((0, 1), (1, 2), (0, 2)))


def test_no_recording_misses_more_of_the_action_than_allowed():
    performance = perform_take(Take(3, 1, 1, 10), PLAN)
    first, last = performance.action
    margin = 0.25 * (last - first)
    for seed in range(50):
        window = sample_window(performance, 0.25, np.random.default_rng(seed))
        assert window.start <= first + margin and window.stop >= last - margin


def test_sensor_errs_by_centimeters_and_sometimes_loses_a_body():
    camera = place_camera(2, num_cameras=3, setup=3)
    joints = to_camera(perform_take(Take(3, 1, 1, 58), PLAN).joints[:40], camera)
    errors = []
    counts = set()
    first_orders = set()
    num_swapped = 0
    for seed in range(100):
        frames = simulate_sensor(joints, np.random.default_rng(seed))
        assert len(frames) == len(joints)
        counts |= {len(frame) for frame in frames}
        first_id = min(body.id for frame in frames for body in frame)
        orders = [
            tuple(body.id - first_id for body in frame) for frame in frames if len(frame) == 2
        ]
        first_orders.add(orders[0])
        num_swapped += orders[0] != orders[-1]
        errors += [
            np.abs(body.joints - joints[t, body.id - first_id])
            for t, frame in enumerate(frames)
            for body in frame
        ]
    # Along an axis; a bone is off by some per cent, and the next one adds its own error.
    assert 0.005 < np.median(errors) < 0.03
    assert counts == {0, 1, 2}
    assert first_orders == {(0, 1), (1, 0)}
    # In some recordings the bodies change their order in the list.
    assert 0 < num_swapped < 100
