import matplotlib as mpl
import numpy as np
import pytest

from scdnet.skeletons import SKELETONS
from scdnet.viz.skeleton_chart import MIN_LINE, _spread, draw_skeleton

POSE = np.random.default_rng(0)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_every_joint_is_named_beside_the_pose(skeleton, tmp_path):
    out = tmp_path / "new" / "chart.svg"
    pose = POSE.standard_normal((skeleton.num_joints, 2))
    with mpl.rc_context({"svg.fonttype": "none"}):
        draw_skeleton(skeleton, pose, out)
    text = out.read_text()
    for number, name in enumerate(skeleton.joints):
        assert f">{number} {name}<" in text


def test_a_joint_that_was_not_found_is_left_out(tmp_path):
    skeleton = SKELETONS["coco17"]
    pose = POSE.standard_normal((skeleton.num_joints, 2))
    pose[3] = np.nan
    draw_skeleton(skeleton, pose, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 0


def test_names_are_moved_apart_but_stay_in_order_within_the_chart():
    heights = np.array([0.9, 0.9, 0.88, 0.5, 0.02, 0.01, 0.0])
    spread = _spread(heights)
    assert (np.diff(spread) <= -MIN_LINE + 1e-9).all()
    assert spread.min() >= 0
    # A name that has room stays at the height of its joint.
    assert spread[3] == 0.5
