"""`tools/classify.py` from end to end, and what it says to bad input."""

import re
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest
from PIL import Image

from scdnet.commands import inspect_store as inspect_store
from scdnet.commands import prepare_ntu as ntu_gendata
from scdnet.engine.train.pretrain import pretrain
from scdnet.eval.feature_file import write_features
from scdnet.eval.feature_table import extract_table
from scdnet.raw.skeleton_file import Body, format_skeleton
from tests.conftest import make_small_config, write_synthetic_store
from tests.raw.walker import csv, npz, walked

OWN = ("--layout", "ntu25", "--unit", "m", "--up", "y")
ASKED = "S001C001P003R001A002"


class Known(NamedTuple):
    """Walkers of two classes from recording to features."""

    raw: Path  # folder of `.skeleton` files
    store: Path
    checkpoint: Path
    features: Path


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> Known:
    folder = tmp_path_factory.mktemp("known")
    (folder / "raw").mkdir()
    rng = np.random.default_rng(0)
    for subject in (1, 3):  # training and test of x-sub
        for replication in (1, 2, 3):
            for action in (1, 2):
                frames = walker(action, rng)
                name = f"S001C001P{subject:03}R{replication:03}A{action:03}"
                (folder / f"raw/{name}.skeleton").write_text(
                    format_skeleton([[Body(0, joints)] for joints in frames])
                )
    store = folder / "known.h5"
    arguments = ["--dataset", "ntu60", "--raw", folder / "raw", "--out", store, "--workers", 1]
    assert ntu_gendata.main([str(argument) for argument in arguments]) == 0
    config = make_small_config(store, folder / "runs")
    known = Known(folder / "raw", store, pretrain(config), folder / "features.h5")
    write_features(known.features, extract_table(config, str(known.checkpoint)))
    return known


def walker(action: int, rng: np.random.Generator) -> np.ndarray:
    """(T, V, C) metres, as a `.skeleton` file has them: to five places. Action 2 has its hands up."""
    frames = walked() + 0.01 * rng.normal(size=walked().shape)
    frames[:, [7, 11, 21, 22, 23, 24], 1] += 0.8 * (action == 2)  # hands, their tips and thumbs
    return frames.round(5)


@pytest.fixture
def classify(run, known):
    def call(recording: Path, *options: object, **changes: Path):
        files = known._replace(**changes)
        return run(
            "tools/classify.py",
            recording,
            "--checkpoint",
            files.checkpoint,
            "--features",
            files.features,
            *options,
        )

    return call


@pytest.mark.end_to_end
def test_a_known_recording_is_of_its_class_and_most_similar_to_itself(classify, known):
    done = classify(known.raw / f"{ASKED}.skeleton")
    assert done.status == 0, done.err
    title, _, head, first, second, _, columns, *neighbours = done.out.splitlines()
    assert title == f"{known.raw / ASKED}.skeleton, by 12 known sequences of 2 classes"
    chances = [re.fullmatch(r" +([\d.]+) %  (.+)", line).groups() for line in (first, second)]
    assert [name for _, name in chances] == ["eat meal/snack", "drink water"]
    assert float(chances[0][0]) > 50 and sum(
        float(chance) for chance, _ in chances
    ) == pytest.approx(100, abs=0.11)
    assert head.split() == ["probability", "class"] and columns.split() == [
        "similarity",
        "class",
        "sequence",
    ]
    assert neighbours[0].split() == ["1.000", "eat", "meal/snack", ASKED] and len(neighbours) == 5


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_an_own_recording_is_answered_as_the_skeleton_file_of_the_same(
    classify, known, tmp_path, suffix
):
    rng = np.random.default_rng(0)
    frames = [walker(action, rng) for action in (1, 2)][1]  # the second that was made
    own = tmp_path / f"own{suffix}"
    own.write_bytes(npz(joints=1000 * frames) if suffix == ".npz" else csv(1000 * frames))
    answer = classify(own, "--layout", "ntu25", "--unit", "mm", "--up", "y")
    assert answer.status == 0, answer.err
    skeleton = classify(known.raw / "S001C001P001R001A002.skeleton")
    assert answer.out.splitlines()[1:] == skeleton.out.splitlines()[1:]


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_the_recording_is_drawn_first_and_marked_beside_its_neighbours(
    classify, known, tmp_path, monkeypatch, suffix
):
    from scdnet.viz import render

    drawn = []
    monkeypatch.setattr(
        render,
        "project",
        lambda drawing, project=render.project: drawn.append(drawing) or project(drawing),
    )
    out = tmp_path / f"new/answer{suffix}"
    done = classify(known.raw / f"{ASKED}.skeleton", "--render", out)
    assert done.status == 0 and done.out.endswith(f"\n\ndrawn in {out}\n"), done.err
    rows = [line.split() for line in done.out.splitlines()[-7:-2]]
    query, *others = drawn
    assert (
        query.is_marked
        and query.name == ASKED
        and re.fullmatch(r"\d+ % eat meal/snack", query.class_name)
    )
    assert [[d.class_name.split()[0], d.name] for d in others] == [
        [row[0], row[-1]] for row in rows
    ]
    assert not any(d.is_marked for d in others)
    np.testing.assert_array_equal(others[0].frames, query.frames)  # itself
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
        (
            {"notes.txt": ""},
            (),
            r"notes\.txt: expected a name that ends in one of \.skeleton, \.npz, \.csv",
        ),
        ({"own.npz": ""}, (), r"own\.npz: --layout is needed for a \.npz file"),
        ({"own.csv": ""}, OWN[:4], r"own\.csv: --up is needed for a \.csv file"),
        ({"own.npz": "no zip"}, OWN, r"own\.npz: "),
        ({"a.skeleton": ""}, OWN[2:4], r"a\.skeleton: --unit is not for a \.skeleton file"),
        (
            {"a.skeleton": ""},
            ("--store", "moved.h5"),
            "--store is for --render, which is not given",
        ),
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


def changed(features: Path, out: Path, **attributes: object) -> Path:
    """A copy of a features file; `label` is one for all its rows."""
    out.write_bytes(features.read_bytes())
    with h5py.File(out, "r+") as file:
        if "label" in attributes:
            file["label"][:] = attributes.pop("label")
        file.attrs.update(attributes)
    return out


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"checkpoint_sha256": "of another"}, "whose hash is not that of"),
        ({"label": 0}, "expected sequences of several classes, found only 'drink water'"),
        ({"format": "else"}, "expected scdnet-features of version 1"),
    ],
)
def test_features_that_do_not_do_are_one_line_and_status_2(
    classify, known, tmp_path, attributes, message
):
    features = changed(known.features, tmp_path / "changed.h5", **attributes)
    done = classify(known.raw / f"{ASKED}.skeleton", features=features)
    assert done.status == 2 and not done.out and message in done.err and done.err.count("\n") == 1


def test_a_picture_needs_the_very_store_of_the_features_wherever_it_is(classify, known, tmp_path):
    recording, out = known.raw / f"{ASKED}.skeleton", tmp_path / "x.png"
    features = changed(known.features, tmp_path / "moved.h5", store=str(tmp_path / "gone.h5"))
    done = classify(recording, "--render", out, features=features)
    assert (
        done.status == 2
        and f"{tmp_path / 'gone.h5'}: the store that the features were made from is not" in done.err
    )
    other = write_synthetic_store(tmp_path / "other.h5")
    done = classify(recording, "--render", out, "--store", other, features=features)
    assert (
        done.status == 2 and f"{other}: not the store that the features were made from" in done.err
    )
    assert not done.out and not out.exists()
    done = classify(recording, "--render", out, "--store", known.store, features=features)
    assert done.status == 0 and out.exists(), done.err
    assert classify(recording, features=features).status == 0  # which it alone needs


def test_a_picture_of_another_kind_or_without_matplotlib_is_refused_before_the_work(
    classify, known, tmp_path, monkeypatch
):
    recording = known.raw / f"{ASKED}.skeleton"
    done = classify(recording, "--render", tmp_path / "x.jpg")
    assert (
        done.status == 2
        and not done.out
        and "expected a name that ends in .png or .gif" in done.err
    )
    monkeypatch.setattr(inspect_store, "find_spec", lambda name: None)
    done = classify(recording, "--render", tmp_path / "x.png")
    assert (
        done.status == 2
        and not done.out
        and "drawing needs matplotlib: pip install scdnet[plot]" in done.err
    )
