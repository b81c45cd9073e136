"""Many broken files of each format that others write: finite frames, or one error that says why."""

import copy
import json
import random
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from scdnet.raw.custom.frames import CaptureSpec, make_capture, read_frames
from scdnet.raw.custom.openpose import group_recordings
from scdnet.raw.raw_files import RawFileError, find_raw_files
from tests.raw.broken import with_count
from tests.raw.custom.test_azure import NAMES
from tests.raw.custom.test_bvh import SKELETON, TEXT
from tests.raw.custom.test_c3d_markers import c3d_file
from tests.raw.custom.test_openpose import POSE, document
from tests.raw.walker import walking

# What stands in the place of a value.
VALUES = (
    None, True, -1, 0, 1, 10**30, 10**400, 1.5, float("nan"), float("inf"), "", "x", "people", [],
    [[]], {}, {"x": 1}, [1, 2, 3], [[1, 2], [3]], {"people": []}, "1.0",
)  # fmt: skip
BYTES = (b"", b"\0", b"\xff", b"[", b"]", b"{", b"}", b'"', b",", b"-", b"e9", b"nan", b" ", b"\n")


@cache
def openpose_frames() -> list[object]:
    people = [POSE, POSE + np.array([300, 0, 0])]
    return [json.loads(document(*people)), json.loads(document(*people[::-1]))]


@cache
def azure_content() -> dict[str, object]:
    bodies = [
        [{"body_id": 1, "joint_positions": joints.tolist(), "joint_orientations": []}]
        for joints in 1000 * walking("azure32", 2)
    ]
    frames = [{"bodies": listed, "frame_id": 1} for listed in (*bodies, [])]
    return {"bone_list": [], "frames": frames, "joint_names": NAMES}


@cache
def mediapipe_frames() -> list[object]:
    frames = [
        [dict(zip("xyz", landmark, strict=True)) for landmark in frame]
        for frame in walking("mediapipe33", 3)[[0, 1, 1]].tolist()
    ]
    return [{"poseWorldLandmarks": frames[0]}, frames[1], {"landmarks": [frames[2]]}, None]


JSON_FORMATS: dict[str, tuple[Callable[[], object], dict[str, str]]] = {
    "openpose": (openpose_frames, {"layout": "openpose25", "unit": "px", "up": "-y"}),
    "azure": (azure_content, {"layout": "azure32", "unit": "mm", "up": "y"}),
    "mediapipe": (mediapipe_frames, {"layout": "mediapipe33", "unit": "m", "up": "y"}),
}
each_format = pytest.mark.parametrize("name", JSON_FORMATS)


def check(data: bytes, where: str, capture: CaptureSpec) -> str:
    """Read a file, which gives finite frames or an error of one line that names it; return it."""
    refusal = ""
    try:
        frames, _ = read_frames(data, where, capture)
        assert np.isfinite(frames).all() and frames.any()
    except RawFileError as error:
        refusal = str(error)
    assert not refusal or refusal.startswith(where)
    assert "\n" not in refusal and len(refusal) < 2000
    return refusal


def break_json(content: object, rng: random.Random) -> object:
    """Replace, remove or repeat a value somewhere in lists and dicts; return all of it."""
    # Of what is shared with other examples, only the way to that place is copied.
    content = copy.copy(content)
    place = content
    # Descend to any depth.
    while rng.random() < 0.8:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        below = [key for key in keys if isinstance(place[key], list | dict) and place[key]]
        if not below:
            break
        chosen = rng.choice(below)
        place[chosen] = copy.copy(place[chosen])
        place = place[chosen]
    key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
    action = rng.randrange(4)
    if action == 0:
        del place[key]
    elif action == 1 and isinstance(place, list):
        place.insert(key, place[key])
    elif action == 1:
        place[rng.choice(("x", "people", "frames", "joint_names", "landmarks"))] = place[key]
    else:
        place[key] = rng.choice(VALUES)
    return content


def break_bytes(data: bytes, rng: random.Random) -> bytes:
    """Cut, drop, repeat, flip or insert some bytes."""
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.choice((1, 2, 10, 200)))
    return rng.choice(
        (
            data[:start],
            data[:start] + data[end:],
            data[:end] + data[start:],
            data[:start] + bytes([rng.randrange(256)]) + data[start + 1 :],
            data[:start] + rng.choice(BYTES) + data[start:],
            data[:start] + rng.choice(BYTES) + data[end:],
        )
    )


@each_format
def test_the_unbroken_file_is_read(name):
    build, options = JSON_FORMATS[name]
    assert read_frames(json.dumps(build()).encode(), "a.json", make_capture(**options))[0].any()


@with_count
@each_format
def test_json_of_another_structure(name, num_broken):
    build, options = JSON_FORMATS[name]
    capture = make_capture(**options)
    refusals = set()
    for seed in range(num_broken):
        rng = random.Random(seed)
        content = build()
        for _ in range(rng.choice((1, 1, 2, 5))):
            if isinstance(content, list | dict) and content:
                content = break_json(content, rng)
        refusals.add(check(json.dumps(content).encode(), "a.json", capture))
    assert len(refusals) > num_broken / 10, "expected many kinds of damage"


@with_count
@each_format
def test_json_with_broken_bytes(name, num_broken):
    build, options = JSON_FORMATS[name]
    capture = make_capture(**options)
    data = json.dumps(build()).encode()
    refusals = {
        check(break_bytes(data, random.Random(seed)), "a.json", capture)
        for seed in range(num_broken)
    }
    assert len(refusals) > num_broken / 10, "expected many kinds of damage"


@cache
def bvh_file() -> bytes:
    """Return the file of other tests with a short bone and two plausible poses."""
    header = TEXT.replace("-2", "-1").partition("1 2 3")[0]
    return f"{header}0 2 0 5 5 5 9 5 5 -1 9 0.1 1\n0 2 0 6 5 5 5 9 5 -1 9 0 1\n".encode()


@cache
def marker_file() -> bytes:
    markers = np.random.default_rng(0).uniform(0, 900, (4, 4, 3))
    return c3d_file(markers=markers)


BINARY_FORMATS: dict[str, tuple[Callable[[], bytes], dict[str, object]]] = {
    "bvh": (bvh_file, {"skeleton": SKELETON, "unit": "m", "up": "y"}),
    "c3d": (marker_file, {"skeleton": SKELETON, "unit": "mm", "up": "z"}),
}


@with_count
@pytest.mark.parametrize("name", BINARY_FORMATS)
def test_broken_motion_capture(name, num_broken):
    build, options = BINARY_FORMATS[name]
    capture = make_capture(**options)
    refusals = set()
    for seed in range(num_broken):
        rng = random.Random(seed)
        data = build()
        if name == "c3d" or rng.random() < 0.5:
            data = break_bytes(data, rng)
        else:
            words = data.decode().split(" ")
            words[rng.randrange(len(words))] = str(rng.choice(VALUES))
            data = " ".join(words).encode()
        refusals.add(check(data, f"a.{name}", capture))
    assert len(refusals) > num_broken / 10, "expected many kinds of damage"


@pytest.mark.parametrize("name", BINARY_FORMATS)
def test_the_unbroken_motion_is_read(name):
    build, options = BINARY_FORMATS[name]
    assert read_frames(build(), f"a.{name}", make_capture(**options))[0].any()


@with_count
def test_broken_frames_of_openpose(tmp_path, num_broken):
    capture = make_capture(layout="openpose25", unit="px", up="-y")
    refusals = set()
    for seed in range(num_broken):
        rng = random.Random(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        for number in range(3):
            name = f"a_{number}_keypoints.json"
            if rng.random() < 0.2:
                name = rng.choice(("a_1_KEYPOINTS.json", "a_01_keypoints.json", "b.json", "3.json"))
            data = document(POSE)
            (folder / name).write_bytes(break_bytes(data, rng) if rng.random() < 0.5 else data)
        for recording in group_recordings(find_raw_files(folder, (".json",))):
            try:
                data = recording.read()
            except RawFileError as error:
                refusals.add(str(error).removeprefix(str(folder)))
            else:
                refusals.add(check(data, recording.where, capture))
    assert len(refusals) > num_broken / 10, "expected many kinds of damage"
