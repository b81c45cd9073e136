"""Search by example from end to end, and the messages for bad input."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from scdnet.commands import embed, search_hits
from scdnet.config_file import load_config
from scdnet.data.store import SkeletonSequence
from scdnet.data.store_writer import StoreWriter
from scdnet.engine.train.pretrain import pretrain
from scdnet.eval import search_index
from scdnet.eval.embedding_file import read_embedding
from scdnet.raw.custom.frames import make_capture
from scdnet.raw.ntu import Body, format_skeleton
from scdnet.raw.positions import Positions
from scdnet.skeletons import NTU_25
from scdnet.synthetic.dataset import SUBJECTS, Take
from scdnet.viz import drawing, render
from tests.commands.uncut import Uncut, join_takes, record
from tests.raw.walker import npz

CAPTURE = ("--layout", "ntu25", "--unit", "m", "--up", "y")
# What one person does: what is searched for (cheer, kick, hop), and all the rest. None is
# much shorter than a window, which would show more of what comes before and after.
SOUGHT = (22, 24, 26)
# Somebody else's are found too.
ALIKE = (22, 24)
OTHERS = (1, 3, 6, 7, 8, 9, 10, 23, 27, 28, 31, 33, 34, 35, 37, 38, 44, 47, 49)
SETUP = 3
# People who pretrain, who fill the uncut recording, and one who is planted in it. One asks.
TRAINING = SUBJECTS[:6]
ASKING = SUBJECTS[3]
FILLING = SUBJECTS[6:16]
PLANTED = SUBJECTS[17]


def pretrain_on_takes(folder: Path, num_steps: int) -> Path:
    """Pretrain the encoder of the demo on some takes."""
    capture = make_capture(layout="ntu25", unit="m", up="y")
    takes = [Take(SETUP, who, 1, what) for who in TRAINING for what in (*SOUGHT, *OTHERS)]
    with StoreWriter(
        folder / "a.h5", skeleton=NTU_25, dataset="ntu60", class_names=("a",), created_by="a test"
    ) as writer:
        for number, take in enumerate(takes):
            frames = Positions("a", record(take)[None], capture).normalize()
            writer.append(SkeletonSequence(frames, f"{number:04}", 0))
        writer.finish({"xsub": np.ones(len(takes), dtype=bool)})
    overrides = [f"data.store={folder}/a.h5", f"runs_dir={folder}", f"optim.steps={num_steps}"]
    return pretrain(load_config(Path("demo"), [*overrides, "device=cpu"]))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain_on_takes(tmp_path_factory.mktemp("pretrained"), 20)


class Planted(NamedTuple):
    """An uncut recording, its features, and where a person does what is sought."""

    recording: Path
    features: Path
    # The seconds of the begin and the end, by action.
    places: dict[int, tuple[float, float]]


def plant(folder: Path, checkpoint: Path, takes: Sequence[Take]) -> Planted:
    """Join takes, with those of somebody else among them once each, and embed them."""
    planted = [Take(SETUP, PLANTED, 1, what) for what in SOUGHT]
    step = len(takes) // (len(planted) + 1)
    mixed = list(takes)
    for number, take in enumerate(planted, start=1):
        mixed.insert(number * step, take)
    uncut: Uncut = join_takes(mixed)
    recording = folder / "uncut.npy"
    np.save(recording, uncut.joints.astype(np.float32))
    features = folder / "features.h5"
    arguments = [recording, "--encoder", checkpoint, "--out", features, *CAPTURE]
    assert embed.main([*map(str, arguments), "--window", "64", "--stride", "16"]) == 0
    seconds = {take.action: uncut.places[mixed.index(take)] for take in planted}
    return Planted(
        recording, features, {what: (a / 30, b / 30) for what, (a, b) in seconds.items()}
    )


def other_takes(num_repeats: int) -> list[Take]:
    takes = [
        Take(SETUP, who, repeat + 1, what)
        for repeat in range(num_repeats)
        for who in FILLING
        for what in OTHERS
    ]
    return [takes[i] for i in np.random.default_rng(0).permutation(len(takes))]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Planted:
    return plant(tmp_path_factory.mktemp("uncut"), checkpoint, other_takes(1))


def query_of(folder: Path, action: int, who: int = ASKING) -> Path:
    """Write a person who does what is sought as a file of its own."""
    path = folder / f"query_{action}.skeleton"
    frames = record(Take(SETUP, who, 1, action))
    path.write_text(format_skeleton([[Body(0, joints)] for joints in frames]))
    return path


def hits_in(out: str) -> list[tuple[str, str, float, float]]:
    """Return cosine, file, begin and end of each line of the table."""
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.lstrip().startswith("----"))
    rows = [line.split() for line in lines[start + 1 :] if line.strip()]
    return [(r[1], r[2], float(r[3]), float(r[5])) for r in rows if r[0].isdigit()]


# Who asks for what: with the very clip, and by doing the same.
ASKED = {PLANTED: SOUGHT, ASKING: ALIKE}


def assert_found(run, planted: Planted, folder: Path, *, who: int) -> None:
    """Check that what somebody asks for is among the first five."""
    for action in ASKED[who]:
        query = query_of(folder, action, who)
        done = run("tools/search.py", query, "--in", planted.features, "--top", 5)
        assert done.status == 0, done.err
        middles = [(a + b) / 2 for _, _, a, b in hits_in(done.out)]
        assert len(middles) == 5
        begin, end = planted.places[action]
        assert any(begin < middle < end for middle in middles), (action, begin, done.out)


@pytest.mark.end_to_end
@pytest.mark.parametrize("who", ASKED, ids=["the clip", "another person"])
def test_what_is_planted_in_an_uncut_recording_is_among_the_first_five(
    run, planted: Planted, tmp_path: Path, who: int
):
    assert len(np.load(planted.recording, mmap_mode="r")) > 9.5 * 60 * 30
    assert_found(run, planted, tmp_path, who=who)


@pytest.mark.slow
def test_what_is_planted_in_an_uncut_hour_is_among_the_first_five(run, tmp_path: Path):
    hour = plant(tmp_path, pretrain_on_takes(tmp_path, 250), other_takes(7))
    assert len(np.load(hour.recording, mmap_mode="r")) > 60 * 60 * 30
    for who in ASKED:
        assert_found(run, hour, tmp_path, who=who)


def test_hits_do_not_overlap_and_their_cosines_fall(run, planted: Planted, tmp_path: Path):
    done = run("tools/search.py", query_of(tmp_path, 24), "--in", planted.features, "--top", 100)
    hits = hits_in(done.out)
    assert len(hits) == 100
    cosines = [float(cosine) for cosine, *_ in hits]
    assert cosines == sorted(cosines, reverse=True)
    places = sorted((begin, end) for *_, begin, end in hits)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(places))
    assert all(end - begin == pytest.approx(64 / 30, abs=0.011) for begin, end in places)


def test_a_part_of_the_recording_finds_itself(run, planted: Planted):
    # The window from frame 320 to frame 383.
    seconds = ("--seconds", f"{320 / 30:.6f}", f"{384 / 30:.6f}")
    options = ("--in", planted.features, "--top", 3, *CAPTURE)
    done = run("tools/search.py", planted.recording, *seconds, *options)
    assert done.status == 0, done.err
    cosine, source, begin, end = hits_in(done.out)[0]
    assert (cosine, source) == ("1.000", str(planted.recording))
    assert (begin, end) == (10.67, 12.80)


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_the_query_is_drawn_first_and_marked_beside_the_hits(
    run, planted: Planted, tmp_path: Path, monkeypatch, suffix: str
):
    drawn = []
    project = render.project
    monkeypatch.setattr(render, "project", lambda one: drawn.append(one) or project(one))
    if suffix == ".gif":
        # Painting is slow and tested elsewhere.
        monkeypatch.setattr(render, "draw_animation", lambda *_: None)
    query = query_of(tmp_path, 24)
    out = tmp_path / f"new/a{suffix}"
    done = run("tools/search.py", query, "--in", planted.features, "--top", 2, "--render", out)
    assert done.status == 0 and done.out.endswith(f"\n\nDrawn in {out}\n"), done.err
    hits = hits_in(done.out)
    assert [one.is_marked for one in drawn] == [True, False, False]
    assert [one.name for one in drawn] == [query.stem, "uncut", "uncut"]
    for one, (cosine, _, begin, end) in zip(drawn[1:], hits, strict=True):
        assert one.class_name == f"{cosine} {begin:.2f} - {end:.2f} s"
        # The hit itself, as if it were a recording of its own.
        first = round(begin * 30)
        joints = np.load(planted.recording)[first : first + 64]
        capture = make_capture(layout="ntu25", unit="m", up="y")
        expected = Positions("a", joints[None].astype(np.float64), capture).normalize()
        np.testing.assert_array_equal(one.frames, expected)
    if suffix == ".png":
        with Image.open(out) as image:
            assert image.width > 100


def test_a_page_shows_the_query_and_the_hits_of_the_table(
    run, planted: Planted, tmp_path: Path, monkeypatch
):
    # A page needs no matplotlib.
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    written = []
    monkeypatch.setattr(search_hits, "write_hits", lambda *page: written.append(page))
    query = query_of(tmp_path, 24)
    out = tmp_path / "new/a.HTML"
    done = run("tools/search.py", query, "--in", planted.features, "--top", 4, "--render", out)
    assert done.status == 0 and done.out.endswith(f"\n\nDrawn in {out}\n"), done.err
    ((path, search, (first, *moments)),) = written
    assert path == out and (search.fps, search.skeleton) == (30, NTU_25)
    assert f"4 most similar of {len(read_embedding(planted.features)):,} win" in search.outcome
    assert search.command.startswith("scdnet search ") and str(out) in search.command
    assert first.file == query.name
    hits = hits_in(done.out)
    for rank, (moment, (cosine, source, begin, end)) in enumerate(
        zip(moments, hits, strict=True), start=1
    ):
        assert moment.title == f"{begin:.2f} - {end:.2f} s"
        assert (moment.file, moment.detail) == (source, f"rank {rank}, cosine {cosine}")
        assert len(moment.frames) == 64


def test_a_page_shows_a_query_of_another_rate_at_its_own_pace(
    run, planted: Planted, tmp_path: Path, monkeypatch
):
    written = []
    monkeypatch.setattr(search_hits, "write_hits", lambda *page: written.append(page))
    part = ("--fps", 60, "--seconds", 2, 4, *CAPTURE)
    options = ("--in", planted.features, "--top", 1, "--render", tmp_path / "a.html")
    done = run("tools/search.py", planted.recording, *options, *part)
    assert done.status == 0, done.err
    ((_, search, (query, _)),) = written
    assert query.detail == "2.00 s" and dict(search.facts)["Query"].endswith(", 2.00 s")
    # Two seconds at the 30 frames per second of the hits: every second one of the query.
    capture = make_capture(layout="ntu25", unit="m", up="y")
    joints = np.load(planted.recording)[120:240].astype(np.float64)
    expected = Positions("a", joints[None], capture).normalize()[::2]
    np.testing.assert_array_equal(query.frames, expected)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("/home/me/runs/tiny/last.pt", "last.pt"),
        ("scdnet-small", "scdnet-small"),
        ("hf://me/walk@v1", "hf://me/walk@v1"),
    ],
)
def test_a_page_names_the_encoder_without_the_directories_of_this_machine(
    planted: Planted, source: str, shown: str
):
    embedding = read_embedding(planted.features)
    origin = replace(embedding.origin, encoder=source)
    described = search_hits.describe_encoder(replace(embedding, origin=origin))
    assert described == f"{shown}, SHA-256 {origin.encoder_sha256[:12]}"


def test_whole_recordings_are_searched_too(run, checkpoint: Path, tmp_path: Path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for action in SOUGHT:
        query_of(folder, action)
    features = tmp_path / "f.h5"
    made = run("tools/embed.py", folder, "--encoder", checkpoint, "--out", features)
    assert made.status == 0, made.err
    query = query_of(tmp_path, 24)
    done = run("tools/search.py", query, "--in", features)
    assert done.out.splitlines()[0].endswith("compared with 3 recordings")
    hits = hits_in(done.out)
    assert len(hits) == 3
    num_frames = int(query.read_text().split("\n", 1)[0])
    assert hits[0] == ("1.000", f"{folder}/query_24.skeleton", 0, round(num_frames / 30, 2))


@pytest.mark.skipif(find_spec("faiss") is None, reason="faiss is not installed")
def test_of_very_many_windows_an_index_proposes_some_and_states_its_recall(
    run, planted: Planted, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(search_index, "MAX_EXACT_ROWS", 500)
    monkeypatch.setattr(search_index, "NUM_SAMPLES", 4)
    features = shutil.copy(planted.features, tmp_path / "f.h5")
    query = query_of(tmp_path, 24)
    options = ("--in", features, "--top", 5)
    exact = run("tools/search.py", query, *options, "--exact")
    assert exact.status == 0 and not (tmp_path / "f.h5.faiss").exists(), exact.err
    done = run("tools/search.py", query, *options)
    assert done.status == 0 and (tmp_path / "f.h5.faiss").exists(), done.err
    (line,) = [line for line in done.out.splitlines() if "index" in line]
    recall = re.search(r"recall@5 is (\d+\.\d) %", line)
    assert recall and 95 < float(recall[1]) <= 100
    assert done.out == exact.out.replace("\n", f"\n{line}\n", 1)
    # An index looks for a hundred hits at most.
    many = run("tools/search.py", query, "--in", features, "--top", 101)
    assert many.status == 0 and "index" not in many.out + many.err


def test_another_encoder_than_that_of_the_features_is_refused(
    run, planted: Planted, trained: Path, tmp_path: Path
):
    query = query_of(tmp_path, 22)
    done = run("tools/search.py", query, "--in", planted.features, "--encoder", trained)
    assert done.status == 2 and not done.out
    assert f"whose hash is not that of {trained}; give the same encoder" in done.err


def test_an_encoder_that_was_moved_is_named_or_given(
    run, planted: Planted, checkpoint: Path, tmp_path: Path
):
    encoder = tmp_path / "moved.pt"
    shutil.copy(checkpoint, encoder)
    features = tmp_path / "f.h5"
    query = query_of(tmp_path, 22)
    run("tools/embed.py", query, "--encoder", encoder, "--out", features)
    encoder.unlink()
    done = run("tools/search.py", query, "--in", features)
    assert done.status == 2 and f"{encoder}: no such encoder, but {features} was made" in done.err
    done = run("tools/search.py", query, "--in", features, "--encoder", checkpoint)
    assert done.status == 0 and hits_in(done.out)[0][0] == "1.000", done.err


@pytest.mark.parametrize("change", ["missing", "shorter"])
def test_a_drawing_needs_the_recordings_as_they_were(
    run, checkpoint: Path, tmp_path: Path, change: str
):
    folder = tmp_path / "raw"
    folder.mkdir()
    frames = record(Take(SETUP, PLANTED, 1, 22))
    (folder / "a.npz").write_bytes(npz(joints=frames))
    query_of(folder, 24)
    features = tmp_path / "f.h5"
    run("tools/embed.py", folder, "--encoder", checkpoint, "--out", features, *CAPTURE)
    assert len(read_embedding(features)) == 2
    if change == "missing":
        (folder / "a.npz").unlink()
    else:
        (folder / "a.npz").write_bytes(npz(joints=frames[1:]))
    query = query_of(tmp_path, 22)
    out = tmp_path / "a.png"
    done = run("tools/search.py", query, "--in", features, "--render", out)
    assert done.status == 2 and not out.exists()
    message = {
        "missing": "a.npz: no such recording any more, but a hit lies in it",
        "shorter": f"a.npz: expected the {len(frames)} frames that were embedded, found "
        f"{len(frames) - 1}; embed",
    }[change]
    assert message in done.err
    # Without a drawing, the recordings are not needed.
    assert run("tools/search.py", query, "--in", features).status == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seconds", 1, 1), "--seconds 1 1: expected a part of the"),
        (("--seconds", 0, 900), "--seconds 0 900: expected a part of the"),
        (("--fps", 30), "--fps is only used with --seconds"),
        (CAPTURE[:2], "--layout: not used for .skeleton files"),
        (("--render", "a.jpg"), "expected a name that ends in .png or .gif"),
    ],
)
def test_options_that_do_not_fit_are_one_line_and_status_2(
    run, planted: Planted, tmp_path: Path, options: tuple, message: str
):
    done = run("tools/search.py", query_of(tmp_path, 22), "--in", planted.features, *options)
    assert done.status == 2 and not done.out
    assert message in done.err and done.err.count("\n") == 1


def test_a_missing_matplotlib_is_named_before_the_work(
    run, planted: Planted, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    options = ("--in", planted.features, "--render", tmp_path / "a.png")
    done = run("tools/search.py", tmp_path / "none.skeleton", *options)
    assert done.status == 2 and "drawing needs matplotlib" in done.err


def test_what_is_no_features_file_is_one_line(run, planted: Planted, tmp_path: Path):
    query = query_of(tmp_path, 22)
    done = run("tools/search.py", query, "--in", query)
    assert done.status == 2 and "not a readable features file" in done.err
    done = run("tools/search.py", tmp_path / "none.skeleton", "--in", planted.features)
    assert done.status == 2 and "none.skeleton: cannot be read" in done.err
