"""Draw docs/images/skeleton_*.svg: each built-in skeleton on a pose of a synthetic person.

python docs/skeleton_charts.py
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np

from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25, SKELETONS
from scdnet.synthetic.actions import pose_vector
from scdnet.synthetic.body import pose_body
from scdnet.synthetic.people import sample_style
from scdnet.viz.skeleton_chart import draw_skeleton

IMAGES = Path(__file__).with_name("images")

# Joints that Kinect v2 lacks, by the names of left ones: a joint of Kinect v2 and an offset in
# meters, outwards and up.
OFFSETS = {
    "nose": ("head", 0, 0),
    "top of head": ("head", 0, 0.12),
    "left eye": ("head", 0.032, 0.035),
    "left eye (inner)": ("head", 0.018, 0.035),
    "left eye (outer)": ("head", 0.046, 0.035),
    "left ear": ("head", 0.075, 0.01),
    "mouth (left)": ("head", 0.025, -0.05),
    "center of hips": ("base of spine", 0, 0.07),
    "spine": ("base of spine", 0, 0.14),
    "pelvis": ("base of spine", 0, 0),
    "middle of hips": ("base of spine", 0, 0),
    "navel": ("base of spine", 0, 0.18),
    "chest": ("middle of spine", 0, 0.07),
    "torso": ("middle of spine", 0, 0),
    "spine 1": ("base of spine", 0, 0.11),
    "spine 2": ("middle of spine", 0, 0),
    "spine 3": ("middle of spine", 0, 0.06),
    "thorax": ("spine at shoulders", 0, 0),
    "center of shoulders": ("spine at shoulders", 0, 0),
    "left clavicle": ("spine at shoulders", 0.04, -0.01),
    "left collar": ("spine at shoulders", 0.07, -0.01),
    "left pinky": ("tip of left hand", 0.02, -0.01),
    "left index": ("tip of left hand", -0.02, 0.0),
    "left heel": ("left ankle", 0, -0.05),
    "left foot index": ("left foot", 0, 0),
    "left big toe": ("left foot", -0.01, 0),
    "left small toe": ("left foot", 0.04, 0.005),
}


def standing_pose() -> dict[str, np.ndarray]:
    """Return the joints of Kinect v2 of a person who stands with spread arms, by name.

    They are (2,) as a viewer in front sees them: the person's left is on the right.
    """
    style = sample_style(np.random.default_rng(2))
    hands = {f"{side}_hand": (0.72, -0.62, 0.1) for side in ("left", "right")}
    feet = {f"{side}_foot": (0.12, 0, 0) for side in ("left", "right")}
    toes = {f"{side}_toes": 0.9 for side in ("left", "right")}
    joints = pose_body(pose_vector({**hands, **feet, **toes})[None], style.lengths)[0]
    return dict(zip(NTU_25.joints, joints[:, :2], strict=True))


def place_joints(skeleton: Skeleton, pose: dict[str, np.ndarray]) -> np.ndarray:
    """Place the joints (V, 2) of a skeleton on a pose of Kinect v2."""
    points = []
    for joint in skeleton.joints:
        is_right = "right" in joint
        name = joint.replace("right", "left")
        if joint in pose and name not in OFFSETS:
            points.append(pose[joint])
            continue
        base, outwards, up = OFFSETS[name]
        base = base.replace("left", "right") if is_right else base
        points.append(pose[base] + [-outwards if is_right else outwards, up])
    return np.array(points)


def main() -> None:
    """Draw all charts."""
    # Texts stay texts, which can be searched; ids are the same each time.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "scdnet"})
    pose = standing_pose()
    for skeleton in SKELETONS.values():
        draw_skeleton(
            skeleton, place_joints(skeleton, pose), IMAGES / f"skeleton_{skeleton.name}.svg"
        )


if __name__ == "__main__":
    main()
