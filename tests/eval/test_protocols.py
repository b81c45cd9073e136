"""What protocols record and skip, on features without an encoder."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scdnet.config import LinearConfig
from scdnet.errors import ScdnetError
from scdnet.eval.feature_table import FeatureTable, LazyFeatures
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
    config = LinearConfig(probe="sgd", optim={"epochs": 2})
    metrics = evaluate_linear(table, context, config)
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


def test_a_baseline_is_evaluated_once_for_all_runs(
    table: FeatureTable, context: Context, tmp_path: Path, capsys: pytest.CaptureFixture
):
    shared = replace(context, cache=tmp_path / "cache")
    raw = {"baseline": "raw", "checkpoint": None, "checkpoint_sha256": None, "seed": None}
    raw_table = replace(table, encoder=ENCODER.model_copy(update=raw))

    def num_copied(table: FeatureTable, **changes: object) -> int:
        for name in ("a", "b"):
            own = replace(shared, run_dir=tmp_path / name, config=name)
            evaluate_linear(table, own, LinearConfig(**{"optim": {"epochs": 2}, **changes}))
        return capsys.readouterr().err.count("Already evaluated by another run, copied.")

    assert [num_copied(raw_table), num_copied(raw_table, batch_size=7)] == [1, 1]
    first, second = (read_results(tmp_path / name / RESULTS) for name in ("a", "b"))
    assert {result.config for result in second} == {"b"}
    assert second == [result.model_copy(update={"config": "b"}) for result in first]
    # A checkpoint is of one run, and a damaged file is of none.
    assert num_copied(table) == 0
    for path in (tmp_path / "cache").glob("*/scores_*"):
        path.write_bytes(b"PK")
    assert num_copied(raw_table, batch_size=8) == 1
    for path in (tmp_path / "a").glob("scores_*"):
        path.unlink()
    assert num_copied(raw_table, batch_size=7) == 0


def test_a_cache_that_cannot_be_written_is_no_error(
    table: FeatureTable, context: Context, tmp_path: Path, capsys: pytest.CaptureFixture
):
    (tmp_path / "cache").touch()
    raw = table.encoder.model_copy(update={"baseline": "raw", "checkpoint_sha256": None})
    assert evaluate_knn(replace(table, encoder=raw), replace(context, cache=tmp_path / "cache"))
    assert "cannot keep this evaluation for other runs" in capsys.readouterr().err


@pytest.mark.parametrize(("width", "probe"), [(1023, "logistic"), (1024, "sgd")])
def test_the_probe_is_the_one_that_fits_the_width_and_is_recorded(
    table: FeatureTable, context: Context, width: int, probe: str
):
    wide = replace(table, x=table.x.repeat(1, 128)[:, :width])
    automatic = evaluate_linear(wide, context, LinearConfig())
    (result, *_) = read_results(context.run_dir / RESULTS)
    assert result.probe == probe
    # It is the same evaluation as that of a config that sets it.
    assert evaluate_linear(wide, context, LinearConfig(probe=probe)) == automatic
    assert len(read_results(context.run_dir / RESULTS)) == len(automatic)


def test_lazy_features_are_not_extracted_for_what_is_skipped(table: FeatureTable, context: Context):
    num_extracted = 0

    def compute() -> torch.Tensor:
        nonlocal num_extracted
        num_extracted += 1
        return table.x

    values = {key: value for key, value in vars(table).items() if key != "x"}
    lazy = LazyFeatures(**values, width=8, compute=compute)
    first = evaluate_knn(lazy, context)
    assert num_extracted > 0
    num_extracted = 0
    assert evaluate_knn(lazy, context) == first == evaluate_knn(table, context)
    assert num_extracted == 0


def test_streams_have_the_same_settings(table: FeatureTable, context: Context):
    evaluate_knn(table, context)
    bone = FeatureTable(**{**vars(table), "encoder": ENCODER.model_copy(update={"stream": "bone"})})
    evaluate_knn(bone, context)
    results = read_results(context.run_dir / RESULTS)
    assert {result.stream for result in results} == {"joint", "bone"}
    assert len({result.settings for result in results}) == 1


def relabeled(table: FeatureTable, label: list[int]) -> FeatureTable:
    """Return the table with classes of its 20 training and then its 10 test sequences."""
    return replace(table, label=torch.tensor(label))


# One test sequence in ten has the class c, two the class b; neither occurs in the training split.
UNKNOWN = [0] * 19 + [3] + [0] * 5 + [3] * 2 + [1] * 2 + [2]


@pytest.mark.parametrize(
    "evaluate",
    [evaluate_knn, lambda *args: evaluate_linear(*args, LinearConfig(probe="sgd"))],
)
def test_classes_without_training_sequences_are_said_once_with_their_share(
    table: FeatureTable, context: Context, capsys: pytest.CaptureFixture, evaluate
):
    table = relabeled(replace(table, class_names=("a", "b", "c", "d")), UNKNOWN)
    for _ in range(2):
        evaluate(table, context)
    assert capsys.readouterr().err.count("warning: ") == 1
    evaluate(table, replace(context, warnings=set()))
    assert (
        "warning: data/synthetic.h5: 3 of 10 test sequences (30.0 %) have a class without training "
        "sequences and cannot be recognized: 'b', 'c'\n"
    ) in capsys.readouterr().err


def test_of_many_classes_without_training_sequences_five_are_named(
    table: FeatureTable, context: Context, capsys: pytest.CaptureFixture
):
    names = tuple(f"class {number}" for number in range(12))
    evaluate_knn(
        relabeled(replace(table, class_names=names), [0, 1] * 10 + list(range(2, 12))), context
    )
    listed = "'class 2', 'class 3', 'class 4', 'class 5', 'class 6' and 5 more"
    err = capsys.readouterr().err
    assert "10 of 10 test sequences (100.0 %) have a class" in err and listed in err


def test_nothing_is_said_if_all_classes_are_known(
    table: FeatureTable, context: Context, capsys: pytest.CaptureFixture
):
    evaluate_knn(table, context)
    # A class that occurs only in the training split harms nobody.
    evaluate_knn(relabeled(table, [0, 1] * 9 + [2, 2] + [0, 1] * 5), context)
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("evaluate", [evaluate_knn, evaluate_linear])
def test_evaluations_of_unlabeled_sequences_say_that_they_need_labels(
    table: FeatureTable, context: Context, evaluate
):
    unlabeled = relabeled(replace(table, class_names=("unlabeled",)), [0] * 30)
    message = (
        "data/synthetic.h5: all 30 sequences have the class 'unlabeled', but evaluations need "
        "labels: convert the recordings again, with --table or --labels-from folder"
    )
    config = (LinearConfig(),) if evaluate is evaluate_linear else ()
    with pytest.raises(ScdnetError, match=message):
        evaluate(unlabeled, context, *config)
    with pytest.raises(ScdnetError, match=message):
        evaluate_knn(unlabeled, context, replace(table, x=table.x + 1))


@pytest.mark.parametrize(
    ("splits", "num_queries"),
    [
        # All sequences are in the test split, some are, none is, and there is no benchmark.
        ({"xsub": torch.zeros(30, dtype=torch.bool)}, 30),
        ({"xsub": torch.arange(30) < 20}, 10),
        ({"xsub": torch.ones(30, dtype=torch.bool)}, 30),
        ({}, 30),
    ],
)
def test_a_gallery_replaces_the_training_split(
    table: FeatureTable, context: Context, capsys: pytest.CaptureFixture, splits, num_queries: int
):
    gallery = replace(table, x=table.x + 1, store="other.h5")
    evaluate_knn(replace(table, is_train=splits), context, gallery)
    assert {result.num_test for result in read_results(context.run_dir / RESULTS)} == {num_queries}
    are_all = "no test split, so all 30 sequences are queries" in capsys.readouterr().err
    assert are_all == (not splits or bool(splits["xsub"].all()))


def test_a_benchmark_that_is_misspelled_is_refused_with_a_gallery_too(
    table: FeatureTable, context: Context
):
    with pytest.raises(ScdnetError, match="no benchmark 'xset'; it contains xsub"):
        evaluate_knn(table, replace(context, benchmark="xset"), replace(table, x=table.x + 1))


def test_queries_that_the_gallery_cannot_answer_are_said_with_their_share(
    table: FeatureTable, context: Context, capsys: pytest.CaptureFixture
):
    table = relabeled(table, [0, 1] * 10 + [0, 1, 1, 1, 2] * 2)
    gallery = replace(table, x=table.x + 1, store="other.h5", class_names=("a", "x", "c"))
    evaluate_knn(table, context, gallery)
    assert (
        "warning: data/synthetic.h5: 6 of 10 queries (60.0 %) have a class that other.h5 lacks and "
        "are left out\n"
    ) in capsys.readouterr().err
