import re
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scdnet.raw.custom.frames import (
    UNITS,
    UP_ROTATIONS,
    CaptureSpec,
    face_camera,
    make_capture,
    normalize_reading,
    read_frames,
    shift_zero_sums,
)
from scdnet.raw.custom.reading import Reading
from scdnet.raw.joint_mapping import MAPPINGS
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.ntu import Body, format_skeleton, parse_skeleton
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import COCO_17, NTU_25
from tests.raw.custom.test_picture_checks import in_picture, of_2d_layout, with_scores
from tests.raw.walker import csv, known_joints, npz, walked, walking


def mapped(layout: str, unit: str, up: str) -> CaptureSpec:
    """Describe recordings whose joints are mapped to ntu25."""
    return make_capture(layout=layout, unit=unit, up=up, to="ntu25")


KINECT = mapped("ntu25", "m", "y")
HALF_TURN = np.diag([-1.0, 1, -1])  # about y
# A body that leans to the side tells one axis that points up from another.
LEAN = np.array([[0.96, 0.28, 0], [-0.28, 0.96, 0], [0, 0, 1]])
# Rounded to these digits, positions keep their micrometers.
DIGITS = {"m": 6, "cm": 4, "mm": 3}


def read(frames: np.ndarray, capture: CaptureSpec = KINECT) -> np.ndarray:
    return read_frames(npz(frames), "x.npz", capture)[0]


@pytest.fixture
def expected():
    """float32 (T, 2, 25, 3): the walking body, normalized."""
    return normalize(np.stack([walked(), np.zeros_like(walked())]), NTU_25)


@pytest.mark.parametrize("seed", range(3))
def test_a_kinect_recording_gives_what_its_skeleton_file_gives_to_the_bit(seed):
    rng = np.random.default_rng(seed)
    frames = np.stack([walked(), walked() + np.array([1, 0, 0.5])], axis=1)
    frames += 0.01 * rng.normal(size=frames.shape)
    listed = [[Body(m, joints) for m, joints in enumerate(frame)] for frame in frames]
    # Body 0 appears late.
    del listed[0][0]
    bodies = parse_skeleton(format_skeleton(listed).encode(), "x")
    np.testing.assert_array_equal(
        read(bodies.swapaxes(0, 1)), normalize(select_bodies(bodies), NTU_25)
    )


@pytest.mark.parametrize(("up", "unit"), [("y", "cm"), ("z", "mm"), ("-y", "m"), ("-z", "cm")])
@pytest.mark.parametrize("layout", MAPPINGS)
def test_every_layout_unit_and_axis_gives_the_same_frames(layout, unit, up):
    expected = normalize(np.stack([walked() @ LEAN, np.zeros_like(walked())]), NTU_25)
    # Rows times a rotation are turned back.
    frames = walking(layout) @ LEAN @ UP_ROTATIONS[up] * UNITS[unit]
    found, _ = read_frames(csv(frames.round(DIGITS[unit])), "x.csv", mapped(layout, unit, up))
    assert found.dtype == np.float32 and found.flags.c_contiguous
    known = known_joints(layout)
    np.testing.assert_allclose(found[:, :, known], expected[:, :, known], atol=2e-5)


@pytest.mark.parametrize(
    ("up", "point", "expected"),
    [
        ("y", [1, 2, 3], [1, 2, 3]),
        ("z", [1, 2, 3], [1, 3, -2]),
        ("-y", [1, 2, 3], [1, -2, -3]),
        ("-z", [1, 2, 3], [1, -3, 2]),
    ],
)
def test_the_axis_that_points_up_becomes_y_and_hands_keep_their_sides(up, point, expected):
    assert (UP_ROTATIONS[up] @ point).tolist() == expected
    assert np.linalg.det(UP_ROTATIONS[up]) == pytest.approx(1)
    axis = np.eye(3)["xyz".index(up[-1])] * (-1 if up[0] == "-" else 1)
    assert (UP_ROTATIONS[up] @ axis).tolist() == [0, 1, 0]


def test_landmarks_of_mediapipe_are_read_as_it_gives_them(expected):
    # x to the right of the image, where the left hand is, y down, z away.
    frames = walking("mediapipe33") * [-1, -1, 1]
    # The origin is the middle of the hips.
    frames -= frames[:, 23:25].mean(axis=1, keepdims=True)
    nose = frames[:, 0]
    left_shoulder = frames[:, 11]
    assert (left_shoulder[:, 0] > 0).all() and (nose[:, 1] < 0).all() and (nose[:, 2] < 0).all()
    found = read(frames, mapped("mediapipe33", "m", "-y"))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_back_to_the_camera_is_turned_and_a_face_is_not(expected):
    np.testing.assert_array_equal(face_camera(walked()[None], NTU_25), walked()[None])
    np.testing.assert_array_equal(face_camera(walked()[None] @ HALF_TURN, NTU_25), walked()[None])
    np.testing.assert_allclose(read(walked() @ HALF_TURN), expected, atol=2e-5)


def test_without_that_turn_a_body_could_end_upside_down():
    frames = walked()
    # Raise the right shoulder.
    frames[:, 8, 1] += 0.05
    bodies = np.stack([frames, 0 * frames]) @ HALF_TURN
    head = 3
    assert normalize(bodies, NTU_25)[0, 0, head, 2] < 0
    assert read(bodies.swapaxes(0, 1))[0, 0, head, 2] > 0.3


def test_the_turn_is_decided_where_the_first_body_first_appears():
    bodies = np.stack([walked() @ HALF_TURN, walked()])
    bodies[0, 0] = 0
    np.testing.assert_array_equal(face_camera(bodies, NTU_25), bodies @ HALF_TURN)
    bodies[0, 1] = walked()[1]
    np.testing.assert_array_equal(face_camera(bodies, NTU_25), bodies)


def test_the_two_bodies_of_largest_energy_stay_and_one_stays_alone():
    frames = np.stack([0.7 * walked(), 1.1 * walked(), walked()], axis=1)
    np.testing.assert_array_equal(read(frames), read(frames[:, 1:]))
    assert read(frames)[:, 1].any() and not read(walked())[:, 1].any()


def test_a_joint_at_the_origin_is_not_taken_for_absent(expected):
    frames = walked()
    for joint in range(25):
        found = read(frames - frames[:, joint : joint + 1])
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_only_recordings_with_a_zero_sum_are_shifted():
    bodies = np.ones((2, 3, 25, 3))
    np.testing.assert_array_equal(shift_zero_sums(bodies), bodies)
    # An absent body stays zero.
    bodies[1, 2] = 0
    # The sum is 0 in float32 only.
    bodies[0, 0, 7] = [1, 1, -2 - 1e-9]
    bodies[0, 1, 8] = [0, 0, -5]
    moved = shift_zero_sums(bodies)
    np.testing.assert_allclose((moved - bodies)[:, :2] - [0, 0, 6], 0, atol=1e-6)
    assert not moved[1, 2].any() and moved[0].sum(axis=-1).min() == pytest.approx(1)


@pytest.mark.parametrize(
    ("frames", "capture", "reason"),
    [
        (
            walked(),
            mapped("ntu25", "mm", "y"),
            "expected a trunk of 0.1 to 1.5 m, found 0.0005 m; is the unit right?",
        ),
        (
            1000 * walked(),
            KINECT,
            "expected a trunk of 0.1 to 1.5 m, found 500 m; is the unit right?",
        ),
        (
            walked() * [-1, 1, 1],
            KINECT,
            "toes point backwards; are left and right exchanged, or the axes left-handed",
        ),
        (walked()[:, :20], KINECT, "expected an array of shape (frames, 25, 3)"),
    ],
)
def test_a_recording_that_contradicts_the_user_is_refused(frames, capture, reason):
    with pytest.raises(RawFileError, match=re.escape(f"x.npz: {reason}")):
        read(frames, capture)


def test_frames_without_the_body_tell_nothing_about_it(expected):
    frames = np.concatenate([walked(), np.zeros((20, 25, 3))])
    np.testing.assert_allclose(read(frames)[:12], expected, atol=1e-6)


def test_shares_of_a_picture_are_warned_of_and_pixels_are_not():
    frames = with_scores(in_picture(of_2d_layout(COCO_17)))[None]
    capture = make_capture(layout="coco17", unit="px", up="-y")
    _, notes = normalize_reading(Reading(frames), "a.npz", capture)
    assert "x and y lie in 0..1, expected pixels" in " ".join(notes)
    _, notes = normalize_reading(Reading(frames * [1920, 1080, 1]), "a.npz", capture)
    assert "expected pixels" not in " ".join(notes)


def test_toes_may_point_backwards_for_a_while():
    frames = walked()
    frames[:5, [15, 19], 2] += 0.3
    assert np.isfinite(read(frames)).all()


@given(
    arrays(np.float32, (3, 2, 20, 3), elements=st.floats(-3, 3, width=32)),
    st.sampled_from(sorted(UP_ROTATIONS)),
)
def test_any_array_is_read_or_refused(frames, up):
    with suppress(RawFileError):
        found = read(frames, mapped("kinect_v1_20", "m", up))
        assert found.shape == (3, 2, 25, 3) and np.isfinite(found).all()
