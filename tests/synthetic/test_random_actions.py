"""Random actions: possible, of every kind, and decided by the generator alone."""

from collections.abc import Callable

import numpy as np
import pytest

from scdnet.synthetic.actions import Action
from scdnet.synthetic.body import CHANNELS
from scdnet.synthetic.random_actions import (
    FARTHEST_HAND,
    LONGEST_S,
    NEAREST_HAND,
    sample_action,
    sample_free,
    sample_reach,
    sample_sitting,
    sample_walk,
)

SAMPLERS = (sample_free, sample_walk, sample_reach, sample_sitting)
each_kind = pytest.mark.parametrize("sample", SAMPLERS, ids=lambda sample: sample.__name__)


def actions(
    sample: Callable[[np.random.Generator], Action] = sample_action, num: int = 200
) -> list[Action]:
    """Draw actions from seeds of their own."""
    return [sample(np.random.default_rng(seed)) for seed in range(num)]


@each_kind
def test_poses_consist_of_channels_of_the_body(sample):
    for action in actions(sample, 50):
        poses = [action.start, action.end, *(key.pose for key in action.cycle)]
        for name, value in (item for pose in poses for item in pose.items()):
            assert np.size(value) == CHANNELS[name]
        assert all(key.seconds > 0 for key in action.cycle)


def test_an_action_depends_on_its_generator_alone():
    first, again = (sample_action(np.random.default_rng(7)) for _ in range(2))
    assert first == again
    assert sample_action(np.random.default_rng(8)) != first


def test_actions_are_of_one_person_who_is_not_mirrored_by_habit():
    assert all(action.num_bodies == 1 and not action.handed for action in actions())


def test_hands_that_go_anywhere_are_within_reach():
    first = [action.cycle[0].pose for action in actions(sample_free)]
    hands = [pose["right_hand"] for pose in first if "right_hand" in pose]
    distance = np.linalg.norm(hands, axis=1)
    assert len(hands) > 100
    assert distance.min() > NEAREST_HAND and distance.max() < FARTHEST_HAND


def test_cycles_are_repeated_up_to_the_longest_duration():
    for action in actions(sample_free):
        fewest, most = action.repeats
        seconds = sum(key.seconds for key in action.cycle)
        assert 1 <= fewest <= most and (most == 1 or most * seconds <= LONGEST_S)


def test_some_free_actions_move_no_arm_and_all_move_something():
    free = actions(sample_free)
    assert all(any(key.pose for key in action.cycle) for action in free)
    armless = [a for a in free if not any("_hand" in name for name in a.cycle[0].pose)]
    assert 0.05 < len(armless) / len(free) < 0.3
    moving = {name for action in armless for key in action.cycle for name in key.pose}
    assert {"trunk", "right_foot", "pelvis"} <= moving


def test_walking_alternates_the_feet():
    for action in actions(sample_walk, 20):
        landed = [key.pose for key in action.cycle[1::2]]
        ahead = [pose["left_foot"][2] > pose["right_foot"][2] for pose in landed]
        assert ahead == [step % 2 == 0 for step in range(len(ahead))]
