from dataclasses import replace

import pytest
import torch

from scdnet.errors import ScdnetError
from scdnet.eval.feature_table import FeatureTable, cross_dataset_gallery
from scdnet.skeletons import OPENPOSE_25


@pytest.fixture
def table(random_table: FeatureTable) -> FeatureTable:
    return random_table


def test_the_rows_of_both_splits_are_all_rows_once(table: FeatureTable):
    train = table.rows("xsub", train=True)
    test = table.rows("xsub", train=False)
    assert sorted(torch.cat([train, test]).tolist()) == list(range(16))
    assert table.is_train["xsub"][train].all() and not table.is_train["xsub"][test].any()
    assert torch.equal(table.features(test).x, table.x[test])
    with pytest.raises(
        ScdnetError, match="no benchmark 'xview'; it contains everybody, nobody, xsub"
    ):
        table.rows("xview", train=True)
    with pytest.raises(ScdnetError, match="the training split of benchmark 'nobody' is empty"):
        table.rows("nobody", train=True)


def other_table(table: FeatureTable, **changes) -> FeatureTable:
    return replace(table, x=table.x + 1, store="elsewhere.h5", **changes)


def with_encoder(table: FeatureTable, **changes) -> FeatureTable:
    return replace(table, encoder=table.encoder.model_copy(update=changes))


def test_classes_of_two_stores_are_matched_by_name(table: FeatureTable):
    # Class 0 of the other store is class 1 of this one.
    other = other_table(table, class_names=("class 1", "unknown"))
    gallery, queries = cross_dataset_gallery(other, table, table.rows("xsub", train=False))
    assert set(gallery.y.tolist()) == {1} and torch.equal(gallery.x, other.x[other.label == 0])
    assert set(table.label[queries].tolist()) == {1} and len(queries) == 4


def test_a_query_is_never_in_its_own_gallery(table: FeatureTable):
    message = "8 of its sequences are also queries, such as S001C001P003R001A001"
    with pytest.raises(ScdnetError, match=message):
        cross_dataset_gallery(table, table, table.rows("xsub", train=False))
    noise = 0.02 * table.x.norm(dim=1, keepdim=True) / table.x.shape[1] ** 0.5
    x = table.x + noise * torch.randn_like(table.x)
    in_another_precision = replace(table, x=x, store="elsewhere.h5")
    with pytest.raises(ScdnetError, match="8 of its sequences are also queries"):
        cross_dataset_gallery(in_another_precision, table, table.rows("xsub", train=False))


def test_the_gallery_of_a_trained_encoder_may_be_extracted_otherwise(table: FeatureTable):
    trained = with_encoder(table, baseline=None, checkpoint_sha256="one")
    other = other_table(trained, settings={**table.settings, "precision": "bf16"})
    cross_dataset_gallery(other, trained, table.rows("xsub", train=False))


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpoint_sha256": "other"},
        {"feature_level": 1},
        {"stream": "bone"},
        {"seed": 5},
    ],
)
def test_galleries_of_another_encoder_are_refused(table: FeatureTable, changes: dict):
    rows = table.rows("xsub", train=False)
    with pytest.raises(ScdnetError, match="expected features of the same encoder"):
        cross_dataset_gallery(other_table(with_encoder(table, **changes)), table, rows)


def test_galleries_of_other_settings_or_without_a_common_class_are_refused(table: FeatureTable):
    rows = table.rows("xsub", train=False)
    other = other_table(table, settings={**table.settings, "num_layers": 2})
    with pytest.raises(ScdnetError, match="expected features of the same encoder"):
        cross_dataset_gallery(other, table, rows)
    with pytest.raises(ScdnetError, match="no class name in common"):
        cross_dataset_gallery(other_table(table, class_names=("x", "y")), table, rows)


def test_joints_of_two_skeletons_are_not_compared(table: FeatureTable):
    raw = table.encoder.model_copy(update={"baseline": "raw"})
    table = replace(table, encoder=raw)
    other = other_table(table, skeleton=OPENPOSE_25)
    message = "elsewhere.h5 and .*: expected the same joints, found those of openpose25 and ntu25"
    with pytest.raises(ScdnetError, match=message):
        cross_dataset_gallery(other, table, table.rows("xsub", train=False))
