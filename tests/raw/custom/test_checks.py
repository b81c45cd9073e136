import numpy as np
import pytest

from scdnet.raw.custom.checks import check_reading, find_up
from scdnet.raw.custom.frames import UP_ROTATIONS
from scdnet.raw.custom.reading import Reading
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import (
    COCO_17,
    NTU_25,
    OPENPOSE_25,
)
from tests.raw.custom.test_picture_checks import (
    BODIES,
    SKELETONS,
    check,
    in_any_layout,
    in_any_layout_and_format,
    in_picture,
    of_2d_layout,
    with_scores,
)


@in_any_layout
def test_any_joint_may_be_the_origin_in_the_first_frame_alone(layout):
    for joint in range(SKELETONS[layout].num_joints):
        frames = BODIES[layout] - BODIES[layout][0, joint]
        frames[1:] += 0.01
        check(frames, layout)


@in_any_layout_and_format
@pytest.mark.parametrize("frame", [0, 5])
def test_a_lost_joint_is_refused_with_its_line(layout, suffix, frame):
    frames = BODIES[layout].copy()
    frames[frame, 7] = 0
    with pytest.raises(RawFileError, match=f"frame {frame + 1}, body 1: .* not tracked") as caught:
        check(frames, layout, suffix)
    assert caught.value.args[1] == (frame + 1 if suffix == ".csv" else 0)


def test_a_second_joint_at_the_origin_is_lost():
    frames = BODIES["ntu25"] - BODIES["ntu25"][0, 0]
    frames[1:] += 0.01
    frames[0, 19] = 0
    with pytest.raises(RawFileError, match="found 0, 0, 0 for base of spine, right foot"):
        check(frames, "ntu25")


@pytest.mark.parametrize("axis", ["y", "z", "-y", "-z"])
@in_any_layout
def test_the_axis_of_the_trunk_is_found(layout, axis):
    bodies = (BODIES[layout] @ UP_ROTATIONS[axis])[None]
    assert find_up(bodies, SKELETONS[layout]) == axis


def test_people_who_lie_down_do_not_tell_what_is_up():
    frames = BODIES["ntu25"]
    lying = np.concatenate([frames, frames @ UP_ROTATIONS["z"]])
    assert find_up(lying[None], NTU_25) is None


@pytest.mark.parametrize("skeleton", [COCO_17, OPENPOSE_25])
def test_3d_joints_are_refused_as_2d_ones(skeleton):
    layout = {17: "h36m17", 25: "ntu25"}[skeleton.num_joints]
    with pytest.raises(RawFileError, match=f"those of the 3-D layout {layout}"):
        check_reading(Reading(BODIES[layout][None]), "x", skeleton)
    with pytest.raises(RawFileError, match=r"found a score of -.*are these 3-D joints"):
        check_reading(Reading(-BODIES[layout][None]), "x", skeleton)
    check_reading(Reading(with_scores(in_picture(of_2d_layout(skeleton)))[None]), "x", skeleton)


@pytest.mark.parametrize("skeleton", [COCO_17, OPENPOSE_25])
def test_pixels_in_the_place_of_scores_are_refused(skeleton):
    frames = with_scores(in_picture(of_2d_layout(skeleton)))
    frames[..., :2] *= 1000
    check_reading(Reading(frames[None]), "x", skeleton)
    check_reading(Reading(frames[None] * [1, 1, 100]), "x", skeleton)
    with pytest.raises(RawFileError, match=r"body 1: expected x, y and score .* found a score"):
        check_reading(Reading(frames[None][..., [2, 0, 1]]), "x", skeleton)


@in_any_layout
def test_a_sensor_may_repeat_the_origin_but_not_return_to_it_from_afar(layout):
    # The joint stays for six frames, but for a millimeter, and then goes half a meter away.
    frames = BODIES[layout] - BODIES[layout][:, :1]
    frames[:6] += 0.001
    frames[6:] += 0.5
    frames[0] -= 0.001
    frames[[1, 2, 4], 0] = 0
    check(frames, layout)
    frames[15, 0] = 0
    with pytest.raises(RawFileError, match=r"frame 16, body 1: .* not tracked"):
        check(frames, layout)
