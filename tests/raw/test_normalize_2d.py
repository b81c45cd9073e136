import dataclasses
import re
from statistics import StatisticsError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scdnet.raw.normalize import NormalizeError, normalize, select_bodies
from scdnet.skeletons import COCO_17, SKELETONS
from tests.reference import normalization_2d as reference

LAYOUTS = {name: skeleton for name, skeleton in SKELETONS.items() if skeleton.dims == 2}
each_layout = pytest.mark.parametrize("skeleton", LAYOUTS.values(), ids=LAYOUTS)


def people(skeleton, num_bodies: int = 2, num_frames: int = 8, seed: int = 0) -> np.ndarray:
    """Return random people (M, T, V, C) of pixels and scores, in a picture of 1920 x 1080.

    The numbers are those of float32, so that all that normalize them start from the same ones.
    """
    rng = np.random.default_rng(seed)
    size = (num_bodies, num_frames, skeleton.num_joints)
    pose = rng.uniform(100, 900, (num_bodies, 1, skeleton.num_joints, 2))
    points = pose + rng.normal(0, 5, (*size, 2)).cumsum(axis=1)
    people = np.concatenate([points, rng.uniform(0.1, 1, (*size, 1))], axis=-1)
    return people.astype(np.float32).astype(np.float64)


def normalized(bodies: np.ndarray, skeleton) -> np.ndarray:
    return normalize(select_bodies(bodies, 2), skeleton)


@each_layout
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_normalized_people_are_those_of_the_reference_implementation(skeleton, data):
    bodies = people(
        skeleton,
        data.draw(st.integers(1, 4)),
        data.draw(st.integers(1, 8)),
        data.draw(st.integers(0, 99)),
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    bodies[rng.random(bodies.shape[:3]) < data.draw(st.sampled_from([0, 0.05, 0.3]))] = 0
    bodies[rng.random(bodies.shape[:2]) < data.draw(st.sampled_from([0, 0.2, 0.5]))] = 0
    try:
        found = normalized(bodies, skeleton)
    except NormalizeError:
        # No frame has all joints of the center, or all of the spine, of the first body.
        with pytest.raises((IndexError, StatisticsError)):
            reference.normalize(bodies, skeleton)
        return
    assert found.dtype == np.float32
    expected = reference.normalize(bodies, skeleton)
    np.testing.assert_allclose(found[:, : expected.shape[1]], expected, rtol=0, atol=1e-4)


@each_layout
def test_the_center_is_the_origin_and_the_median_trunk_has_length_1(skeleton):
    found = normalized(people(skeleton), skeleton)[:, 0, :, :2]
    lower, upper = (found[:, list(end)].mean(axis=1) for end in skeleton.spine)
    assert np.median(np.linalg.norm(upper - lower, axis=1)) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(found[:, list(skeleton.center)].mean(axis=1), 0, atol=1e-5)


@each_layout
def test_place_and_size_in_the_picture_do_not_matter(skeleton):
    bodies = people(skeleton)
    moved = bodies * [0.3, 0.3, 1] + [400, -700, 0]
    np.testing.assert_allclose(
        normalized(moved, skeleton), normalized(bodies, skeleton), rtol=0, atol=1e-4
    )


@each_layout
def test_scores_are_kept_and_joints_without_one_are_zero(skeleton):
    bodies = people(skeleton)
    # x and y of a joint that was not found mean nothing.
    bodies[1, 3, 4] = [7, 8, 0]
    found = normalized(bodies, skeleton)
    order = 0 if reference.energy(bodies[1]) > reference.energy(bodies[0]) else 1
    assert found[3, order, 4].tolist() == [0, 0, 0]
    scores = select_bodies(bodies, 2)[..., 2].swapaxes(0, 1)
    np.testing.assert_array_equal(found[..., 2], scores.astype(np.float32))


@each_layout
def test_a_missing_center_is_interpolated_and_held_at_the_ends(skeleton):
    bodies = np.repeat(people(skeleton, 1, 1), 7, axis=1)
    # It moves by 10 pixels a frame; the center is known in frames 2 and 4 only.
    bodies[..., 0] += 10 * np.arange(7)[:, None]
    bodies[0, [0, 1, 3, 5, 6], skeleton.center[0]] = 0
    # Frame 3 lies in between, the others keep the center of 2 and 4.
    x = normalized(bodies, skeleton)[:, 0, 0, 0]
    steps = (x - x[2]) / (x[1] - x[0])
    np.testing.assert_allclose(steps, [-2, -1, 0, 0, 0, 1, 2], atol=1e-4)


def test_the_second_body_is_centered_where_the_first_one_is_absent():
    bodies = people(COCO_17)
    bodies[0, 2:5] = 0
    bodies[0] *= [2, 2, 1]
    found = normalized(bodies, COCO_17)
    assert not found[2:5, 0].any() and found[2:5, 1].any()
    np.testing.assert_allclose(found, reference.normalize(bodies, COCO_17), rtol=0, atol=1e-4)


def test_energy_does_not_count_the_score():
    bodies = np.ones((2, 3, 17, 3))
    bodies[0, ..., 2] = np.arange(17)
    bodies[1, :, :, 0] = 0.1 * np.arange(17)
    np.testing.assert_array_equal(select_bodies(bodies, 2), bodies[::-1])
    np.testing.assert_array_equal(select_bodies(bodies, 3), bodies)


@pytest.mark.parametrize(
    ("joints", "value", "reason"),
    [
        ((11,), 0, "no frame in which left hip, right hip were found"),
        (
            (5,),
            0,
            "no frame in which left hip, right hip, left shoulder, right shoulder were found",
        ),
        ((5, 6, 11, 12), [3, 3, 1], "the trunk has no length in half of the frames or more"),
    ],
)
def test_a_body_without_center_or_trunk_is_refused(joints, value, reason):
    bodies = people(COCO_17, 1)
    bodies[:, :, list(joints)] = value
    with pytest.raises(NormalizeError, match=re.escape(reason)):
        normalized(bodies, COCO_17)


def test_a_skeleton_of_ones_own_is_normalized_by_its_own_joints():
    skeleton = dataclasses.replace(COCO_17, center=(0,), spine=((0,), (15, 16)))
    bodies = people(skeleton)
    np.testing.assert_allclose(
        normalized(bodies, skeleton), reference.normalize(bodies, skeleton), rtol=0, atol=1e-4
    )
