import re

import numpy as np
import pytest

from scdnet.raw.custom.bvh import compute_positions, parse_bvh, read_bvh
from scdnet.raw.raw_files import RawFileError
from scdnet.skeleton import Skeleton

TEXT = """HIERARCHY
ROOT Hips
{
  OFFSET 5 5 5
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Left Knee
  {
    OFFSET 0 -2 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 -1 0
    }
  }
  JOINT RightKnee
  {
    OFFSET 1 0 0
    CHANNELS 4 Yposition Xrotation Zposition Xposition
  }
}
MOTION
Frames: 2
Frame Time: 0.0333
1 2 3 0 0 0 0 0 0 0 0 0 0
1 2 3 90 0 0 0 90 0 7 30 8 9
"""
SKELETON = Skeleton(
    "legs",
    ("hips", "knee left", "knee right"),
    parents=(0, 0, 0),
    mirror=(0, 2, 1),
    center=(0,),
    spine=((0,), (1,)),
    shoulders=((1,), (2,)),
)


def rotation(axis: int, degrees: float) -> np.ndarray:
    """Return the rotation about x, y or z, written out."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array(
        [[[1, 0, 0], [0, c, -s], [0, s, c]], [[c, 0, s], [0, 1, 0], [-s, 0, c]],
         [[c, -s, 0], [s, c, 0], [0, 0, 1]]][axis]
    )  # fmt: skip


def test_positions_are_those_worked_by_hand():
    bodies = read_bvh(TEXT.encode(), "a.bvh", SKELETON).bodies
    assert bodies.shape == (1, 2, 3, 3)
    # Positions replace the offsets of the root and of the right knee.
    np.testing.assert_allclose(bodies[0, 0], [[1, 2, 3], [1, 0, 3], [10 - 9, 2, 3]], atol=1e-12)
    # A quarter turn about z takes -y to x, and x y z = (9, 7, 8) to (-7, 9, 8).
    np.testing.assert_allclose(bodies[0, 1], [[1, 2, 3], [3, 2, 3], [-6, 11, 11]], atol=1e-12)


def test_the_ends_of_bones_are_joints_of_their_own():
    nodes, values = parse_bvh(TEXT.encode(), "a.bvh")
    assert [node.name for node in nodes] == ["Hips", "Left Knee", "Left Knee end", "RightKnee"]
    positions = compute_positions(nodes, values)
    # The knee is bent by a quarter turn about its x, after that of the hips about z: to -z.
    np.testing.assert_allclose(positions[1, 2], [3, 2, 2], atol=1e-12)


def chain(order: str, count: int) -> bytes:
    """Return a chain of joints of which each has three rotations, in the order of three axes."""
    channels = " ".join(f"{axis}rotation" for axis in order)
    lines = ["HIERARCHY"]
    for number in range(count):
        kind = "JOINT" if number else "ROOT"
        lines += [f"{kind} j{number} {{", "OFFSET 1 2 3", f"CHANNELS 3 {channels}"]
    return "\n".join([*lines, *"}" * count, "MOTION", "Frames: 3", "Frame Time: .1", ""]).encode()


@pytest.mark.parametrize("order", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"])
def test_rotations_apply_from_the_last_channel_to_the_first(order):
    angles = np.random.default_rng(0).uniform(-180, 180, (3, 4, 3))
    rows = "\n".join(" ".join(map(repr, row)) for row in angles.reshape(3, -1).tolist())
    nodes, values = parse_bvh(chain(order, 4) + rows.encode(), "a.bvh")
    found = compute_positions(nodes, values)
    for frame, joints in enumerate(angles):
        position = np.array([1.0, 2, 3])
        turn = np.eye(3)
        for joint, degrees in enumerate(joints):
            np.testing.assert_allclose(found[frame, joint], position, atol=1e-12)
            for axis, angle in zip(order, degrees, strict=True):
                turn = turn @ rotation("XYZ".index(axis), angle)
            position = position + turn @ [1, 2, 3]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html>", r"a web page \(HTML\)"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
    ],
)
def test_what_arrived_instead_of_a_file_is_named(data, found):
    with pytest.raises(RawFileError, match=f"expected a line MOTION; found {found}"):
        read_bvh(data, "a.bvh", SKELETON)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_windows_blank_lines_and_a_mark_change_nothing(newline):
    text = "\ufeff" + TEXT.replace("0.0333\n", "0.0333\n\n").replace("\n", newline) + newline
    found = read_bvh(text.encode(), "a.bvh", SKELETON).bodies
    np.testing.assert_array_equal(found, read_bvh(TEXT.encode(), "a.bvh", SKELETON).bodies)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("MOTION", "", "a.bvh: expected a line MOTION; is the file cut short?"),
        ("HIERARCHY", "x", "a.bvh:1: expected HIERARCHY at the beginning"),
        ("ROOT", "BONE", "a.bvh:2: expected ROOT, found 'BONE'"),
        ("JOINT", "BONE", "a.bvh:6: expected a joint or }, found 'BONE'"),
        ("-2 0", "two 0", "a.bvh:8: expected a finite number, found 'two'"),
        ("-2 0", "nan 0", "a.bvh:8: expected a finite number, found 'nan'"),
        ("OFFSET 5 5", "OFFSET 5", "a.bvh:5: expected a finite number, found 'CHANNELS'"),
        ("OFFSET 0 -2 0", "", "a.bvh:9: expected OFFSET of 'Left Knee'"),
        (
            "CHANNELS 6",
            "CHANNELS 7",
            "a.bvh:5: expected CHANNELS of 'Hips' and their number, up to",
        ),
        ("CHANNELS 6", "CHANNELS 5", "a.bvh:5: expected a joint or }, found 'Yrotation'"),
        ("Zposition Z", "Wposition Z", "a.bvh:5: expected channels such as Xposition"),
        ("}\nMOTION", "MOTION", "a.bvh:19: expected more; is the file cut short?"),
        ("Frames: 2", "Frames: two", "a.bvh:21: expected lines 'Frames: <number>' and 'Frame Time"),
        ("Frames: 2", "Frames: 3", "a.bvh: expected a line for each of 3 frames, found 2"),
        ("Frames: 2", "Frames: 0", "a.bvh: expected a line for each of 0 frames, found 2"),
        ("Frames: 2", "Frames: 9999999", "expected at most 216000 frames, found 9999999"),
        ("90 0 0", "90 0", "a.bvh:25: expected 13 finite numbers, one for each channel, found"),
        ("90 0 0", "90 0 inf", "a.bvh:25: expected 13 finite numbers"),
        (
            "RightKnee",
            "Other",
            "a.bvh: no joint is named knee right, of legs; found Hips, Left Kne",
        ),
    ],
)
def test_a_damaged_file_is_refused_with_the_line(old, new, reason):
    assert TEXT.count(old) >= 1
    with pytest.raises(RawFileError, match=re.escape(reason)):
        read_bvh(TEXT.replace(old, new, 1).encode(), "a.bvh", SKELETON)


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_any_body_are_left_to_the_check_of_what_is_finite():
    text = TEXT.replace("OFFSET 0 -2 0", "OFFSET 0 -1e308 0").replace("1 2 3 90", "1 -1e308 3 0")
    assert not np.isfinite(read_bvh(text.encode(), "a.bvh", SKELETON).bodies).all()
