import numpy as np
import pytest

from scdnet.synthetic.actions import ACTIONS
from scdnet.synthetic.body import JOINT
from scdnet.synthetic.dataset import SUBJECTS, DemoPlan, Take, perform_take
from scdnet.synthetic.motion import interpolate, mirror, smooth_noise

PLAN = DemoPlan()
SIDES = ("left", "right")


def test_interpolation_passes_through_the_keys_and_never_beyond_its_neighbors():
    keys = np.array([[0.0], [1], [1], [-2], [3]])
    seconds = np.array([0.0, 0.5, 1, 1.2, 2])
    np.testing.assert_allclose(interpolate(seconds, keys, seconds[:, None]), keys, atol=1e-12)
    for k in range(4):
        between = interpolate(seconds, keys, np.linspace(seconds[k], seconds[k + 1], 50)[:, None])
        assert between.min() >= keys[k : k + 2].min() - 1e-12
        assert between.max() <= keys[k : k + 2].max() + 1e-12


def test_interpolation_holds_the_last_key():
    held = interpolate(np.array([0.0, 1]), np.array([[0.0], [5]]), np.array([[7.0]]))
    assert held == pytest.approx(5)


def test_smooth_noise_has_unit_variance_and_small_steps():
    noise = smooth_noise(np.random.default_rng(0), 3000, (40,), rate_hz=0.5)
    assert noise.std() == pytest.approx(1, abs=0.05)
    # Three waves of amplitude sqrt(2/3) are steepest together.
    assert np.abs(np.diff(noise, axis=0)).max() < 2 * np.pi * 0.5 / 30 * np.sqrt(6)


def test_mirror_image_of_the_mirror_image_is_the_original():
    joints = np.random.default_rng(0).normal(size=(4, 25, 3))
    np.testing.assert_array_equal(mirror(mirror(joints)), joints)


@pytest.mark.parametrize("action", ACTIONS)
def test_motion_is_that_of_a_person(action):
    joints = perform_take(Take(3, 2, 1, action), PLAN).joints
    speed = 30 * np.linalg.norm(np.diff(joints, axis=0), axis=-1)
    # Metres a second, less than the hand of a good thrower; and nobody leaves the room.
    assert speed.max() < 12
    assert np.abs(joints).max() < 3


def test_people_facing_each_other_keep_their_distance():
    for action in (50, 58):
        joints = perform_take(Take(3, 1, 1, action), PLAN).joints
        apart = np.linalg.norm(joints[:, 0, 1] - joints[:, 1, 1], axis=-1)
        assert apart.min() > 0.4 and apart.max() < 1.6


def test_either_hand_may_do_what_takes_one_hand():
    # NW-UCLA: a third of the takes by the left hand, and one person in ten is left-handed.
    led = []
    for subject in SUBJECTS[:20]:
        for replication in (1, 2):
            joints = perform_take(Take(3, subject, replication, 23), PLAN).joints[:, 0]
            left, right = (np.ptp(joints[:, JOINT[f"{side} wrist"], 1]) for side in SIDES)
            led.append(left > right)
    assert 0.15 < np.mean(led) < 0.4


def test_people_face_the_cameras():
    for subject in SUBJECTS[:10]:
        joints = perform_take(Take(3, subject, 1, 10), PLAN).joints
        # The cameras are at positive z, so a left shoulder is at positive x.
        across = joints[-1, 0, JOINT["left shoulder"]] - joints[-1, 0, JOINT["right shoulder"]]
        assert abs(np.arctan2(-across[2], across[0])) < np.pi / 2
