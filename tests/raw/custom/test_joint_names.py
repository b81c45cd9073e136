import re

import pytest

from scdnet.raw.custom.joint_names import match_joints, name_key
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import SKELETONS, SMPL_24

TRUNK = {
    "LAFAN1": "Hips Spine Spine1 Spine2 Neck Head",
    "CMU": "Hips LowerBack Spine Spine1 Neck Head",
    "Xsens": "Hips Chest Chest2 Chest3 Chest4 Neck Head",
}
ARMS = "UpLeg Leg Foot {toe} Shoulder Arm ForeArm Hand {fingers}"
SIDES = {
    "LAFAN1": ARMS.format(toe="Toe", fingers=""),
    "CMU": ARMS.format(toe="ToeBase", fingers="FingerBase HandIndex1"),
    "Xsens": "Hip Knee Ankle Toe Collar Shoulder Elbow Wrist",
}
# The joints of smpl24: the trunk from below, then leg and arm of the left.
FOUND = {
    "LAFAN1": "Hips,Spine,Spine1,Spine2,Neck,Head,LeftUpLeg,LeftLeg,LeftFoot,LeftToe,"
    "LeftShoulder,LeftArm,LeftForeArm,LeftHand,LeftHand end",
    "CMU": "Hips,LowerBack,Spine,Spine1,Neck,Head,LeftUpLeg,LeftLeg,LeftFoot,LeftToeBase,"
    "LeftShoulder,LeftArm,LeftForeArm,LeftHand,LeftFingerBase",
    "Xsens": "Hips,Chest,Chest2,Chest4,Neck,Head,LeftHip,LeftKnee,LeftAnkle,LeftToe,"
    "LeftCollar,LeftShoulder,LeftElbow,LeftWrist,LeftWrist end",
}
SMPL_ORDER = (0, 3, 6, 9, 12, 15, 1, 4, 7, 10, 13, 16, 18, 20, 22)


def rig(kind: str, prefix: str = "") -> list[str]:
    """Return the names of a file, those of the ends of its bones included."""
    names = TRUNK[kind].split()
    names += [f"{side}{name}" for side in ("Left", "Right") for name in SIDES[kind].split()]
    return [prefix + name for name in names] + [f"{prefix}{name} end" for name in names]


@pytest.mark.parametrize("kind", TRUNK)
@pytest.mark.parametrize("prefix", ["", "mixamorig:", "Actor 1:"])
def test_the_usual_rigs_are_those_of_smpl(kind, prefix):
    names = rig(kind, prefix)
    found = [names[index].removeprefix(prefix) for index in match_joints(names, SMPL_24, "a")]
    assert [found[joint] for joint in SMPL_ORDER] == FOUND[kind].split(",")


def test_mixamo_has_its_hand_where_the_middle_finger_begins():
    names = [*rig("LAFAN1"), "LeftHandMiddle1", "RightHandMiddle1", "LeftHandMiddle2"]
    found = match_joints(names, SMPL_24, "a")
    assert [names[found[joint]] for joint in (22, 23)] == ["LeftHandMiddle1", "RightHandMiddle1"]


def test_a_2d_skeleton_is_refused_though_its_names_fit():
    names = SKELETONS["azure32"].joints
    with pytest.raises(
        RawFileError, match="positions are 3-D, coco17 is 2-D; use --layout azure32"
    ):
        match_joints(names, SKELETONS["coco17"], "a")


@pytest.mark.parametrize("name", [n for n, skeleton in SKELETONS.items() if skeleton.dims == 3])
@pytest.mark.parametrize(
    "write",
    [
        str,
        str.upper,
        lambda joint: joint.title().replace(" ", ""),
        lambda joint: joint.replace(" ", "_"),
        lambda joint: "rig:" + " ".join(reversed(joint.split())),
        lambda joint: joint.replace("left", "L").replace("right", "R"),
    ],
)
def test_a_skeleton_is_found_by_its_own_names_however_written_in_any_order(name, write):
    skeleton = SKELETONS[name]
    names = ["other", *(write(joint) for joint in reversed(skeleton.joints))]
    assert match_joints(names, skeleton, "a") == list(range(skeleton.num_joints, 0, -1))


def test_a_name_of_its_own_is_not_taken_for_that_of_a_rig():
    # A file of SMPL's names: its shoulder is the shoulder, that of Mixamo is the collar.
    names = [joint.title().replace(" ", "") for joint in SMPL_24.joints]
    assert match_joints([*names, "LeftArm", "RightArm"], SMPL_24, "a") == list(range(24))


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "no joint is named pelvis, left hip, "),
        (
            ["a\n\0b", "x" * 900],
            "found a\\n\\x00b, xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...; describe",
        ),
        (rig("LAFAN1")[1:], "no joint is named pelvis, of smpl24; found Spine, Spine1, "),
        ([*rig("LAFAN1"), "hips"], "a: expected one joint 'pelvis', found 'Hips' and 'hips'"),
        (
            SKELETONS["azure32"].joints,
            "use --layout azure32, or describe the joints of the file in",
        ),
    ],
)
def test_a_joint_that_is_missing_or_there_twice_is_refused(names, reason):
    with pytest.raises(RawFileError, match=re.escape(reason)):
        match_joints(names, SMPL_24, "a")


def test_every_built_in_name_is_another():
    for skeleton in SKELETONS.values():
        assert len({name_key(joint) for joint in skeleton.joints}) == skeleton.num_joints
