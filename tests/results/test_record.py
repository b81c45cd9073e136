"""What identifies an evaluation, and how rows and files name it."""

import pytest

from scdnet.results.record import BASELINES, EvaluationRecord, Result, hash_settings
from tests.results.records import BASE, RANDOM_INIT, RAW, make_record, make_result

FUSION = {"protocol": "fusion", "fusion_weights": (1.0, 1.0)}


def test_every_key_has_a_meaning():
    assert list(EvaluationRecord.keys_by_name()) == list(EvaluationRecord.model_fields)
    assert set(Result.keys_by_name()) - set(EvaluationRecord.keys_by_name()) == {"metric", "value"}


@pytest.mark.parametrize(
    "change",
    [
        {"checkpoint": "/moved/last.pt"},
        {"config": "other.yaml"},
        {"display_name": "renamed"},
        # Hashes of the weights and of the store that is evaluated on identify these.
        {"pretrained_sha256": "b"},
        {"store": "ntu60"},
    ],
)
def test_names_do_not_identify_an_evaluation(change: dict):
    assert make_record(**change).identity == make_record().identity
    assert make_result(1.0, metric="top5").identity == make_result(2.0).identity


@pytest.mark.parametrize(
    "change",
    [
        {"checkpoint_sha256": "b"},
        {"store_sha256": "b"},
        {"settings": "b"},
        {"seed": 3},
        {"eval_seed": 3},
        {"subset": 1},
        {"gallery": "ntu120"},
        {"feature_level": 2},
        RANDOM_INIT,
    ],
)
def test_everything_else_does(change: dict):
    assert make_record(**change).identity != make_record().identity


def test_baselines_are_distinguished_by_their_name():
    assert make_record(**RAW).identity != make_record(**{**RAW, "baseline": "random-init"}).identity


def test_a_line_states_the_keys_that_apply():
    assert make_record().dump() == BASE
    baseline = make_record(**RAW, label_fraction=0.1).dump()
    assert baseline["label_fraction"] == 0.1 and baseline["baseline"] == "raw"
    assert baseline["checkpoint"] is None and "pretrained_on" not in baseline


@pytest.mark.parametrize(
    ("keys", "label"),
    [
        ({"protocol": "knn", "probe": None}, "knn"),
        ({"protocol": "knn", "gallery": "ntu120"}, "knn (gallery ntu120)"),
        ({"protocol": "knn", "feature_level": 2}, "knn (level 2)"),
        ({"probe": "sgd"}, "linear"),
        ({"probe": "logistic"}, "linear (logistic)"),
        ({"probe": "logistic", "feature_level": 3}, "linear (logistic, level 3)"),
        ({"protocol": "semi", "label_fraction": 0.005, "subset": 1}, "semi 0.5 %"),
        ({"protocol": "transfer"}, "transfer"),
        ({**FUSION, "fused": "linear"}, "fusion (linear)"),
        ({**FUSION, "fused": "knn", "fusion_weights": (1.0, 0.5)}, "fusion (knn, 1:0.5)"),
        (
            {**FUSION, "fused": "semi", "label_fraction": 0.1, "subset": 0},
            "fusion (semi 10 %)",
        ),
        ({**FUSION, "fused": "linear", "probe": "logistic"}, "fusion (linear (logistic))"),
        (
            {**FUSION, "fused": "knn", "feature_level": 2, "fusion_weights": (2.0, 1.0)},
            "fusion (knn (level 2), 2:1)",
        ),
    ],
)
def test_a_protocol_is_named_with_its_variant(keys: dict, label: str):
    assert make_record(**keys).protocol_label == label


@pytest.mark.parametrize(
    ("keys", "label"),
    [
        (RANDOM_INIT, "random init"),
        (RAW, "raw views"),
        ({"display_name": "HDC"}, "HDC"),
        ({"pretrained_on": "ntu120"}, "trained on ntu120"),
        ({"pretrained_on": None}, "trained"),
        ({**FUSION, "fused": "knn", "pretrained_on": None}, ""),
    ],
)
def test_an_encoder_is_named_by_what_it_was_trained_on(keys: dict, label: str):
    assert make_record(**keys).encoder_label == label


@pytest.mark.parametrize(
    ("keys", "tag"),
    [
        ({"protocol": "knn"}, "knn"),
        ({"protocol": "knn", "gallery": "other", "feature_level": 2}, "knn_from_other_level2"),
        ({"probe": "logistic"}, "linear_logistic"),
        ({"protocol": "knn", "store": "pku1"}, "knn_pku1"),
        ({"probe": "logistic", "store": "pku1", **RAW}, "linear_pku1_logistic_raw"),
        ({"protocol": "semi", "label_fraction": 0.25, "subset": 1}, "semi_0.25_subset1"),
        ({"feature_level": 2, **RANDOM_INIT}, "linear_level2_random-init"),
        ({"protocol": "knn", **RAW, "baseline": "raw-pca", "stream": "all"}, "knn_raw-pca"),
    ],
)
def test_files_are_named_after_protocol_variant_and_baseline(keys: dict, tag: str):
    assert make_record(**keys).tag == tag


def test_a_row_contains_what_tables_show():
    assert make_record(**RAW).row == (
        "ntu60", "xsub", 16, "linear", "joint", BASELINES["raw"], None, "",
    )  # fmt: skip


def test_a_settings_hash_depends_on_every_value_but_not_on_their_order():
    one = hash_settings({"a": 1, "b": {"c": 2}})
    assert hash_settings({"b": {"c": 2}, "a": 1}) == one
    assert len({one, hash_settings({"a": 1}), hash_settings({"a": 1, "b": {"c": 3}})}) == 3
