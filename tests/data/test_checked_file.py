"""A bit that is flipped anywhere in a store or a features file is found, or changes nothing."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from scdnet.data.checked_file import LIBVER, seal_texts, verify_texts, write_dataset
from scdnet.data.store import open_sequences
from scdnet.eval.embedding_file import Block, EmbeddingOrigin, write_embedding
from scdnet.eval.feature_file import write_features
from scdnet.eval.feature_table import FeatureTable, read_store_table
from scdnet.results.record import EncoderRecord
from scdnet.skeletons import NTU_25
from tests.conftest import write_synthetic_store
from tests.data.flips import flip_bits
from tests.faults import FORKING


def write_file(kind: str, directory: Path) -> Path:
    """Write a small store, or random features of one or of windows."""
    if kind == "embedding":
        return write_windows(directory / "windows.h5")
    store = write_synthetic_store(directory / "store.h5", per_split=2, frames=110)
    if kind == "store":
        return store
    table = vars(read_store_table(store))
    encoder = EncoderRecord(
        feature_level=4,
        checkpoint="last.pt",
        checkpoint_sha256="a",
        stream="joint",
        seed=0,
        epoch=1,
    )
    x = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    path = directory / "features.h5"
    write_features(path, FeatureTable(**table, encoder=encoder, settings={"a": 1}, x=x))
    return path


def write_windows(path: Path) -> Path:
    origin = EmbeddingOrigin("last.pt", "a", "joint", NTU_25, "raw", {"unit": "m"}, 30.0, 8, 4)
    first = 4 * np.arange(200)
    x = np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32)
    write_embedding(path, origin, [Block("a.csv", 900, first, first + 7, x)])
    return path


def flip(kind: str, directory: Path, count: int) -> None:
    """Flip bits in a process of its own, as a crash ends it."""
    path = write_file(kind, directory)
    process = FORKING.Process(target=flip_bits, args=(kind, path, count))
    process.start()
    process.join()
    assert process.exitcode == 0


needs_fork = pytest.mark.skipif(os.name == "nt", reason="no fork")


@needs_fork
@pytest.mark.parametrize("kind", ["store", "features", "embedding"])
def test_a_flipped_bit_is_found_or_changes_nothing(kind: str, tmp_path: Path):
    flip(kind, tmp_path, 20)


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["store", "features", "embedding"])
def test_of_2000_flipped_bits_each_is_found_or_changes_nothing(kind: str, tmp_path: Path):
    flip(kind, tmp_path, 2000)


@pytest.mark.parametrize(
    ("kind", "expected"), [("store", ["frames"]), ("features", []), ("embedding", [])]
)
def test_all_datasets_but_frames_have_checksums_of_hdf5(
    kind: str, expected: list[str], tmp_path: Path
):
    without = []

    def visit(key: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and not item.fletcher32:
            without.append(key)

    with h5py.File(write_file(kind, tmp_path)) as file:
        file.visititems(visit)
    assert without == expected


def test_texts_are_written_as_utf_8_of_fixed_length(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w", libver=LIBVER) as file:
        write_dataset(file, "name", np.array(["é", "", "long name"]))
        assert file["name"].asstr()[:].tolist() == ["é", "", "long name"]
        assert h5py.check_string_dtype(file["name"].dtype).length == 9


def test_a_text_that_was_changed_after_sealing_is_refused(tmp_path: Path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=LIBVER) as file:
        file.attrs["text"] = "some text"
        file.attrs["version"] = 1
        seal_texts(file, path)
        verify_texts(file, path, version=1)
    path.write_bytes(path.read_bytes().replace(b"some text", b"same text"))
    with h5py.File(path) as file, pytest.raises(ValueError, match="do not match text_sha256"):
        verify_texts(file, path, version=1)


def test_a_store_without_checksums_of_the_version_before_is_read(tmp_path: Path):
    path = write_file("store", tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 2
        del file.attrs["text_blocks"], file.attrs["text_sha256"], file["frames_crc32"]
    with open_sequences(path) as store:
        assert store.version == 2 and len(store) == 4
