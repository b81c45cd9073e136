import numpy as np

from scdnet.synthetic.geometry import bend_limb, euler_rotation


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
