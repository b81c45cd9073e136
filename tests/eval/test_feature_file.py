"""Features files: read as written, and refused if damaged or of another origin."""

import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from scdnet.config import Config
from scdnet.data.checked_file import HEAP_START
from scdnet.errors import ScdnetError
from scdnet.eval.feature_file import (
    FeatureFileError,
    read_features,
    write_features,
)
from scdnet.eval.feature_table import FeatureTable
from scdnet.eval.features import extraction_settings
from scdnet.eval.inputs import Inputs, check_origin
from scdnet.files import DOWNLOAD_FAULTS
from tests.engine.runs import changed
from tests.eval.points import inputs_of
from tests.faults import FORKING, largest_file
from tests.stores import edit, put


@pytest.fixture
def path(random_table: FeatureTable, tmp_path: Path) -> Path:
    write_features(tmp_path / "features.h5", random_table)
    return tmp_path / "features.h5"


def test_what_is_read_is_what_was_written(random_table: FeatureTable, path: Path):
    table = random_table
    read = read_features(path)
    for key in ("x", "label", "name"):
        assert np.array_equal(getattr(read, key), getattr(table, key))
    assert {key: value.tolist() for key, value in read.is_train.items()} == {
        key: value.tolist() for key, value in table.is_train.items()
    }
    for key in (
        "class_names",
        "dataset",
        "store",
        "store_sha256",
        "encoder",
        "settings",
        "skeleton",
    ):
        assert getattr(read, key) == getattr(table, key)


def test_features_are_written_without_a_copy_in_memory(random_table: FeatureTable, tmp_path: Path):
    path = tmp_path / "f.h5"
    # 20 MB.
    wide = replace(
        random_table, x=torch.rand(len(random_table.x), 5_000_000 // len(random_table.x))
    )
    tracemalloc.start()
    write_features(path, wide)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 19e6 > 10 * peak
    assert torch.equal(read_features(path).x, wide.x)


def test_all_texts_of_a_features_file_are_sealed(path: Path):
    with h5py.File(path) as file:
        blocks = file.attrs["text_blocks"][:, 0].tolist()
    found = [match.start() for match in re.finditer(HEAP_START, path.read_bytes())]
    assert found and blocks == found


def write_with_less_room(path: Path, table: FeatureTable) -> None:
    """Write with every so many bytes too few; the earlier file stays as it was."""
    before = path.read_bytes()
    size = len(before)
    for missing in [*range(1, size, max(1, size // 60)), size]:
        with largest_file(size - missing), pytest.raises(ScdnetError) as error:
            write_features(path, table)
        assert re.search(
            rf"{re.escape(str(path))}: cannot be written \(File too large\); nothing was changed; "
            r"at least [\d,]+ bytes are needed, [\d,]+ bytes are free there",
            str(error.value),
        )
        assert path.read_bytes() == before
        assert [*path.parent.iterdir()] == [path]


def test_a_disk_that_is_full_at_any_byte_is_one_error_and_leaves_the_earlier_features(
    random_table: FeatureTable, path: Path
):
    # A process of its own: a crash of HDF5 would end this one.
    writer = FORKING.Process(target=write_with_less_room, args=(path, random_table))
    writer.start()
    writer.join()
    assert writer.exitcode == 0


def test_the_origin_of_a_trained_encoder_is_kept(
    trained_config: Config, checkpoint: Path, tmp_path: Path
):
    inputs = inputs_of(trained_config, checkpoint)
    write_features(tmp_path / "f.h5", inputs.extract())
    table = read_features(tmp_path / "f.h5")
    assert table.encoder == inputs.record and table.encoder.pretrained_on == "synthetic"
    check_origin(tmp_path / "f.h5", table, inputs)
    with h5py.File(tmp_path / "f.h5") as file:
        assert file.attrs["checkpoint_sha256"] == inputs.record.checkpoint_sha256
        assert file.attrs["store_sha256"] == inputs.store.store_sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 3}, "its seed is 0, expected 3; recreate it"),
        ({"stream": "bone"}, "its stream is joint, expected bone"),
        ({"feature_level": 2}, "its feature_level is 4, expected 2"),
    ],
)
def test_features_of_another_encoder_are_refused(
    path: Path, random_inputs: Inputs, change: dict, message: str
):
    other = random_inputs._replace(record=random_inputs.record.model_copy(update=change))
    with pytest.raises(FeatureFileError, match=message):
        check_origin(path, read_features(path), other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "bf16"}, "its precision is fp32, expected bf16"),
        ({"data": {"num_bodies": 1}}, "its num_bodies is 2, expected 1"),
        ({"data": {"num_frames": 32}}, "its num_frames is 16, expected 32"),
        ({"data": {"cache_dtype": "float16"}}, "its cache_dtype is float32, expected float16"),
        ({"model": {"embed_dim": 32}}, "its embed_dim is 16, expected 32"),
    ],
)
def test_features_with_other_settings_are_refused(
    path: Path, trained_config: Config, random_inputs: Inputs, changes: dict, message: str
):
    settings = extraction_settings(changed(trained_config, **changes))
    with pytest.raises(FeatureFileError, match=message):
        check_origin(path, read_features(path), random_inputs._replace(settings=settings))


def test_features_of_another_checkpoint_or_store_are_refused(
    path: Path, trained_config: Config, random_inputs: Inputs, checkpoint: Path
):
    table = read_features(path)
    with pytest.raises(FeatureFileError, match="its baseline is random-init, expected None"):
        check_origin(path, table, inputs_of(trained_config, checkpoint))
    with edit(path) as file:
        file.attrs["store_sha256"] = "another"
    with pytest.raises(FeatureFileError, match="its store_sha256 is another, expected "):
        check_origin(path, read_features(path), random_inputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda file: file.attrs.update(version=9),
            "expected scdnet-features of version 2 or 3, found scdnet-features of 9",
        ),
        (
            lambda file: put(file, "label", np.zeros(3, int)),
            r"expected label of 16 rows, found \(3,\)",
        ),
        (lambda file: put(file, "label", np.full(16, 7)), r"expected labels in 0\.\.1"),
        (
            lambda file: put(file, "split/xsub", np.zeros(2, bool)),
            "expected split/xsub of 16 rows",
        ),
        (lambda file: put(file, "name", ["same"] * 16), "expected sorted, unique names"),
        (
            lambda file: put(file, "features", np.full((16, 32), np.nan, np.float32)),
            "expected finite float32 features",
        ),
        (lambda file: file.__delitem__("features"), "not a readable features file"),
        (lambda file: file.attrs.update(seed="x"), "not a readable features file"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(path: Path, change, message: str):
    with edit(path) as file:
        change(file)
    with pytest.raises(FeatureFileError, match=message):
        read_features(path)


def test_a_missing_or_truncated_file_is_an_error(path: Path, tmp_path: Path):
    with pytest.raises(
        FeatureFileError, match="no such features file; create it with scdnet extract"
    ):
        read_features(tmp_path / "none.h5")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FeatureFileError, match="not a readable features file"):
        read_features(path)


@pytest.mark.parametrize("kind", DOWNLOAD_FAULTS)
def test_what_a_failed_download_leaves_is_named(tmp_path: Path, kind: bytes):
    path = tmp_path / "features.h5"
    path.write_bytes(b"\xef\xbb\xbf" + kind + b" and more")
    fault = re.escape(DOWNLOAD_FAULTS[kind])
    with pytest.raises(FeatureFileError, match=f"expected a features file, found {fault}"):
        read_features(path)
