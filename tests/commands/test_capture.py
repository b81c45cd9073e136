import argparse
import sys

import numpy as np
import pytest
import yaml

from scdnet.cli import command_parser
from scdnet.commands.capture import add_capture_arguments
from scdnet.commands.prepare_custom import main
from scdnet.data.store import open_sequences
from scdnet.errors import ScdnetError
from scdnet.skeletons import SKELETONS
from tests.raw.custom.test_openpose import POSE, document
from tests.raw.walker import npz, walking

# A skeleton of one's own: the limbs of ntu25.
JOINTS = tuple(
    f"{side} {joint}"
    for side in ("left", "right")
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)
LIMBS = [SKELETONS["ntu25"].joints.index(joint) for joint in JOINTS]
ABOVE = {"elbow": "shoulder", "wrist": "elbow", "hip": "shoulder", "knee": "hip", "ankle": "knee"}


def limbs_content() -> dict[str, object]:
    """Return the content of the file that describes them."""
    parents = {joint: f"{joint.split()[0]} {ABOVE.get(joint.split()[1])}" for joint in JOINTS}
    sides = {part: [f"left {part}", f"right {part}"] for part in ("shoulder", "hip", *ABOVE)}
    return {
        "joints": list(JOINTS),
        "parents": parents | dict.fromkeys(sides["shoulder"], "left shoulder"),
        "mirror": list(sides.values()),
        "dims": 3,
        "centre": sides["hip"],
        "spine": [sides["hip"], sides["shoulder"]],
        "shoulders": sides["shoulder"],
    }


def parse(*arguments: str) -> argparse.Namespace:
    parser = command_parser("x", "Do nothing.")
    add_capture_arguments(parser, is_required=True)
    return parser.parse_args([*arguments, "--layout", "ntu25", "--unit", "m"])


@pytest.mark.parametrize("up", ["y", "z", "-y", "-z"])
def test_the_axis_that_points_up_is_read_as_written(up):
    assert parse("--up", up).up == parse(f"--up={up}").up == up


def test_arguments_of_the_command_line_are_read_as_well(monkeypatch):
    arguments = ["x", "--up", "-y", "--layout", "ntu25", "--unit", "m"]
    monkeypatch.setattr("sys.argv", arguments)
    parser = command_parser("x", None)
    add_capture_arguments(parser, is_required=True)
    assert parser.parse_args().up == "-y"


@pytest.mark.parametrize("wrong", [["--up"], ["--up", "-q"], ["--up", "-x"], ["-y"], ["--up", "x"]])
def test_other_axes_are_refused(wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse(*wrong)
    assert "--up" in capsys.readouterr().err


def convert(tmp_path, *options: str) -> int:
    return main(
        [
            "--raw",
            str(tmp_path / "raw"),
            "--out",
            str(tmp_path / "a.h5"),
            "--workers",
            "1",
            *options,
        ]
    )


def test_recordings_of_openpose_become_a_2d_store(tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    for clip in ("a", "b"):
        for number in range(3):
            path = tmp_path / "raw" / f"{clip}_{number:012}_keypoints.json"
            path.write_bytes(document(POSE + number))
    # A frame that cannot be read costs its recording only.
    (tmp_path / "raw" / "b_000000000001_keypoints.json").write_bytes(b"{")
    assert convert(tmp_path, "--layout", "openpose25", "--unit", "px", "--up", "-y") == 0
    with open_sequences(tmp_path / "a.h5") as store:
        assert store.table.name.tolist() == ["a"]
        assert store.skeleton == SKELETONS["openpose25"]
        assert store[0].frames.shape == (3, 2, 25, 3)
    rejected = (tmp_path / "a.h5.rejected.tsv").read_text()
    assert "b_000000000001_keypoints.json\t1\tnot JSON" in rejected


def test_a_missing_package_ends_the_conversion_in_one_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "c3d", None)
    (tmp_path / "raw").mkdir()
    for name in ("a", "b"):
        (tmp_path / "raw" / f"{name}.c3d").touch()
    with pytest.raises(ScdnetError, match=r"a\.c3d: .*; pip install 'scdnet\[mocap\]'"):
        convert(tmp_path, "--layout", "smpl24", "--unit", "mm", "--up", "z")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize("layout", ["azure32", "h36m17", "openni15", "smpl24"])
def test_the_layouts_are_stored_natively_and_mapped(tmp_path, layout):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "walk.npz").write_bytes(npz(1000 * walking(layout) * [1, -1, -1]))
    given = ["--layout", layout, "--unit", "mm", "--up", "-y"]
    for options, name in (([], layout), (["--to", "ntu25", "--overwrite"], "ntu25")):
        assert convert(tmp_path, *given, *options) == 0
        with open_sequences(tmp_path / "a.h5") as store:
            assert store.skeleton == SKELETONS[name]


def test_a_skeleton_of_ones_own_is_stored(tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "walk.npz").write_bytes(npz(walking("ntu25")[:, LIMBS]))
    (tmp_path / "limbs.yaml").write_text(yaml.safe_dump(limbs_content()))
    given = ["--skeleton", str(tmp_path / "limbs.yaml"), "--unit", "m", "--up", "y"]
    assert convert(tmp_path, *given) == 0
    with open_sequences(tmp_path / "a.h5") as store:
        assert (store.skeleton.name, store.skeleton.num_joints) == ("limbs", 12)
        frames = store[0].frames
    assert frames.shape == (12, 2, 12, 3)
    # The middle of the hips is the origin, the shoulders point to +x.
    joints = store.skeleton.joints
    hips = [joints.index("left hip"), joints.index("right hip")]
    np.testing.assert_allclose(frames[:, 0, hips].mean(axis=1), 0, atol=1e-6)
    left, right = (frames[0, 0, joints.index(f"{side} shoulder")] for side in ("left", "right"))
    np.testing.assert_allclose((right - left)[1:], 0, atol=1e-6)
    assert right[0] - left[0] > 0.3
