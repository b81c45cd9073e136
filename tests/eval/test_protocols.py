"""What protocols record and skip, on features without an encoder."""

from pathlib import Path

import pytest
import torch

from scdnet.config import LinearConfig
from scdnet.eval.feature_table import FeatureTable
from scdnet.eval.protocols import Context, evaluate_knn, evaluate_linear
from scdnet.results.record import EncoderRecord
from scdnet.results.results_file import RESULTS, read_results
from scdnet.skeletons import NTU_25
from tests.eval.points import synthetic

ENCODER = EncoderRecord(
    feature_level=4,
    checkpoint="last.pt",
    checkpoint_sha256="ab",
    stream="joint",
    seed=0,
    epoch=2,
)


@pytest.fixture
def table() -> FeatureTable:
    x, y = synthetic(30, seed=0)
    return FeatureTable(
        store="data/synthetic.h5",
        store_sha256="cd",
        skeleton=NTU_25,
        dataset="ntu60",
        class_names=("a", "b", "c"),
        name=torch.arange(10, 40).numpy().astype(str),
        label=y,
        is_train={"xsub": torch.arange(30) < 20},
        x=x,
        encoder=ENCODER,
        settings={"precision": "fp32"},
    )


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context("xsub", 0, torch.device("cpu"), "small.yaml", tmp_path, skip=True)


def test_an_evaluation_is_recorded_with_what_it_depends_on(table: FeatureTable, context: Context):
    metrics = evaluate_linear(table, context, LinearConfig(optim={"epochs": 2}))
    results = read_results(context.run_dir / RESULTS)
    assert {result.metric: result.value for result in results} == metrics
    record = results[0]
    assert (record.protocol, record.probe, record.eval_seed) == ("linear", "sgd", 0)
    assert (record.dataset, record.benchmark, record.num_test) == ("ntu60", "xsub", 10)
    assert (record.checkpoint_sha256, record.store_sha256) == ("ab", "cd")
    assert record.config == "small.yaml"


def test_what_is_recorded_is_skipped_unless_a_setting_changes(
    table: FeatureTable, context: Context, capsys: pytest.CaptureFixture
):
    def num_skipped(**changes: object) -> int:
        evaluate_knn(table, context)
        evaluate_linear(table, context, LinearConfig(**{"optim": {"epochs": 2}, **changes}))
        return capsys.readouterr().err.count("Already evaluated, skipping.")

    assert [num_skipped(), num_skipped(), num_skipped(batch_size=7)] == [0, 2, 1]


def test_streams_have_the_same_settings(table: FeatureTable, context: Context):
    evaluate_knn(table, context)
    bone = FeatureTable(**{**vars(table), "encoder": ENCODER.model_copy(update={"stream": "bone"})})
    evaluate_knn(bone, context)
    results = read_results(context.run_dir / RESULTS)
    assert {result.stream for result in results} == {"joint", "bone"}
    assert len({result.settings for result in results}) == 1
