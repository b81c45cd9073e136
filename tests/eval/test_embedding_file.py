"""Features of windows: read as written, in three formats, and refused if damaged."""

import csv
import json
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from scdnet.data.checked_file import HEAP_START
from scdnet.errors import ScdnetError
from scdnet.eval import embedding_file
from scdnet.eval.embedding_file import (
    Block,
    EmbeddingOrigin,
    read_chunks,
    read_embedding,
    write_embedding,
)
from scdnet.eval.feature_file import FeatureFileError, read_features
from scdnet.skeletons import NTU_25
from tests.faults import largest_file
from tests.stores import edit, put

ORIGIN = EmbeddingOrigin(
    encoder="runs/é/last.pt",
    encoder_sha256="abc",
    stream="joint",
    skeleton=NTU_25,
    root="raw",
    capture={"unit": "m", "up": "y", "skeleton": NTU_25.to_dict()},
    fps=25.0,
    window=8,
    stride=4,
)


def make_blocks(width: int = 6) -> list[Block]:
    """Return two blocks of one recording and one of another."""
    rng = np.random.default_rng(0)

    def block(source: str, num_frames: int, starts: list[int]) -> Block:
        first = np.array(starts)
        x = rng.normal(size=(len(starts), width)).astype(np.float32)
        return Block(source, num_frames, first, first + 7, x)

    return [
        block("raw/a, b.csv", 30, [0, 4, 8]),
        block("raw/a, b.csv", 30, [12, 22]),
        block("raw/ü.csv", 9, [0, 1]),
    ]


BLOCKS = make_blocks()
X = np.concatenate([block.x for block in BLOCKS])
SOURCES = ["raw/a, b.csv"] * 5 + ["raw/ü.csv"] * 2
FIRST = [0, 4, 8, 12, 22, 0, 1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    assert write_embedding(tmp_path / "f.h5", ORIGIN, BLOCKS) == (7, 6, 2)
    return tmp_path / "f.h5"


def test_what_is_read_is_what_was_written(path: Path):
    found = read_embedding(path)
    assert found.origin == ORIGIN
    assert found.source[found.recording].tolist() == SOURCES
    assert found.num_frames.tolist() == [30, 9]
    assert found.first.tolist() == FIRST
    assert found.last.tolist() == [first + 7 for first in FIRST]
    assert np.array_equal(torch.cat([*read_chunks(found)]), X)


def test_other_programs_find_the_seconds_of_each_window(path: Path):
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["start_seconds"], np.array(FIRST) / 25)
        np.testing.assert_array_equal(file["end_seconds"], (np.array(FIRST) + 8) / 25)
        assert file["source"].asstr()[:][file["recording"][:]].tolist() == SOURCES


def test_chunks_are_read_in_order(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embedding_file, "READ_BYTES", 3 * 6 * 4)
    chunks = [*read_chunks(read_embedding(path))]
    assert [len(chunk) for chunk in chunks] == [3, 3, 1]
    assert np.array_equal(torch.cat(chunks), X)


def test_a_csv_has_a_line_for_each_window_with_every_digit(tmp_path: Path):
    write_embedding(tmp_path / "f.csv", ORIGIN, BLOCKS)
    with (tmp_path / "f.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [row["source"] for row in rows] == SOURCES
    assert [float(row["start_seconds"]) for row in rows] == [first / 25 for first in FIRST]
    assert [int(row["last_frame"]) for row in rows] == [first + 7 for first in FIRST]
    x = [[row[f"feature_{i}"] for i in range(6)] for row in rows]
    np.testing.assert_array_equal(np.array(x, dtype=np.float32), X)


def test_an_npz_contains_the_same(tmp_path: Path):
    write_embedding(tmp_path / "f.npz", ORIGIN, BLOCKS)
    with np.load(tmp_path / "f.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["features"], X)
        assert file["source"].tolist() == SOURCES
        assert file["first_frame"].tolist() == FIRST
        assert json.loads(str(file["origin"]))["encoder_sha256"] == "abc"


def peak_of_writing(path: Path, num_blocks: int, width: int) -> int:
    """Write blocks of 25 windows each; return the largest memory that this took, in bytes."""

    def many() -> Iterator[Block]:
        for number in range(num_blocks):
            first = np.arange(25)
            yield Block("a.csv", 100, first, first + 7, np.full((25, width), number, np.float32))

    tracemalloc.start()
    write_embedding(path, ORIGIN, many())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize(("suffix", "width"), [(".h5", 4000), (".csv", 100)])
def test_memory_does_not_grow_with_the_features(tmp_path: Path, suffix: str, width: int):
    path = tmp_path / f"f{suffix}"
    few, many = (peak_of_writing(path, num_blocks, width) for num_blocks in (8, 40))
    assert many < 1.5 * few
    if suffix == ".h5":
        x = torch.cat([*read_chunks(read_embedding(path))])
        assert torch.equal(x[:, 0], torch.arange(40.0).repeat_interleave(25))


def test_without_a_window_nothing_is_written(path: Path):
    before = path.read_bytes()
    assert write_embedding(path, ORIGIN, []) is None
    assert path.read_bytes() == before


def fail() -> Iterator[Block]:
    yield BLOCKS[0]
    raise ScdnetError("a bad recording")


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".csv"])
def test_after_an_error_the_earlier_file_stays(tmp_path: Path, suffix: str):
    path = tmp_path / f"f{suffix}"
    path.write_text("what was there")
    with pytest.raises(ScdnetError, match="a bad recording"):
        write_embedding(path, ORIGIN, fail())
    assert path.read_text() == "what was there" and [*tmp_path.iterdir()] == [path]


def test_a_full_disk_ends_the_work_at_once(tmp_path: Path):
    used = []

    def endless() -> Iterator[Block]:
        for number in range(1000):
            used.append(number)
            yield BLOCKS[0]._replace(x=np.ones((3, 20_000), np.float32))

    with largest_file(2**21), pytest.raises(ScdnetError, match=r"cannot be written \(File too l"):
        write_embedding(tmp_path / "f.csv", ORIGIN, endless())
    assert len(used) < 20 and not [*tmp_path.iterdir()]


def test_all_texts_are_sealed(path: Path):
    with h5py.File(path) as file:
        blocks = file.attrs["text_blocks"][:, 0].tolist()
    found = [match.start() for match in re.finditer(HEAP_START, path.read_bytes())]
    assert found and blocks == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda file: file.attrs.update(version=9),
            "expected scdnet-embedding of version 1, found scdnet-embedding of 9",
        ),
        (lambda file: put(file, "recording", np.full(7, 2)), r"rows of the recordings 0\.\.1"),
        (lambda file: put(file, "first_frame", np.zeros(3, int)), "expected first of 7 int64"),
        (lambda file: put(file, "last_frame", np.full(7, 9)), "windows within their recordings"),
        (lambda file: file.__delitem__("features"), "not a readable features file .features"),
        (lambda file: file.attrs.__delitem__("fps"), "not a readable features file"),
        (lambda file: file.attrs.update(skeleton="{}"), "not a readable features file"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(path: Path, change, message: str):
    with edit(path) as file:
        change(file)
    with pytest.raises(FeatureFileError, match=message):
        read_embedding(path)


def test_features_that_are_not_finite_are_refused(path: Path):
    with edit(path) as file:
        file["features"][3, 2] = np.nan
    with pytest.raises(FeatureFileError, match="expected finite float32 features"):
        [*read_chunks(read_embedding(path))]


def test_a_missing_or_shortened_file_is_an_error(path: Path, tmp_path: Path):
    with pytest.raises(FeatureFileError, match="no such features file; create it with scdnet emb"):
        read_embedding(tmp_path / "none.h5")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FeatureFileError, match="not a readable features file"):
        read_embedding(path)


def test_features_of_another_kind_are_refused_either_way(path: Path, tmp_path: Path):
    with pytest.raises(FeatureFileError, match=r"scdnet-features .* scdnet-embedding of 1"):
        read_features(path)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update(format="scdnet-features", version=3)
    with pytest.raises(FeatureFileError, match=r"scdnet-features of 3; .*scdnet classify"):
        read_embedding(tmp_path / "a.h5")


def test_a_file_of_whole_recordings_is_read_too(tmp_path: Path):
    origin = replace(ORIGIN, window=0, stride=0, capture={})
    write_embedding(tmp_path / "f.h5", origin, BLOCKS[2:])
    assert read_embedding(tmp_path / "f.h5").origin == origin
