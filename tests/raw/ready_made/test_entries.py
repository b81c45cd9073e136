import numpy as np

from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.ready_made.entries import finish_by_energy, finish_in_order
from scdnet.skeletons import NTU_25
from tests.raw.ready_made.importing import make_walk


def still_and_moving() -> np.ndarray:
    """Return two bodies of which the first moves less."""
    bodies = make_walk(4, 2)
    bodies[1] += np.linspace(0, 3, 4)[:, None, None]
    return bodies


def test_two_bodies_keep_their_order_or_are_ordered_by_energy():
    bodies = still_and_moving()
    in_order = normalize(bodies, NTU_25)
    np.testing.assert_array_equal(finish_in_order(bodies, NTU_25), in_order)
    by_energy = normalize(bodies[::-1], NTU_25)
    np.testing.assert_array_equal(finish_by_energy(bodies, NTU_25), by_energy)


def test_of_more_than_two_bodies_those_of_largest_energy_are_used():
    bodies = np.concatenate([make_walk(4, 1, seed=9), still_and_moving()])
    expected = normalize(select_bodies(bodies), NTU_25)
    np.testing.assert_array_equal(finish_in_order(bodies, NTU_25), expected)


def test_a_body_that_is_never_there_does_not_count():
    (body,) = make_walk(4, 1)
    bodies = np.stack([body * 0, body, body * 0])
    np.testing.assert_array_equal(finish_in_order(bodies, NTU_25), normalize(body[None], NTU_25))
