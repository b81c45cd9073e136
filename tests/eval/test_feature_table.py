from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from scdnet.engine.train.pretrain import pretrain
from scdnet.errors import ScdnetError
from scdnet.eval.feature_file import FeatureFileError, read_features, write_features
from scdnet.eval.feature_table import cross_dataset_gallery, extract_table


@pytest.fixture
def table(small_config):
    return extract_table(small_config, "none")


@pytest.fixture
def path(table, tmp_path: Path) -> Path:
    write_features(tmp_path / "features.h5", table)
    return tmp_path / "features.h5"


def test_what_is_read_is_what_was_written(table, path, small_config):
    read = read_features(path, like=small_config, checkpoint="none")
    assert torch.equal(read.x, table.x) and torch.equal(read.label, table.label)
    assert read.name.tolist() == table.name.tolist() and read.source == table.source
    assert {key: value.tolist() for key, value in read.is_train.items()} == {
        key: value.tolist() for key, value in table.is_train.items()
    }
    for key in ("class_names", "dataset", "stream", "store", "store_sha256", "extraction_settings"):
        assert getattr(read, key) == getattr(table, key)


def test_the_source_of_a_trained_encoder_is_kept(small_config, tmp_path):
    checkpoint = pretrain(small_config)
    table = extract_table(small_config, str(checkpoint))
    write_features(tmp_path / "f.h5", table)
    source = read_features(tmp_path / "f.h5", like=small_config, checkpoint=str(checkpoint)).source
    assert source == table.source
    assert (source.seed, source.epoch, source.pretrained_on) == (0, 2, small_config.data.store.stem)


def test_features_of_another_checkpoint_store_or_stream_are_refused(
    path, small_config, store_path, tmp_path
):
    other = tmp_path / "other.pt"
    other.write_text("other weights")
    with pytest.raises(FeatureFileError, match="its checkpoint_sha256 is none, expected "):
        read_features(path, like=small_config, checkpoint=str(other))
    with pytest.raises(FeatureFileError, match="its stream is joint, expected bone"):
        read_features(
            path, like=small_config.model_copy(update={"stream": "bone"}), checkpoint="none"
        )
    with h5py.File(store_path, "r+") as store:
        store["frames"][0] += 1
    with pytest.raises(FeatureFileError, match="its store_sha256 is "):
        read_features(path, like=small_config, checkpoint="none")


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        (None, {"seed": 3}, "its seed is 0, expected 3; make it anew"),
        (None, {"precision": "bf16"}, "its precision is fp32, expected bf16"),
        ("data", {"num_bodies": 1}, "its num_bodies is 2, expected 1"),
        ("data", {"num_frames": 32}, "its num_frames is 16, expected 32"),
        ("data", {"cache_dtype": "float16"}, "its cache_dtype is float32, expected float16"),
        ("model", {"embed_dim": 32}, "its embed_dim is 16, expected 32"),
    ],
)
def test_features_of_a_control_made_with_other_values_are_refused(
    path, small_config, section, change, message
):
    if section:
        change = {section: getattr(small_config, section).model_copy(update=change)}
    with pytest.raises(FeatureFileError, match=message):
        read_features(path, like=small_config.model_copy(update=change), checkpoint="none")


def test_a_value_that_is_younger_than_the_file_had_its_default(table, path, small_config):
    older = {
        key: value
        for key, value in table.extraction_settings.items()
        if key not in ("pooling", "feature_level")
    }
    write_features(path, replace(table, extraction_settings=older))
    read_features(path, like=small_config, checkpoint="none")
    with pytest.raises(FeatureFileError, match="its feature_level is 4, expected 2"):
        read_features(
            path, like=small_config.model_copy(update={"feature_level": 2}), checkpoint="none"
        )
    write_features(path, replace(table, extraction_settings={}))  # nothing is known of it
    with pytest.raises(FeatureFileError, match="is None, expected"):
        read_features(path, like=small_config, checkpoint="none")


def change(path: Path, edit) -> None:
    with h5py.File(path, "r+") as file:
        edit(file)


def put(file: h5py.File, key: str, value: object) -> None:
    del file[key]
    file[key] = value


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda f: f.attrs.update(version=9),
            "expected scdnet-features of version 1, found scdnet-features of 9",
        ),
        (lambda f: put(f, "label", np.zeros(3, int)), r"expected label of 16 rows, found \(3,\)"),
        (lambda f: put(f, "label", np.full(16, 7)), r"expected labels in 0\.\.1"),
        (lambda f: put(f, "split/xsub", np.zeros(2, bool)), "expected split/xsub of 16 rows"),
        (lambda f: put(f, "name", ["same"] * 16), "expected names that rise, each once"),
        (
            lambda f: put(f, "features", np.full((16, 32), np.nan, np.float32)),
            "expected finite float32 features",
        ),
        (lambda f: f.__delitem__("features"), "not a readable features file"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(path, edit, message):
    change(path, edit)
    with pytest.raises(FeatureFileError, match=message):
        read_features(path)


def test_a_missing_or_truncated_file_is_an_error(path, tmp_path):
    with pytest.raises(FeatureFileError, match="no such features file"):
        read_features(tmp_path / "none.h5")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FeatureFileError, match="not a readable features file"):
        read_features(path)


def test_the_rows_of_both_splits_are_all_rows_once(table):
    train, test = table.rows("xsub", train=True), table.rows("xsub", train=False)
    assert sorted(torch.cat([train, test]).tolist()) == list(range(16))
    assert torch.equal(table.features(test).x, table.x[8:])


def test_an_unknown_benchmark_and_an_empty_split_are_errors(table):
    with pytest.raises(ScdnetError, match="no benchmark 'xview'; its features have nobody, xsub"):
        table.rows("xview", train=True)
    with pytest.raises(ScdnetError, match="the training split of benchmark 'nobody' is empty"):
        table.rows("nobody", train=True)


def other_table(table, **changes):
    return replace(table, x=table.x + 1, store="elsewhere.h5", **changes)


def test_classes_of_two_stores_are_matched_by_name(table):
    other = other_table(table, class_names=("class 1", "unknown"))  # its 0 is our 1
    gallery, queries = cross_dataset_gallery(other, table, table.rows("xsub", train=False))
    assert set(gallery.y.tolist()) == {1} and torch.equal(gallery.x, other.x[other.label == 0])
    assert set(table.label[queries].tolist()) == {1} and len(queries) == 4


def test_a_query_is_never_in_its_own_gallery(table):
    with pytest.raises(
        ScdnetError, match="8 of its sequences are queries too, S001C001P003R001A001 for one"
    ):
        cross_dataset_gallery(table, table, table.rows("xsub", train=False))
    noise = 0.02 * table.x.norm(dim=1, keepdim=True) / table.x.shape[1] ** 0.5
    in_another_precision = replace(
        table, x=table.x + noise * torch.randn_like(table.x), store="elsewhere.h5"
    )
    with pytest.raises(ScdnetError, match="8 of its sequences are queries too"):
        cross_dataset_gallery(in_another_precision, table, table.rows("xsub", train=False))


def test_a_gallery_of_another_level_is_refused(table):
    trained = replace(table, source=table.source._replace(sha256="one"))
    other = other_table(
        trained, extraction_settings={**table.extraction_settings, "feature_level": 1}
    )
    with pytest.raises(ScdnetError, match="expected features of one encoder"):
        cross_dataset_gallery(other, trained, table.rows("xsub", train=False))


def test_galleries_of_another_encoder_or_without_a_common_class_are_refused(table):
    rows = table.rows("xsub", train=False)
    with pytest.raises(ScdnetError, match="expected features of one encoder"):
        cross_dataset_gallery(
            other_table(table, source=table.source._replace(sha256="other")), table, rows
        )
    for other in (
        {"extraction_settings": {**table.extraction_settings, "stream": "bone"}},
        {"source": table.source._replace(seed=5)},
    ):
        with pytest.raises(ScdnetError, match="expected features of one encoder"):
            cross_dataset_gallery(other_table(table, **other), table, rows)
    with pytest.raises(ScdnetError, match="no class of one name"):
        cross_dataset_gallery(other_table(table, class_names=("x", "y")), table, rows)
