import numpy as np
import pytest

from scdnet.raw.custom.people import MAX_CANDIDATES, MAX_PEOPLE, link_people, stack_people

# Of size 5.
POSE = np.array([[0.0, 0, 1], [3, 4, 1], [1, 2, 1]])


def at(x: float, y: float = 0.0) -> np.ndarray:
    """Return three joints of x, y and score, moved by (x, y)."""
    return POSE + np.array([x, y, 0])


def listed(*people: np.ndarray) -> np.ndarray:
    return np.reshape(people, (len(people), 3, 3))


def walks(*tracks: dict[int, np.ndarray]) -> list[list[tuple[int, float]]]:
    """Return frame and x of joint 0 of each person."""
    return [[(frame, joints[0, 0]) for frame, joints in track.items()] for track in tracks]


@pytest.mark.parametrize("dims", [2, 3])
def test_people_are_followed_though_their_order_changes(dims):
    frames = [listed(at(0), at(20)), listed(at(21), at(1)), listed(at(2), at(22))]
    tracks = link_people(frames, dims)
    assert walks(*tracks) == [[(0, 0), (1, 1), (2, 2)], [(0, 20), (1, 21), (2, 22)]]


def test_the_nearest_pair_comes_first():
    # Both people of frame 1 are nearer to the first one of frame 0 than to the second.
    tracks = link_people([listed(at(0), at(4)), listed(at(1.5), at(1))], 2)
    assert walks(*tracks) == [[(0, 0), (1, 1)], [(0, 4), (1, 1.5)]]


def test_a_person_who_returns_is_the_same_and_one_far_away_is_new():
    frames = [listed(at(0), at(20)), listed(), listed(at(20)), listed(at(100), at(1), at(21))]
    tracks = link_people(frames, 2)
    assert walks(*tracks) == [[(0, 0), (3, 1)], [(0, 20), (2, 20), (3, 21)], [(3, 100)]]


def test_joints_that_are_found_in_both_frames_decide():
    half = at(0)
    half[1] = 0
    other = at(6)
    other[0] = 0
    # Joint 2 alone is found in all; a distance to the zeros would tell otherwise.
    tracks = link_people([listed(half, at(6)), listed(other, at(1))], 2)
    assert [track[1][2, 0] for track in tracks] == [2, 7]


def test_people_without_a_common_joint_are_two():
    left = at(0) * [[1], [0], [0]]
    left[0] = 1
    right = at(0) * [[0], [1], [1]]
    assert len(link_people([listed(left), listed(right)], 2)) == 2


def test_many_people_who_appear_once_cost_no_more_than_the_last_ones():
    frames = [listed(at(10.0 * number, 10.0 * number)) for number in range(3 * MAX_CANDIDATES)]
    assert len(link_people(frames, 2)) == 3 * MAX_CANDIDATES


def test_those_in_most_frames_are_kept_in_their_order():
    tracks = [dict.fromkeys(range(number), at(number)) for number in (1, 5, 2, 4, 3, 6)]
    bodies = stack_people(tracks, 7)
    assert bodies.shape == (MAX_PEOPLE, 7, 3, 3)
    assert bodies.any(axis=(2, 3)).sum(axis=1).tolist() == [5, 4, 3, 6]
    np.testing.assert_array_equal(bodies[2, 2], at(3))
