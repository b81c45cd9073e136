import random
import re
from collections.abc import Callable

import numpy as np
import pytest

from scdnet.raw.custom.column_names import ColumnError, match_columns
from scdnet.raw.custom.csv_file import read_csv
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import (
    AZURE_32,
    COCO_17,
    HALPE_26,
    KINECT_V1_20,
    MEDIAPIPE_33,
    NTU_25,
    OPENPOSE_25,
    SKELETONS,
    Skeleton,
)

BUILT_IN = list(SKELETONS.values())
# Names of the SDKs, in the order of the joints. Sources: JointType of Kinect for Windows SDK 2.0,
# NUI_SKELETON_POSITION_INDEX of 1.8, k4abt_joint_id_t and PoseLandmark of MediaPipe.
SDK_NAMES = {
    "ntu25": """
        SpineBase SpineMid Neck Head ShoulderLeft ElbowLeft WristLeft HandLeft ShoulderRight
        ElbowRight WristRight HandRight HipLeft KneeLeft AnkleLeft FootLeft HipRight KneeRight
        AnkleRight FootRight SpineShoulder HandTipLeft ThumbLeft HandTipRight ThumbRight
        """,
    "kinect_v1_20": """
        HipCenter Spine ShoulderCenter Head ShoulderLeft ElbowLeft WristLeft HandLeft ShoulderRight
        ElbowRight WristRight HandRight HipLeft KneeLeft AnkleLeft FootLeft HipRight KneeRight
        AnkleRight FootRight
        """,
    "azure32": """
        K4ABT_JOINT_PELVIS K4ABT_JOINT_SPINE_NAVEL K4ABT_JOINT_SPINE_CHEST K4ABT_JOINT_NECK
        K4ABT_JOINT_CLAVICLE_LEFT K4ABT_JOINT_SHOULDER_LEFT K4ABT_JOINT_ELBOW_LEFT
        K4ABT_JOINT_WRIST_LEFT K4ABT_JOINT_HAND_LEFT K4ABT_JOINT_HANDTIP_LEFT
        K4ABT_JOINT_THUMB_LEFT K4ABT_JOINT_CLAVICLE_RIGHT K4ABT_JOINT_SHOULDER_RIGHT
        K4ABT_JOINT_ELBOW_RIGHT K4ABT_JOINT_WRIST_RIGHT K4ABT_JOINT_HAND_RIGHT
        K4ABT_JOINT_HANDTIP_RIGHT K4ABT_JOINT_THUMB_RIGHT K4ABT_JOINT_HIP_LEFT
        K4ABT_JOINT_KNEE_LEFT K4ABT_JOINT_ANKLE_LEFT K4ABT_JOINT_FOOT_LEFT K4ABT_JOINT_HIP_RIGHT
        K4ABT_JOINT_KNEE_RIGHT K4ABT_JOINT_ANKLE_RIGHT K4ABT_JOINT_FOOT_RIGHT K4ABT_JOINT_HEAD
        K4ABT_JOINT_NOSE K4ABT_JOINT_EYE_LEFT K4ABT_JOINT_EAR_LEFT K4ABT_JOINT_EYE_RIGHT
        K4ABT_JOINT_EAR_RIGHT
        """,
    "mediapipe33": """
        NOSE LEFT_EYE_INNER LEFT_EYE LEFT_EYE_OUTER RIGHT_EYE_INNER RIGHT_EYE RIGHT_EYE_OUTER
        LEFT_EAR RIGHT_EAR MOUTH_LEFT MOUTH_RIGHT LEFT_SHOULDER RIGHT_SHOULDER LEFT_ELBOW
        RIGHT_ELBOW LEFT_WRIST RIGHT_WRIST LEFT_PINKY RIGHT_PINKY LEFT_INDEX RIGHT_INDEX LEFT_THUMB
        RIGHT_THUMB LEFT_HIP RIGHT_HIP LEFT_KNEE RIGHT_KNEE LEFT_ANKLE RIGHT_ANKLE LEFT_HEEL
        RIGHT_HEEL LEFT_FOOT_INDEX RIGHT_FOOT_INDEX
        """,
    "openpose25": """
        Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip
        LKnee LAnkle REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel
        """,
    "h36m17": """
        Pelvis RHip RKnee RAnkle LHip LKnee LAnkle Spine Thorax Neck Head LShoulder LElbow LWrist
        RShoulder RElbow RWrist
        """,
}


def axes_of(skeleton: Skeleton) -> str:
    return "xyz" if skeleton.dims == 3 else "xyc"


# How people write names of joints, by words.
JOINT_STYLES: dict[str, Callable[[str], str]] = {
    "as it is": lambda name: name,
    "snake": lambda name: re.sub(r"[ ()]+", "_", name).strip("_"),
    "upper": lambda name: re.sub(r"[ ()]+", "_", name).strip("_").upper(),
    "camel": lambda name: re.sub(r"[ ()]+", "", name.title()),
    "joined": lambda name: re.sub(r"[ ()]+", "", name),
    "short": lambda name: name.replace("left ", "l_").replace("right ", "r_"),
    "letter": lambda name: re.sub(
        r"[ ()]+", "", name.title().replace("Left", "L").replace("Right", "R")
    ),
}
COLUMN_STYLES: dict[str, Callable[[str, str], str]] = {
    "_x": lambda joint, axis: f"{joint}_{axis}",
    ".x": lambda joint, axis: f"{joint}.{axis}",
    "X": lambda joint, axis: f"{joint}{axis.upper()}",
    "x_": lambda joint, axis: f"{axis}_{joint}",
    " (x)": lambda joint, axis: f"{joint} ({axis})",
    "quoted": lambda joint, axis: f'"{joint} {axis}"',
    "position": lambda joint, axis: f"{joint}.Position.{axis.upper()}",
}
ORDERS: dict[str, Callable[[list[tuple[int, int]]], list[tuple[int, int]]]] = {
    "by joint": lambda places: places,
    "by axis": lambda places: sorted(places, key=lambda place: place[::-1]),
    "shuffled": lambda places: random.Random(0).sample(places, len(places)),
}


def table(skeleton: Skeleton, names: list[str], places: list[tuple[int, int]]) -> bytes:
    """Return a csv in which each cell tells its joint and axis, under these names."""
    rows = [
        ",".join(f"{100 * frame + joint + (axis + 1) / 10}" for joint, axis in places)
        for frame in range(3)
    ]
    return "\n".join([",".join(names), *rows, ""]).encode()


def expected(skeleton: Skeleton) -> np.ndarray:
    frame, joint, axis = np.meshgrid(
        np.arange(3), np.arange(skeleton.num_joints), np.arange(3), indexing="ij"
    )
    return 100 * frame + joint + (axis + 1) / 10


def check(skeleton: Skeleton, joints: list[str], column: str, order: str) -> None:
    places = ORDERS[order]([(v, c) for v in range(skeleton.num_joints) for c in range(3)])
    axes = axes_of(skeleton)
    names = [COLUMN_STYLES[column](joints[joint], axes[axis]) for joint, axis in places]
    reading = read_csv(table(skeleton, names, places), "x.csv", skeleton)
    np.testing.assert_allclose(reading.bodies[0], expected(skeleton))
    assert not reading.dropped


def is_ambiguous(skeleton: Skeleton, column: str) -> bool:
    """Check whether a style has the score, C, at the end of a word, of which it may be a part."""
    return skeleton.dims == 2 and column == "X"


# Each pair of styles belongs to one of seven turns, each skeleton begins with another one.
@pytest.mark.parametrize("num_turns", [1, pytest.param(7, marks=pytest.mark.slow)])
@pytest.mark.parametrize("skeleton", BUILT_IN, ids=lambda skeleton: skeleton.name)
def test_columns_are_found_by_the_names_of_joints_in_any_style(skeleton, num_turns):
    columns = list(COLUMN_STYLES)
    first = BUILT_IN.index(skeleton)
    for turn in range(first, first + num_turns):
        for number, joint_style in enumerate(JOINT_STYLES.values()):
            column = columns[(number + turn) % len(columns)]
            if not is_ambiguous(skeleton, column):
                check(skeleton, [joint_style(name) for name in skeleton.joints], column, "shuffled")


@pytest.mark.parametrize(
    ("column", "order"), [("_x", "by axis"), ("x_", "shuffled"), ("X", "by joint")]
)
@pytest.mark.parametrize("layout", SDK_NAMES)
def test_columns_are_found_by_the_names_of_the_sdks_in_any_order(layout, column, order):
    if is_ambiguous(SKELETONS[layout], column):
        column = "position"
    names = SDK_NAMES[layout].split()
    check(SKELETONS[layout], names, column, order)
    check(SKELETONS[layout], [name.lower() for name in names], column, order)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    ("prefix", "order"),
    [("", "by joint"), ("landmark_", "by axis"), ("joint", "shuffled"), ("kp", "by axis")],
)
def test_joints_may_be_numbered_from_0_or_1(prefix, order, first):
    for skeleton in (MEDIAPIPE_33, NTU_25, AZURE_32):
        joints = [f"{prefix}{first + number}" for number in range(skeleton.num_joints)]
        check(skeleton, joints, "_x", order)
        check(skeleton, joints, "x_", order)


def test_the_columns_of_a_well_known_tutorial_are_read():
    # class, x1, y1, z1, v1, x2, ...
    names = ["class"]
    row = ["wave"]
    for number in range(33):
        names += [f"{axis}{number + 1}" for axis in "xyzv"]
        row += [str(number + 0.1), str(number + 0.2), str(number + 0.3), "0.99"]
    data = "\n".join([",".join(names), ",".join(row), ",".join(row)]).encode()
    reading = read_csv(data, "x.csv", MEDIAPIPE_33)
    np.testing.assert_allclose(reading.bodies[0, 0], expected(MEDIAPIPE_33)[0])
    assert reading.dropped == ("column class", "33 columns of visibility or tracking")


DROPPED = {
    "Timestamp": "column Timestamp",
    "time (ms)": "column time (ms)",
    "frame": "column frame",
    "Frame Index": "column Frame Index",
    "timestamp_usec": "column timestamp_usec",
    "body_id": "column body_id",
    "Unnamed: 0": "column Unnamed: 0",
    "Head_visibility": "1 columns of visibility or tracking",
    "Head TrackingState": "1 columns of visibility or tracking",
    "HeadColorX": "1 columns of image positions",
    "Head_depth_y": "1 columns of image positions",
    "Head_orientation_w": "1 columns of orientation",
}


@pytest.mark.parametrize("name", DROPPED)
@pytest.mark.parametrize(
    ("skeleton", "place"), [(NTU_25, 0), (KINECT_V1_20, 10), (MEDIAPIPE_33, -1)]
)
def test_other_columns_are_recognized_by_name_and_dropped(skeleton, name, place):
    names = [f"{joint}_{axis}" for joint in skeleton.joints for axis in "xyz"]
    numbers = [f"{value}" for value in expected(skeleton)[0].ravel()]
    names.insert(place, name)
    rows = []
    for frame in range(3):
        row = list(numbers)
        row.insert(place, str(frame))
        rows.append(",".join(row))
    reading = read_csv("\n".join([",".join(names), *rows]).encode(), "x.csv", skeleton)
    np.testing.assert_allclose(reading.bodies[0, 2], expected(skeleton)[0])
    assert reading.dropped == (DROPPED[name],)


@pytest.mark.parametrize("tag", ["{}_p{}", "body{1}_{0}", "{}.{}", "{}_{}"])
def test_two_bodies_are_told_apart_by_numbers(tag):
    names = [
        tag.format(f"{joint}_{axis}", body)
        for body in (0, 1)
        for joint in NTU_25.joints
        for axis in "xyz"
    ]
    columns = match_columns(names, NTU_25)
    np.testing.assert_array_equal(np.array(columns.order).ravel(), np.arange(150))


def test_names_that_repeat_are_those_of_the_next_body():
    names = [f"{joint}_{axis}" for joint in NTU_25.joints for axis in "xyz"]
    columns = match_columns([*names, *names], NTU_25)
    np.testing.assert_array_equal(np.array(columns.order).ravel(), np.arange(150))
    # As pandas tells them apart.
    columns = match_columns([*names, *(f"{name}.1" for name in names)], NTU_25)
    np.testing.assert_array_equal(np.array(columns.order).ravel(), np.arange(150))


NAMES = [f"{joint}_{axis}" for joint in NTU_25.joints for axis in "xyz"]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([*NAMES, "tail_x"], "columns that are not understood: tail_x"),
        ([*NAMES, ""], "columns that are not understood: (unnamed)"),
        (NAMES[3:], "no columns of base of spine"),
        (NAMES[1:], "no columns of base of spine x"),
        ([*NAMES[1:], "pelvis_q"], "not understood: pelvis_q; no columns of base of spine x"),
        ([f"f{n}_{n}" for n in range(75)], "columns that are not understood: f0_0, f1_1, "),
        (SDK_NAMES["azure32"].split(), "the names are those of azure32"),
        ([f"{joint}_{axis}" for joint in COCO_17.joints for axis in "xy"], "those of coco17"),
        (["frame", "joint", "x", "y", "z"], "columns that are not understood: joint, x, y, z"),
    ],
)
def test_other_names_are_refused_and_named(names, reason):
    with pytest.raises(ColumnError, match=re.escape(reason)):
        match_columns(names, NTU_25)


@pytest.mark.parametrize("skeleton", [COCO_17, HALPE_26, OPENPOSE_25])
@pytest.mark.parametrize("score", ["score", "confidence", "conf", "likelihood", "visibility", "c"])
def test_2d_columns_have_a_score_or_none(skeleton, score):
    names = [f"{joint}_{axis}" for joint in skeleton.joints for axis in ("x", "y", score)]
    assert np.array(match_columns(names, skeleton).order).shape == (1, skeleton.num_joints, 3)
    names = [f"{joint}_{axis}" for joint in skeleton.joints for axis in "xy"]
    assert np.array(match_columns(names, skeleton).order).shape == (1, skeleton.num_joints, 2)


@pytest.mark.parametrize("name", ["body_id", "person", "frame", "id"])
def test_lines_of_several_people_are_refused(name):
    row = ",".join(f"{value}" for value in expected(NTU_25)[0].ravel())
    rows = [f"{number // 2 if name == 'frame' else number % 2},{row}" for number in range(6)]
    data = "\n".join([",".join([name, *NAMES]), *rows]).encode()
    with pytest.raises(RawFileError, match=f"column {name}: expected a line for each frame, found"):
        read_csv(data, "x.csv", NTU_25)
