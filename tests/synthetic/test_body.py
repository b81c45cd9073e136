import numpy as np
import pytest

from scdnet.skeletons import NTU_25
from scdnet.synthetic.actions import ACTIONS, pose_vector
from scdnet.synthetic.body import (
    JOINT,
    MAX_FLEXION_RAD,
    MIN_FLEXION_RAD,
    bend_limb,
    euler_rotation,
    normalize,
    pose_body,
)
from scdnet.synthetic.dataset import DemoPlan, Take, perform_take
from scdnet.synthetic.people import sample_style

LENGTHS = sample_style(np.random.default_rng(0)).lengths
# Each hinge stands between the joints before and after it.
LIMBS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))


@pytest.fixture(scope="module", params=ACTIONS, ids=lambda action: f"A{action:03}")
def bodies(request) -> list[np.ndarray]:
    """Everybody's joints (T, V, C) in two takes of each action, one by a left-handed subject."""
    plan = DemoPlan(seed=1)
    takes = [perform_take(Take(3, subject, 1, request.param), plan).joints for subject in (1, 3)]
    return [take[:, body] for take in takes for body in range(take.shape[1])]


def flexion(body: np.ndarray, before: int, hinge: int, after: int) -> np.ndarray:
    upper = normalize(body[:, hinge] - body[:, before])
    lower = normalize(body[:, after] - body[:, hinge])
    return np.arccos((upper * lower).sum(axis=-1).clip(-1, 1))


def test_bones_keep_their_lengths(bodies):
    for body in bodies:
        for child, parent in NTU_25.bones:
            lengths = np.linalg.norm(body[:, child] - body[:, parent], axis=-1)
            assert np.ptp(lengths) < 1e-9, (NTU_25.joints[child], NTU_25.joints[parent])


def test_nothing_goes_through_the_floor(bodies):
    for body in bodies:
        assert body[..., 1].min() >= 0


def test_elbows_and_knees_stay_within_their_limits(bodies):
    for body in bodies:
        for names in LIMBS:
            for side in ("left", "right"):
                angle = flexion(body, *(JOINT[f"{side} {name}"] for name in names))
                assert angle.min() > MIN_FLEXION_RAD - 1e-6 and angle.max() < MAX_FLEXION_RAD + 1e-6


def test_knees_bend_the_way_knees_do(bodies):
    for body in bodies:
        leftwards = normalize(body[:, JOINT["left hip"]] - body[:, JOINT["right hip"]])
        for side in ("left", "right"):
            hip, knee, ankle = (
                body[:, JOINT[f"{side} {name}"]] for name in ("hip", "knee", "ankle")
            )
            # The axis of a shin that swings back points to the left.
            axis = np.cross(knee - hip, ankle - knee)
            assert ((axis * leftwards).sum(axis=-1) > 0).all()


@pytest.mark.parametrize("action", [8, 9, 10, 22, 23, 35, 58])
def test_feet_that_stand_do_not_slide(action):
    performance = perform_take(Take(3, 1, 1, action), DemoPlan())
    feet = [JOINT[f"{side} ankle"] for side in ("left", "right")]
    positions = performance.joints[slice(*performance.action), 0][:, feet]
    assert np.linalg.norm(positions - positions[0], axis=-1).max() < 0.02


def test_standing_body_is_upright_with_its_feet_on_the_floor():
    body = pose_body(pose_vector({})[None], LENGTHS)[0]
    height = {name: body[v, 1] for name, v in JOINT.items()}
    upwards = ("left knee", "base of spine", "middle of spine", "neck", "head")
    assert (np.diff([height[name] for name in upwards]) > 0).all()
    assert (
        height["left ankle"] == pytest.approx(LENGTHS["ankle"])
        and 0.005 < height["left foot"] < 0.03
    )
    # x points to the left, z ahead.
    assert body[JOINT["left shoulder"], 0] > 0 > body[JOINT["right shoulder"], 0]
    assert body[JOINT["left foot"], 2] > body[JOINT["left ankle"], 2]


def test_body_is_symmetric_when_its_pose_is():
    body = pose_body(pose_vector({})[None], LENGTHS)[0]
    np.testing.assert_allclose(body[list(NTU_25.mirror)] * [-1, 1, 1], body, atol=1e-12)


def test_bend_lean_and_twist_go_where_they_should():
    bend, lean, twist = (euler_rotation(np.eye(3)[[axis]] * np.pi / 2)[0] for axis in range(3))
    # Up goes ahead, up goes to the left, ahead goes to the left.
    np.testing.assert_allclose(bend @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(lean @ [0, 1, 0], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(twist @ [0, 0, 1], [1, 0, 0], atol=1e-12)


def test_limb_reaches_its_target_with_its_hinge_on_the_side_of_the_pole():
    # A 3-4-5 triangle: the target is 5 away, so that the hinge is 3 * 4 / 5 off the line.
    start = np.zeros((1, 3))
    target = np.array([[0.0, -5, 0]])
    pole = np.array([[0.0, 0, 1]])
    hinge, end, _ = bend_limb(start, target, pole, (3, 4))
    np.testing.assert_allclose(end, target, atol=1e-12)
    np.testing.assert_allclose(hinge, [[0, -1.8, 2.4]], atol=1e-12)


def test_limb_stops_where_it_is_stretched():
    target = np.array([[9.0, 0, 0]])
    _, end, _ = bend_limb(np.zeros((1, 3)), target, np.array([[0.0, 1, 0]]), (1, 1))
    assert 1.99 < end[0, 0] < 2
