"""Embedding recordings from end to end, and the messages for bad input."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from scdnet import read_recording
from scdnet.commands import embed
from scdnet.data.clips import evaluation_view
from scdnet.engine.checkpoint import load_encoder
from scdnet.eval.embedding_file import read_chunks, read_embedding
from scdnet.eval.features import encode
from scdnet.files import file_sha256
from scdnet.raw.ntu import Body, format_skeleton
from tests.raw.walker import csv, npz, walk, walking

OPTIONS = {"layout": "ntu25", "unit": "m", "up": "y"}
CAPTURE = ("--layout", "ntu25", "--unit", "m", "--up", "y")


def moving(num_frames: int, seed: int = 0) -> np.ndarray:
    """Return (T, V, C) of somebody who walks on the spot and turns around."""
    body = walk(num_frames)
    angle = np.linspace(0, 1 + seed, num_frames)
    turn = np.zeros((num_frames, 3, 3))
    turn[:, 1, 1] = 1
    turn[:, 0, 0] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 0, 2] = np.sin(angle)
    turn[:, 2, 0] = -np.sin(angle)
    joints = walking("ntu25", num_frames) - body["base of spine"][:, None]
    ahead = np.array([0, 0, 3])
    return np.einsum("tij,tvj->tvi", turn, joints) + ahead


def features_of(checkpoint: Path, path: Path, **options: str) -> np.ndarray:
    """Return the features of a recording, made step by step."""
    encoder = load_encoder(checkpoint)
    sizes = encoder.sizes
    view = evaluation_view(
        read_recording(path, **options),
        "joint",
        num_frames=sizes.num_frames,
        num_bodies=sizes.num_bodies,
        skeleton=encoder.skeleton,
    )
    return encode(encoder, view)[0].numpy()


def read_x(path: Path) -> np.ndarray:
    return torch.cat([*read_chunks(read_embedding(path))]).numpy()


@pytest.fixture
def embed_to(run, trained: Path, tmp_path: Path):
    def call(path: Path, *options: object, out: str = "f.h5", encoder: object = trained):
        arguments = ("--encoder", encoder, "--out", tmp_path / out, *options)
        return run("tools/embed.py", path, *arguments)

    return call


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Recordings of three formats, some in folders of their own."""
    folder = tmp_path / "raw"
    (folder / "deep" / "down").mkdir(parents=True)
    (folder / "a.npz").write_bytes(npz(joints=moving(30)))
    (folder / "deep" / "b.csv").write_bytes(csv(moving(25, 1)))
    bodies = [[Body(0, joints)] for joints in moving(20, 2)]
    (folder / "deep" / "down" / "c.skeleton").write_text(format_skeleton(bodies))
    return folder


def test_a_row_for_each_recording_of_a_folder_at_any_depth(embed_to, raw, trained, tmp_path):
    done = embed_to(raw, *CAPTURE)
    assert done.status == 0, done.err
    assert done.out == (f"Embedded 3, left out 0.\nFeatures: {tmp_path}/f.h5, 3 x 32 float32\n")
    found = read_embedding(tmp_path / "f.h5")
    names = ["a.npz", "deep/b.csv", "deep/down/c.skeleton"]
    assert found.source.tolist() == [f"{raw}/{name}" for name in names]
    assert found.last.tolist() == [29, 24, 19] and found.first.tolist() == [0, 0, 0]
    assert found.origin.encoder_sha256 == file_sha256(trained)
    options = [OPTIONS, OPTIONS, {}]
    expected = [features_of(trained, raw / n, **o) for n, o in zip(names, options, strict=True)]
    np.testing.assert_allclose(read_x(tmp_path / "f.h5"), expected, atol=1e-5)


def test_a_window_has_the_features_of_a_file_of_its_frames(embed_to, raw, trained, tmp_path):
    done = embed_to(raw / "a.npz", *CAPTURE, "--window", 8, "--stride", 5, "--fps", 20)
    assert done.status == 0, done.err
    found = read_embedding(tmp_path / "f.h5")
    assert found.first.tolist() == [0, 5, 10, 15, 20, 22] and found.last[-1] == 29
    assert (found.origin.window, found.origin.stride, found.origin.fps) == (8, 5, 20)
    for first, x in zip(found.first, read_x(tmp_path / "f.h5"), strict=True):
        part = tmp_path / "part.npz"
        part.write_bytes(npz(joints=moving(30)[first : first + 8]))
        np.testing.assert_allclose(x, features_of(trained, part, **OPTIONS), atol=1e-5)


def test_the_formats_contain_the_same_numbers(embed_to, raw, tmp_path):
    for suffix in (".h5", ".npz", ".csv"):
        done = embed_to(raw, *CAPTURE, "--window", 12, out=f"f{suffix}")
        assert done.status == 0, done.err
    x = read_x(tmp_path / "f.h5")
    with np.load(tmp_path / "f.npz") as file:
        np.testing.assert_array_equal(file["features"], x)
    lines = (tmp_path / "f.csv").read_text().splitlines()
    rows = [line.split(",")[5:] for line in lines[1:]]
    np.testing.assert_array_equal(np.array(rows, dtype=np.float32), x)
    # Windows lie a quarter of their length apart.
    assert read_embedding(tmp_path / "f.h5").first.tolist()[:3] == [0, 3, 6]


def test_a_recording_is_read_once_and_its_windows_are_encoded_in_batches(
    embed_to, tmp_path, monkeypatch
):
    num_read = []
    read = embed.read_positions
    monkeypatch.setattr(embed, "read_positions", lambda *one: num_read.append(1) or read(*one))
    sizes = []
    encode_windows = embed.WindowEncoder.embed

    def note(self, clips, device):
        sizes.append(len(clips))
        return encode_windows(self, clips, device)

    monkeypatch.setattr(embed.WindowEncoder, "embed", note)
    (tmp_path / "long.npz").write_bytes(npz(joints=moving(150)))
    done = embed_to(tmp_path / "long.npz", *CAPTURE, "--window", 8, "--stride", 1)
    assert done.status == 0, done.err
    assert len(num_read) == 1
    assert sizes == [64, 64, 15]


def test_bad_files_of_a_folder_are_left_out_with_a_line_each(embed_to, raw, tmp_path):
    (raw / "bad.csv").write_text("no numbers\n")
    (raw / "empty.npz").write_bytes(b"")
    done = embed_to(raw, *CAPTURE, "--window", 22)
    assert done.status == 0, done.err
    assert done.out.startswith("Embedded 2, left out 3.\n")
    lines = [line for line in done.err.splitlines() if line.startswith("warning: left out: ")]
    assert [re.search(r"(\w+\.\w+):", line)[1] for line in lines] == [
        "bad.csv",
        "c.skeleton",
        "empty.npz",
    ]
    assert "expected at least the 22 frames of a window, found 20" in lines[1]
    assert len(read_embedding(tmp_path / "f.h5").source) == 2


def test_a_folder_of_bad_files_is_status_1_and_leaves_the_earlier_features(embed_to, tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "bad.csv").write_text("no numbers\n")
    (tmp_path / "f.h5").write_text("what was there")
    done = embed_to(folder, *CAPTURE)
    assert done.status == 1
    assert done.out == "Embedded 0, left out 1.\nNo features written.\n"
    assert (tmp_path / "f.h5").read_text() == "what was there"


def test_windows_without_anybody_are_left_out_and_counted(embed_to, tmp_path):
    frames = moving(40)
    frames[10:30] = 0
    (tmp_path / "a.npz").write_bytes(npz(joints=frames))
    done = embed_to(tmp_path / "a.npz", *CAPTURE, "--window", 8, "--stride", 4)
    assert done.status == 0, done.err
    assert "3 of 9 windows left out, the first because of" in done.err
    assert "no body in the frames 12 to 19" in done.err
    assert read_embedding(tmp_path / "f.h5").first.tolist() == [0, 4, 8, 24, 28, 32]


def test_joints_are_mapped_to_those_of_the_encoder(embed_to, tmp_path, trained):
    (tmp_path / "a.npz").write_bytes(npz(joints=walking("kinect_v1_20")))
    own = {"layout": "kinect_v1_20", "unit": "m", "up": "y"}
    done = embed_to(tmp_path / "a.npz", *(word for k, v in own.items() for word in (f"--{k}", v)))
    assert done.status == 0, done.err
    expected = features_of(trained, tmp_path / "a.npz", **own, to="ntu25")
    np.testing.assert_allclose(read_x(tmp_path / "f.h5")[0], expected, atol=1e-5)


@pytest.fixture
def diverged(trained: Path, tmp_path: Path) -> Path:
    state = torch.load(trained, weights_only=False)
    for name, weight in state["model"].items():
        if name.startswith("query.encoder.temporal_path"):
            weight.fill_(np.nan)
    torch.save(state, tmp_path / "diverged.pt")
    return tmp_path / "diverged.pt"


def test_weights_that_are_nan_are_one_line(embed_to, raw, diverged, tmp_path):
    done = embed_to(raw, *CAPTURE, encoder=diverged)
    assert done.status == 2 and not (tmp_path / "f.h5").exists()
    assert "diverged.pt: the encoder outputs features that are not finite" in done.err


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.npz", (), r"a\.npz: expected either layout or skeleton"),
        ("a.npz", CAPTURE[:4], r"a\.npz: up missing"),
        ("a.npz", (*CAPTURE, "--window", 31), "expected at least the 31 frames of a window, foun"),
        ("a.npz", (*CAPTURE, "--stride", 3), "--stride is only used with --window"),
        ("deep/down", CAPTURE[2:4], r"--unit: not used for \.skeleton files"),
        ("none", CAPTURE, "none: no such folder or zip"),
        ("deep/down/empty", CAPTURE, r"empty: contains no file that ends in \.skeleton or"),
        ("bad.csv", CAPTURE, r"bad\.csv: expected a line for each frame"),
        ("flat.npz", ("--layout", "openpose25", "--unit", "px", "--up=-y"), "joints of openpose25"),
    ],
)
def test_what_cannot_be_embedded_is_one_line_and_status_2(
    embed_to, raw, tmp_path, name, options, message
):
    (raw / "deep/down/empty").mkdir()
    (raw / "bad.csv").write_text("no numbers\n")
    (raw / "flat.npz").write_bytes(npz(np.random.default_rng(0).uniform(1, 900, (12, 25, 2))))
    done = embed_to(raw / name, *options)
    assert done.status == 2 and not done.out
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and re.search(message, errors[0]), done.err
    assert not (tmp_path / "f.h5").exists()


def test_an_output_that_cannot_be_is_refused_before_the_work(embed_to, raw, tmp_path):
    done = embed_to(raw, *CAPTURE, out="f.txt")
    assert done.status == 2 and "expected a name that ends in .h5 or .npz or .csv" in done.err
    before = (raw / "deep/b.csv").read_bytes()
    done = embed_to(raw, *CAPTURE, out="raw/deep/b.csv")
    assert done.status == 2 and "is one of the recordings, which would be overwritten" in done.err
    assert (raw / "deep/b.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("encoder", "message"),
    [("none.pt", "none.pt: no such checkpoint"), (".", "it contains no config.json")],
)
def test_an_encoder_that_cannot_be_used_is_one_line(embed_to, raw, encoder, message):
    done = embed_to(raw, *CAPTURE, encoder=encoder)
    assert done.status == 2 and message in done.err


def test_an_exported_encoder_gives_the_same_features_under_its_own_hash(
    run, embed_to, raw, trained, tmp_path
):
    exported = tmp_path / "exported"
    done = run("tools/export.py", trained.parent, "--out", exported)
    assert done.status == 0, done.err
    for out, encoder in (("a.h5", trained), ("b.h5", exported)):
        assert embed_to(raw, *CAPTURE, out=out, encoder=encoder).status == 0
    np.testing.assert_array_equal(read_x(tmp_path / "a.h5"), read_x(tmp_path / "b.h5"))
    found = read_embedding(tmp_path / "b.h5").origin.encoder_sha256
    assert found == file_sha256(exported / "model.safetensors")
