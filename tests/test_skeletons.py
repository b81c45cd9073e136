import re
from pathlib import Path

import pytest
import yaml

from scdnet.errors import ScdnetError
from scdnet.skeletons import SKELETONS, mirrored_name, read_skeleton

CONTENT = {
    "joints": ["hip l", "hip r", "knee l", "knee r", "chest", "head"],
    "parents": {"hip l": "chest", "hip r": "chest", "knee l": "hip l", "knee r": "hip r",
                "chest": "chest", "head": "chest"},
    "mirror": [["hip l", "hip r"], ["knee l", "knee r"]],
    "dims": 3,
    "centre": ["hip l", "hip r"],
    "spine": [["hip l", "hip r"], "chest"],
    "shoulders": ["hip l", "hip r"],
}  # fmt: skip


def write(folder: Path, text: str | dict) -> Path:
    path = folder / "my.yaml"
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text), encoding="utf-8")
    return path


def test_a_skeleton_of_ones_own_is_read_by_the_names_of_its_joints(tmp_path):
    found = read_skeleton(write(tmp_path, CONTENT))
    assert (found.name, found.joints, found.dims) == ("my", tuple(CONTENT["joints"]), 3)
    assert found.parents == (4, 4, 0, 1, 4, 4)
    assert found.mirror == (1, 0, 3, 2, 4, 5)
    assert (found.center, found.spine) == ((0, 1), ((0, 1), (4,)))
    assert (found.shoulders, found.root) == (((0,), (1,)), 4)


@pytest.mark.parametrize("name", SKELETONS)
def test_every_built_in_skeleton_can_be_written_as_such_a_file(tmp_path, name):
    skeleton = SKELETONS[name]
    joints = skeleton.joints
    content = {
        "joints": list(joints),
        "parents": {joint: joints[p] for joint, p in zip(joints, skeleton.parents, strict=True)},
        "mirror": [[joints[v], joints[m]] for v, m in enumerate(skeleton.mirror) if v < m],
        "dims": skeleton.dims,
        "centre": [joints[joint] for joint in skeleton.center],
        "spine": [[joints[joint] for joint in end] for end in skeleton.spine],
        "shoulders": [[joints[joint] for joint in side] for side in skeleton.shoulders],
    }
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert read_skeleton(path) == skeleton


@pytest.mark.parametrize("key", CONTENT)
def test_a_missing_key_is_refused_with_those_that_are_expected(tmp_path, key):
    content = {other: value for other, value in CONTENT.items() if other != key}
    with pytest.raises(ScdnetError, match=r"my\.yaml: expected the keys joints, .*, found "):
        read_skeleton(write(tmp_path, content))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("joints", "head", "joints: expected a list of names, found 'head'"),
        ("joints", [1, 2], "joints: expected a list of names, found [1, 2]"),
        (
            "joints",
            [*CONTENT["joints"], "head"],
            "joints: expected distinct names, found 'head' more than once",
        ),
        (
            "joints",
            [*CONTENT["joints"], "tail"],
            "parents: expected the name of the parent of each",
        ),
        ("parents", ["chest"] * 6, "parents: expected the name of the parent of each joint"),
        ("parents", CONTENT["parents"] | {"head": "neck"}, "parents: 'neck' is not one of the joi"),
        ("parents", CONTENT["parents"] | {"head": None}, "parents: None is not one of the joints"),
        (
            "parents",
            CONTENT["parents"] | {"head": "head"},
            "parents: expected one root that is its",
        ),
        (
            "parents",
            CONTENT["parents"] | {"hip l": "knee l"},
            "parents: hip l does not lead to the",
        ),
        ("mirror", {"hip l": "hip r"}, "mirror: expected a list of pairs of names"),
        ("mirror", [["hip l"]], "mirror: expected a list of pairs of names, found [['hip l']]"),
        ("mirror", [["head", "head"]], "mirror: expected pairs of different joints, found 'head'"),
        ("spine", ["chest", "chest"], "spine: expected two different places, found the same one"),
        (
            "shoulders",
            ["hip l", ["hip l"]],
            "shoulders: expected two different places, found the same one",
        ),
        (
            "parents",
            {"chest": "chest"},
            "parents: expected the name of the parent of each joint, found none for ",
        ),
        ("mirror", [["hip l", "x"]], "mirror: 'x' is not one of the joints"),
        (
            "mirror",
            [["hip l", "hip r"], ["hip l", "head"]],
            "mirror: hip r is not the mirror joint",
        ),
        ("dims", 4, "dims: expected 2 or 3, found 4"),
        ("dims", "3", "dims: expected 2 or 3, found 3"),
        ("dims", 2.0, "dims: expected 2 or 3, found 2.0"),
        ("centre", "x", "centre: 'x' is not one of the joints"),
        ("centre", [], "expected one or more joints each as center, spine and shoulders"),
        ("centre", {"a": 1}, "centre: {'a': 1} is not one of the joints"),
        ("spine", ["chest"], "spine: expected two names or lists of names, found ['chest']"),
        ("spine", "chest", "spine: expected two names or lists of names, found 'chest'"),
        ("spine", ["chest", ["x"]], "spine: 'x' is not one of the joints"),
        ("shoulders", ["chest", 3], "shoulders: 3 is not one of the joints"),
        ("shoulders", None, "shoulders: expected two names or lists of names, found None"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(tmp_path, key, value, reason):
    with pytest.raises(ScdnetError, match=re.escape(f"my.yaml: {reason}")):
        read_skeleton(write(tmp_path, CONTENT | {key: value}))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected the keys joints, "),
        ("- 1", "expected the keys joints, "),
        ("joints: [", "not a readable YAML file"),
        ("joints: 2020-99-99", "not a readable YAML file"),
        ("\0", "not a readable YAML file"),
    ],
)
def test_what_is_no_skeleton_file_is_refused(tmp_path, text, reason):
    with pytest.raises(ScdnetError, match=re.escape(f"my.yaml: {reason}")):
        read_skeleton(write(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ScdnetError, match=r"x\.yaml: no such skeleton file"):
        read_skeleton(tmp_path / "x.yaml")
    with pytest.raises(ScdnetError, match="not a readable YAML file"):
        read_skeleton(tmp_path)


def test_the_names_of_both_sides_are_exchanged():
    names = ["left hand", "tip of right hand", "mouth (left)", "neck"]
    assert [mirrored_name(name) for name in names] == [
        "right hand", "tip of left hand", "mouth (right)", "neck",
    ]  # fmt: skip
