"""Classification of recordings from end to end, and the messages for bad input."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml
from PIL import Image

from scdnet.commands import extract, prepare_ntu
from scdnet.config_file import dump_config
from scdnet.engine.train.pretrain import pretrain
from scdnet.raw.ntu import Body, format_skeleton
from scdnet.viz import drawing, render
from tests.conftest import make_small_config, write_synthetic_store
from tests.raw.walker import csv, npz, walked, walking
from tests.stores import edit

CAPTURE = ("--layout", "ntu25", "--unit", "m", "--up", "y")
QUERY = "S001C001P003R001A002"


class Known(NamedTuple):
    """Walkers of two classes, from recordings to features."""

    # A directory of `.skeleton` files.
    raw: Path
    store: Path
    checkpoint: Path
    features: Path


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> Known:
    directory = tmp_path_factory.mktemp("known")
    raw = directory / "raw"
    raw.mkdir()
    rng = np.random.default_rng(0)
    # Subject 1 is in the training split of x-sub, subject 3 in the test split.
    for subject in (1, 3):
        for replication in (1, 2, 3):
            for action in (1, 2):
                name = f"S001C001P{subject:03}R{replication:03}A{action:03}"
                frames = [[Body(0, joints)] for joints in walker(action, rng)]
                (raw / f"{name}.skeleton").write_text(format_skeleton(frames))
    store = directory / "known.h5"
    arguments = ["--dataset", "ntu60", "--raw", raw, "--out", store, "--workers", 1]
    assert prepare_ntu.main([str(argument) for argument in arguments]) == 0
    config = make_small_config(store, directory / "runs")
    config = config.model_copy(update={"optim": config.optim.model_copy(update={"epochs": 1})})
    known = Known(raw, store, pretrain(config), directory / "features.h5")
    config_path = directory / "config.yaml"
    config_path.write_text(yaml.safe_dump(dump_config(config)))
    arguments = ["-c", config_path, "--checkpoint", known.checkpoint, "--out", known.features]
    extract.main([str(argument) for argument in arguments])
    return known


def walker(action: int, rng: np.random.Generator) -> np.ndarray:
    """Return (T, V, C) in meters, rounded as in a `.skeleton` file; hands are up in action 2."""
    frames = walked() + 0.01 * rng.normal(size=walked().shape)
    hands_tips_thumbs = [7, 11, 21, 22, 23, 24]
    frames[:, hands_tips_thumbs, 1] += 0.8 * (action == 2)
    return frames.round(5)


@pytest.fixture
def classify(run, known):
    def call(recording: Path, *options: object, **changes: Path):
        files = known._replace(**changes)
        given = ("--checkpoint", files.checkpoint, "--features", files.features)
        return run("tools/classify.py", recording, *given, *options)

    return call


@pytest.mark.end_to_end
def test_a_known_recording_has_its_class_and_is_most_similar_to_itself(classify, known):
    done = classify(known.raw / f"{QUERY}.skeleton")
    assert done.status == 0, done.err
    title, _, *rest = done.out.splitlines()
    assert title == (f"{known.raw / QUERY}.skeleton, compared with 12 sequences of 2 classes")
    header, _, first, second, _, columns, _, *neighbors = [line.split() for line in rest]
    assert header == ["probability", "class"]
    assert first[1:] == ["%", "eat", "meal/snack"] and second[1:] == ["%", "drink", "water"]
    assert float(first[0]) > 50
    assert float(first[0]) + float(second[0]) == pytest.approx(100, abs=0.11)
    assert columns == ["similarity", "class", "sequence"]
    assert neighbors[0] == ["1.000", "eat", "meal/snack", QUERY] and len(neighbors) == 5


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_a_custom_recording_is_classified_as_the_skeleton_file_of_the_same(
    classify, known, tmp_path, suffix
):
    rng = np.random.default_rng(0)
    walker(1, rng)
    millimeters = 1000 * walker(2, rng)
    custom = tmp_path / f"custom{suffix}"
    custom.write_bytes(npz(joints=millimeters) if suffix == ".npz" else csv(millimeters))
    found = classify(custom, "--layout", "ntu25", "--unit", "mm", "--up", "y")
    assert found.status == 0, found.err
    expected = classify(known.raw / "S001C001P001R001A002.skeleton")
    assert found.out.splitlines()[1:] == expected.out.splitlines()[1:]


def test_what_reading_warns_of_is_one_line(classify, tmp_path):
    upside_down = walker(2, np.random.default_rng(0)) * [1, -1, -1]
    recording = tmp_path / "upside_down.npz"
    recording.write_bytes(npz(joints=upside_down))
    done = classify(recording, "--layout", "ntu25", "--unit", "m", "--up", "y")
    assert done.status == 0, done.err
    assert re.search(r"^warning: .*the trunk points along -y", done.err, flags=re.MULTILINE)
    assert "UserWarning" not in done.err


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_the_recording_is_drawn_first_and_marked_beside_its_neighbors(
    classify, known, tmp_path, monkeypatch, suffix
):
    drawn = []
    project = render.project
    monkeypatch.setattr(render, "project", lambda one: drawn.append(one) or project(one))
    out = tmp_path / f"new/drawing{suffix}"
    done = classify(known.raw / f"{QUERY}.skeleton", "--render", out)
    assert done.status == 0 and done.out.endswith(f"\n\nDrawn in {out}\n"), done.err
    rows = [line.split() for line in done.out.splitlines()[-7:-2]]
    query, *others = drawn
    assert query.is_marked and query.name == QUERY
    assert re.fullmatch(r"\d+ % eat meal/snack", query.class_name)
    assert [[other.class_name.split()[0], other.name] for other in others] == [
        [row[0], row[-1]] for row in rows
    ]
    assert not any(other.is_marked for other in others)
    # The nearest neighbor of a known recording is itself.
    np.testing.assert_array_equal(others[0].frames, query.frames)
    with Image.open(out) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    is_mark = abs(pixels - (0, 0x9E, 0x73)).sum(axis=-1) < 60
    height = len(is_mark)
    assert is_mark[: height // 2].sum() > 100 and not is_mark[height // 2 + 1 :].any()


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ({"cut.skeleton": "3\n1\n"}, (), r"cut\.skeleton:\d+: expected"),
        ({}, (), r"none\.skeleton: cannot be read: "),
        ({"notes.txt": ""}, (), r"notes\.txt: expected a name that ends in one of \.skeleton, "),
        ({"own.npz": ""}, (), r"own\.npz: expected either layout or skeleton, .* found neither"),
        ({"own.csv": ""}, CAPTURE[:4], r"own\.csv: up missing: expected y or z or -y or -z for "),
        ({"own.npz": "no zip"}, CAPTURE, r"own\.npz: "),
        ({"a.skeleton": ""}, CAPTURE[2:4], r"a\.skeleton: unit is not used for a \.skeleton file"),
        ({"a.skeleton": ""}, ("--store", "moved.h5"), "--store is only used with --render"),
    ],
)
def test_a_recording_that_cannot_be_used_is_one_line_and_status_2(
    classify, tmp_path, content, options, message
):
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    done = classify(tmp_path / next(iter(content), "none.skeleton"), *options)
    assert done.status == 2 and not done.out
    assert re.match(f"error: .*{message}", done.err) and done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("joints", "options", "message"),
    [
        (
            walking("kinect_v1_20"),
            ("kinect_v1_20", *CAPTURE[2:]),
            "but .* of ntu25; add --to ntu25",
        ),
        (
            np.random.default_rng(0).uniform(1, 900, (12, 25, 2)),
            ("openpose25", "--unit", "px", "--up=-y"),
            "but .* of ntu25; expected a recording of ntu25",
        ),
    ],
)
def test_a_recording_of_other_joints_is_refused_with_the_way_out(
    classify, tmp_path, joints, options, message
):
    recording = tmp_path / "own.npz"
    recording.write_bytes(npz(joints=joints))
    done = classify(recording, "--layout", *options)
    assert done.status == 2, done.out
    assert re.match(rf"error: .*own\.npz: has the joints of {options[0]}, {message}", done.err)


def changed(features: Path, out: Path, *, label: int | None = None, **attributes: object) -> Path:
    """Copy a features file and change its attributes, or the labels of all its rows."""
    out.write_bytes(features.read_bytes())
    with edit(out) as file:
        if label is not None:
            file["label"][:] = label
        file.attrs.update(attributes)
    return out


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"checkpoint_sha256": "of another"}, "whose hash is not that of"),
        ({"format": "else"}, "expected scdnet-features of version 2 or 3"),
    ],
)
def test_features_that_cannot_be_used_are_one_line_and_status_2(
    classify, known, tmp_path, attributes, message
):
    features = changed(known.features, tmp_path / "changed.h5", **attributes)
    done = classify(known.raw / f"{QUERY}.skeleton", features=features)
    assert done.status == 2 and not done.out and message in done.err and done.err.count("\n") == 1


def test_unlabeled_features_are_searched_by_example(classify, known, tmp_path, monkeypatch):
    drawn = []
    project = render.project
    monkeypatch.setattr(render, "project", lambda one: drawn.append(one) or project(one))
    features = changed(known.features, tmp_path / "a.h5", label=0, class_names=["unlabeled"])
    recording = known.raw / f"{QUERY}.skeleton"
    done = classify(recording, "--render", tmp_path / "a.png", features=features)
    assert done.status == 0, done.err
    title, _, header, _, *rows = done.out.splitlines()[:9]
    assert title == f"{recording}, compared with 12 sequences"
    assert header.split() == ["similarity", "sequence"]
    assert rows[0].split() == ["1.000", QUERY] and len(rows) == 5
    assert " unlabeled" not in done.out and "probability" not in done.out
    assert drawn[0].is_marked and drawn[0].class_name == "the recording"


def test_a_drawing_needs_the_very_store_of_the_features_wherever_it_is(
    classify, known, tmp_path, monkeypatch
):
    recording = known.raw / f"{QUERY}.skeleton"
    out = tmp_path / "x.png"
    # Painting is slow and tested elsewhere.
    monkeypatch.setattr(render, "draw_strips", lambda *_: None)
    moved = tmp_path / "gone.h5"
    features = changed(known.features, tmp_path / "moved.h5", store=str(moved))
    done = classify(recording, "--render", out, features=features)
    assert done.status == 2 and not done.out
    assert f"{moved}: no such file, but the features were extracted from it" in done.err
    other = write_synthetic_store(tmp_path / "other.h5")
    done = classify(recording, "--render", out, "--store", other, features=features)
    assert done.status == 2 and not done.out
    assert f"{other}: not the store that the features were extracted from" in done.err
    assert not out.exists()
    done = classify(recording, "--render", out, "--store", known.store, features=features)
    assert done.status == 0 and out.exists(), done.err
    # Without a drawing, the store is not needed.
    assert classify(recording, features=features).status == 0


def test_another_kind_of_drawing_or_a_missing_matplotlib_is_refused_before_the_work(
    classify, known, tmp_path, monkeypatch
):
    recording = known.raw / f"{QUERY}.skeleton"
    done = classify(recording, "--render", tmp_path / "x.jpg")
    assert done.status == 2 and not done.out
    assert "expected a name that ends in .png or .gif" in done.err
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    done = classify(recording, "--render", tmp_path / "x.png")
    assert done.status == 2 and not done.out
    assert "drawing needs matplotlib: pip install scdnet[plot]" in done.err
