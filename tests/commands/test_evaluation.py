"""The evaluation commands from end to end, and their messages for bad input."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional as F

from scdnet.config_file import dump_config
from scdnet.data.store import SkeletonSequence
from scdnet.data.store_writer import StoreWriter
from scdnet.eval.feature_file import read_features
from scdnet.eval.feature_table import FeatureTable, LazyFeatures
from scdnet.eval.protocols import Context
from scdnet.files import file_sha256
from scdnet.raw.normalize import normalize
from scdnet.results.record import BASELINES
from scdnet.results.results_file import read_results
from scdnet.results.scores import read_scores
from scdnet.skeletons import KINECT_V1_20, NTU_25, OPENPOSE_25
from tests.conftest import write_synthetic_store
from tests.engine.runs import changed
from tests.stores import rehash

QUICK = (
    "linear.optim.epochs=3",
    "linear.batch_size=4",
    "finetune.optim.epochs=1",
    "finetune.optim.milestones=[]",
    "finetune.num_subsets=2",
)
ON_FEATURES = "protocols=[knn, linear]"
SKIPPED = "Already evaluated, skipping."
NAMES = [f"S001C001P003R{i:03}A{2 - i % 2:03}" for i in range(1, 9)]


def records(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "results.jsonl").read_text().splitlines()]


def readable(run_dir: Path) -> dict[tuple[str, str], float]:
    """Return the values of results.jsonl by protocol and metric."""
    results = read_results(run_dir / "results.jsonl")
    return {(result.protocol, result.metric): result.value for result in results}


@pytest.mark.end_to_end
def test_all_protocols_of_a_config_run_on_one_extraction_and_never_twice(
    run, config_path, trained, tmp_path
):
    command = ("tools/evaluate.py", "-c", config_path, "--checkpoint", trained, *QUICK)
    protocols = "protocols=[knn, linear, finetune, semi@0.25]"
    done = run(*command, protocols)
    assert done.status == 0, done.err
    folder = tmp_path / "runs/small"
    everything = records(folder)
    found = [r for r in everything if "baseline" not in r]
    assert {r["protocol"] for r in found} == {"knn", "linear", "finetune", "semi"}
    assert {r["checkpoint_sha256"] for r in found} == {file_sha256(trained)}
    semi = {(r["label_fraction"], r["subset"]) for r in found if r["protocol"] == "semi"}
    assert semi == {(0.25, 0), (0.25, 1)}
    for tag in ("knn", "linear", "finetune", "semi_0.25_subset0", "semi_0.25_subset1"):
        with np.load(folder / f"scores_{tag}.npz") as scores:
            assert scores["scores"].shape == (8, 2) and scores["scores"].dtype == np.float32
            assert scores["name"].tolist() == NAMES
            top1 = 100 * (scores["scores"].argmax(axis=1) == scores["label"]).mean()
        metric = "knn@1" if tag == "knn" else "top1"
        own = [
            r["value"]
            for r in found
            if r["metric"] == metric
            and tag.startswith(r["protocol"])
            and f"subset{r.get('subset', '')}" in f"{tag}subset"
        ]
        assert top1 in own
        assert (folder / f"confusion_{tag}.tsv").is_file()
    drawn = (folder / "labeled_semi_0.25_subset0.txt").read_text().split()
    assert len(drawn) == 2 and all("P001" in name for name in drawn)

    before = (folder / "features.h5").stat().st_mtime_ns
    again = run(*command, protocols)
    # The checkpoint's five, and two of each baseline.
    assert again.status == 0 and again.err.count(SKIPPED) == 5 + 2 * 3
    assert records(folder) == everything and (folder / "features.h5").stat().st_mtime_ns == before


@pytest.fixture
def evaluate(run, config_path: Path, trained: Path):
    """Run tools/evaluate.py with kNN and the linear probe; return how many were skipped.

    Without baselines beside the checkpoint.
    """

    def call(*overrides: object, source: tuple = ("--checkpoint", trained)) -> int:
        command = ("tools/evaluate.py", "-c", config_path, *source, "--no-baselines")
        done = run(*command, *QUICK, ON_FEATURES, *overrides)
        assert done.status == 0, done.err
        return done.err.count(SKIPPED)

    return call


def test_only_what_has_changed_is_computed_again(evaluate, config_path, tmp_path):
    folder = tmp_path / "runs/small"
    assert [evaluate(), evaluate()] == [0, 2]
    # The same value, named differently, and one more protocol.
    more = ("finetune.num_subsets=1", "protocols=[knn, linear, semi@0.5]")
    assert evaluate("linear.batch_size=4", *more) == 2
    # The file was edited: another linear probe.
    config_path.write_text(config_path.read_text().replace("lr: 2.0", "lr: 1.0"))
    assert evaluate() == 1
    # The seed draws the batches of the probe.
    assert evaluate("seed=1") == 1
    (folder / "scores_knn.npz").unlink()
    (folder / "scores_linear.npz").write_bytes(b"PK")
    assert evaluate("seed=1") == 0 and (folder / "scores_knn.npz").is_file()
    assert np.load(folder / "scores_linear.npz")["label"].size == 8


def test_an_evaluation_that_was_stopped_while_it_was_recorded_is_computed_again(evaluate, tmp_path):
    folder = tmp_path / "runs/small"
    assert evaluate() == 0
    whole = readable(folder)
    # As if it had ended within the last line of kNN, before its scores, which come after.
    lines = (folder / "results.jsonl").read_text().splitlines()
    last = max(i for i, line in enumerate(lines) if '"knn"' in line)
    lines[last] = lines[last][:-20]
    (folder / "results.jsonl").write_text("\n".join(lines))
    (folder / "scores_knn.npz").unlink()
    assert evaluate() == 1
    assert readable(folder) == whole


def test_scores_in_a_run_directory_belong_to_the_checkpoint_that_was_evaluated_last(
    evaluate, trained, tmp_path
):
    scores = tmp_path / "runs/small/scores_knn.npz"
    other = tmp_path / "other.pt"
    state = torch.load(trained)
    state["model"]["query.encoder.temporal_path.project.0.weight"] += 1
    torch.save(state, other)
    evaluate("protocols=[knn]")
    first = read_scores(scores)
    others = ("--features", tmp_path / "b.h5", "protocols=[knn]")
    assert evaluate(*others, source=("--checkpoint", other)) == 0
    assert read_scores(scores).record.checkpoint_sha256 == file_sha256(other)
    # The first checkpoint has no scores any more.
    assert evaluate("protocols=[knn]") == 0
    again = read_scores(scores)
    assert np.array_equal(again.scores, first.scores) and again.record == first.record


def test_a_store_that_has_changed_is_refused_until_its_features_are_recreated(
    evaluate, run, config_path, trained, store_path, tmp_path
):
    evaluate("protocols=[knn]")
    write_synthetic_store(store_path, seed=9)
    command = ("tools/evaluate.py", "-c", config_path, "--checkpoint", trained)
    done = run(*command, "protocols=[knn]")
    assert done.status == 2 and "its store_sha256 is" in done.err and done.err.count("\n") == 1
    (tmp_path / "runs/small/features.h5").unlink()
    assert evaluate("protocols=[knn]") == 0


def test_features_of_a_baseline_are_not_those_of_a_checkpoint(evaluate, run, config_path):
    evaluate("protocols=[knn]")
    done = run("tools/evaluate.py", "-c", config_path, "--baseline", "random-init", *QUICK)
    assert done.status == 2 and "its baseline is None, expected random-init" in done.err
    assert done.err.count("\n") == 1


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Set what 1-NN is for each baseline; None stands for a checkpoint."""
    values: dict[str | None, float] = {}

    def find(table: FeatureTable | LazyFeatures, context: Context) -> dict[str, float]:
        return {"knn@1": values[table.encoder.baseline]}

    monkeypatch.setattr("scdnet.commands.evaluate.evaluate_knn", find)
    return values


@pytest.mark.parametrize(
    ("own", "warning"),
    [
        (60.0, ""),
        (58.1, "is below raw-pca (59.4)"),
        (50.0, "is below raw views (58.1) and raw-pca (59.4) and random init (52.8)"),
    ],
)
def test_a_checkpoint_below_a_baseline_is_reported(
    run, config_path, trained, scored, own: float, warning: str
):
    scored.update({None: own, "raw": 58.1, "raw-pca": 59.4, "random-init": 52.8})
    done = run("tools/evaluate.py", "-c", config_path, "--checkpoint", trained, "protocols=[knn]")
    assert done.status == 0, done.err
    names = [line.split("  ")[0] for line in done.out.splitlines()[1:5]]
    assert names == [f"knn, {x}" for x in ("raw views", "raw-pca", "random init", trained)]
    found = [line for line in done.err.splitlines() if line.startswith("warning: ")]
    expected = f"warning: knn: {trained} (knn@1 {own}) {warning}"
    assert found == ([expected] if warning else [])


def test_baselines_stand_beside_a_checkpoint_and_are_evaluated_once(
    run, config_path, trained, tmp_path, monkeypatch
):
    command = ("tools/evaluate.py", "-c", config_path, *QUICK, ON_FEATURES)
    assert run(*command, "--checkpoint", trained).status == 0
    found = records(tmp_path / "runs/small")
    beside = {(r["protocol"], r.get("baseline")) for r in found}
    assert beside == {(p, b) for p in ("knn", "linear") for b in (None, *BASELINES)}
    # Their numbers are those of the commands that evaluate them alone.
    for baseline in BASELINES:
        name = f"name={baseline}"
        for tool in ("knn", "linear"):
            done = run(
                *(f"tools/eval_{tool}.py", *command[1:], "--baseline", baseline, name),
            )
            assert done.status == 0, done.err
        alone = readable(tmp_path / "runs" / baseline)
        own = {
            (r["protocol"], r["metric"]): r["value"] for r in found if r.get("baseline") == baseline
        }
        assert own == pytest.approx(alone)
    # Neither fitted nor extracted again.
    monkeypatch.setattr("scdnet.eval.inputs.extract_features", None)
    monkeypatch.setattr("scdnet.eval.inputs.extract_raw_pca", None)
    again = run(*command, "--checkpoint", trained)
    assert again.status == 0 and again.err.count(SKIPPED) == 2 * 4
    # A baseline has none beside it.
    (tmp_path / "runs/small/features.h5").unlink()
    monkeypatch.undo()
    assert run(*command, "--baseline", "raw").err.count(SKIPPED) == 2


def test_a_level_is_compared_with_views_as_they_are(run, config_path, trained, tmp_path):
    command = ("tools/evaluate.py", "-c", config_path, "--checkpoint", trained, "feature_level=2")
    assert run(*command, "protocols=[knn]").status == 0
    found = {(r.get("baseline"), r["feature_level"]) for r in records(tmp_path / "runs/small")}
    assert found == {(None, 2), ("random-init", 2), ("raw", 4), ("raw-pca", 4)}


def test_a_baseline_that_cannot_be_evaluated_does_not_stop_the_others(
    run, config_path, trained, tmp_path
):
    store = write_synthetic_store(tmp_path / "few.h5", per_split=3)
    command = ("tools/evaluate.py", "-c", config_path, f"data.store={store}", "protocols=[knn]")
    done = run(*command, "--checkpoint", trained)
    assert done.status == 0, done.err
    assert "warning: the baseline raw-pca is left out: " in done.err
    found = {r.get("baseline") for r in records(tmp_path / "runs/small")}
    assert found == {None, "raw", "random-init"}


def test_the_probe_fits_the_width_unless_the_config_sets_it(run, config_path, trained, tmp_path):
    config_path.write_text(config_path.read_text().replace("probe: sgd", "probe: auto"))
    command = ("tools/eval_linear.py", "-c", config_path, *QUICK)
    # The features have 32 numbers, the raw views 2400.
    assert run(*command, "--checkpoint", trained, "--baseline", "raw").status == 0
    assert run(*command, "--checkpoint", trained, "linear.probe=sgd").status == 0
    found = [(r.get("baseline"), r["probe"]) for r in records(tmp_path / "runs/small")]
    assert list(dict.fromkeys(found)) == [(None, "logistic"), ("raw", "sgd"), (None, "sgd")]


def test_features_of_raw_pca_belong_to_the_benchmark_they_were_fitted_to(
    run, config_path, tmp_path
):
    out = tmp_path / "pca.h5"
    source = ("-c", config_path, "--baseline", "raw-pca", "--out", out)
    assert run("tools/extract_features.py", *source).status == 0
    # They are not of the stream of the config.
    knn = ("tools/eval_knn.py", "-c", config_path, "--features", out)
    assert run(*knn, "stream=bone").status == 0
    assert {r["stream"] for r in records(tmp_path / "runs/small")} == {"all"}
    done = run(*knn, "data.benchmark=everybody")
    assert done.status == 2 and done.err.count("\n") == 1
    assert f"{out}: benchmark is xsub in the file, everybody in the config" in done.err


@pytest.mark.parametrize("tool", ["knn", "linear"])
def test_a_features_file_gives_the_numbers_of_its_checkpoint(
    run, config_path, trained, store_path, tool, tmp_path
):
    out = tmp_path / "features.h5"
    source = ("-c", config_path, "--checkpoint", trained)
    assert run("tools/extract_features.py", *source, "--out", out).status == 0
    command = (f"tools/eval_{tool}.py", "-c", config_path, *QUICK)
    first = run(*command, "--checkpoint", trained, "--baseline", "raw")
    store_path.unlink()
    second = run(*command, "--features", out)
    assert first.status == second.status == 0
    assert "raw views" in first.out
    found = records(tmp_path / "runs/small")
    third = len(found) // 3
    assert {r.get("baseline") for r in found[third : 2 * third]} == {"raw"}
    first_values = [{**r, "value": pytest.approx(r["value"])} for r in found[:third]]
    assert first_values == found[2 * third :]


def test_features_with_other_settings_are_another_evaluation(
    run, config_path, trained, evaluate, tmp_path
):
    out = tmp_path / "bf16.h5"
    command = ("-c", config_path, "--checkpoint", trained, "--out", out, "precision=bf16")
    assert run("tools/extract_features.py", *command).status == 0
    assert run("tools/eval_knn.py", "-c", config_path, "--features", out).status == 0
    # The features that it extracts are float32.
    assert evaluate() == 0


def test_a_level_of_the_encoder_has_files_and_rows_of_its_own(evaluate, run, trained, tmp_path):
    folder = tmp_path / "runs/small"
    features = tmp_path / "level2.h5"
    assert evaluate() == 0
    assert evaluate("feature_level=2", "--features", features) == 0
    with h5py.File(features) as file:
        # Both paths are 4b wide.
        assert file["features"].shape == (16, 2 * 4 * 8)
    assert read_scores(folder / "scores_knn_level2.npz").record.feature_level == 2
    # The output of the encoder is another evaluation.
    assert evaluate() == 2
    table = run("tools/results.py", folder).out
    assert "linear (level 2)" in table and "knn (level 2)" in table


@pytest.fixture
def linear_scores(run, config_path, tmp_path):
    """Return the scores file of a linear probe on random-init features of a stream and level."""

    def call(stream: str, level: int) -> Path:
        name = f"{stream}_level{level}"
        overrides = (f"stream={stream}", f"name={name}", f"feature_level={level}")
        command = ("tools/eval_linear.py", "-c", config_path, "--baseline", "random-init")
        done = run(*command, *QUICK, *overrides)
        assert done.status == 0, done.err
        return tmp_path / f"runs/{name}/scores_linear_level{level}_random-init.npz"

    return call


def test_streams_are_added_up_at_one_level_and_never_at_two(run, linear_scores):
    joint = linear_scores("joint", 2)
    done = run("tools/fuse_streams.py", joint, linear_scores("bone", 3))
    assert done.status == 2 and done.err.count("\n") == 1
    assert f"feature_level is 3, but 2 in {joint}" in done.err
    bone = linear_scores("bone", 2)
    assert run("tools/fuse_streams.py", joint, bone).status == 0
    fused = read_scores(joint.parent / "scores_fusion_joint+bone_linear_level2_random-init.npz")
    parts = [read_scores(path).scores for path in (joint, bone)]
    np.testing.assert_allclose(fused.scores, parts[0] + parts[1], rtol=1e-5)
    assert not np.allclose(*parts)
    record = fused.record
    assert (record.protocol, record.fused, record.feature_level) == ("fusion", "linear", 2)
    assert "\nfusion (linear (level 2)) " in run("tools/results.py", joint.parent).out


def test_the_logistic_probe_has_files_of_its_own(run, config_path, trained, tmp_path):
    command = ("tools/eval_linear.py", "-c", config_path, "--checkpoint", trained)
    done = run(*command, "linear.probe=logistic")
    assert done.status == 0, done.err
    folder = tmp_path / "runs/small"
    assert read_scores(folder / "scores_linear_logistic.npz").record.probe == "logistic"
    assert {(r["protocol"], r["probe"]) for r in records(folder)} == {("linear", "logistic")}


def test_labeled_names_are_those_of_the_scores_beside_them(
    run, config_path, trained, tmp_path, monkeypatch
):
    command = ("tools/eval_finetune.py", "-c", config_path, "--checkpoint", trained, *QUICK)
    command += ("finetune.label_fraction=0.5", "finetune.num_subsets=1")
    assert run(*command).status == 0
    names = tmp_path / "runs/small/labeled_semi_0.5_subset0.txt"
    before = names.read_text()
    with monkeypatch.context() as stopped:
        stopped.setattr("scdnet.eval.protocols.finetune", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(*command, "seed=3")
    assert names.read_text() == before
    # The first subset has been evaluated.
    assert run(*command, "finetune.num_subsets=2").err.count(SKIPPED) == 1
    assert run(*command, "seed=1").status == 0
    # Subset 0 of seed 1 is not subset 1 of seed 0.
    assert names.read_text() != names.with_name("labeled_semi_0.5_subset1.txt").read_text()


@pytest.mark.parametrize(("level", "width", "tag"), [(4, 2 * 16, ""), (2, 2 * 4 * 8, "_level2")])
def test_retrieval_across_datasets(
    run, config_path, small_config, trained, tmp_path, level, width, tag
):
    other = write_synthetic_store(tmp_path / "other.h5", seed=5)
    for store, out in ((small_config.data.store, "a.h5"), (other, "b.h5")):
        source = ("-c", config_path, f"data.store={store}", f"feature_level={level}")
        command = ("tools/extract_features.py", *source, "--checkpoint", trained)
        done = run(*command, "--out", tmp_path / out)
        assert done.status == 0, done.err
    source = ("-c", config_path, f"feature_level={level}", "--features", tmp_path / "a.h5")
    knn = ("tools/eval_knn.py", *source)
    done = run(*knn, "--gallery", tmp_path / "b.h5")
    assert done.status == 0, done.err
    assert (", level 2, percent" in done.out) == (level == 2)
    found = {(r["gallery"], r["feature_level"]) for r in records(tmp_path / "runs/small")}
    assert found == {("other", level)}
    queries, gallery = (read_features(tmp_path / name) for name in ("a.h5", "b.h5"))
    assert queries.x.shape[1] == gallery.x.shape[1] == width
    scores = read_scores(tmp_path / f"runs/small/scores_knn_from_other{tag}.npz").scores
    cosines = F.normalize(queries.x[queries.rows("xsub", train=False)]) @ F.normalize(gallery.x).T
    nearest = torch.stack(
        [cosines[:, gallery.label == label].amax(dim=1) for label in (0, 1)], dim=1
    )
    np.testing.assert_allclose(scores, nearest, atol=1e-5)
    done = run(*knn, "--gallery", tmp_path / "a.h5")
    assert done.status == 2 and "of its sequences are also queries" in done.err
    done = run(*knn, "feature_level=3")
    assert done.status == 2
    assert f"a.h5: feature_level is {level} in the file, 3 in the config" in done.err


@pytest.mark.end_to_end
def test_transfer_to_a_store_of_more_classes_and_training_from_scratch(
    run, small_config, trained, tmp_path
):
    other = write_synthetic_store(tmp_path / "other.h5", classes=3, per_split=9)
    config = tmp_path / "transfer.yaml"
    content = dump_config(changed(small_config, name="transfer", data={"store": other}))
    config.write_text(yaml.safe_dump(content))
    for source in (("--checkpoint", trained), ("--baseline", "random-init")):
        done = run("tools/eval_finetune.py", "-c", config, *source, *QUICK)
        assert done.status == 0, done.err
    found = {
        (r["protocol"], r["checkpoint"], r.get("baseline"), r.get("pretrained_on"))
        for r in records(tmp_path / "runs/transfer")
    }
    assert found == {
        ("transfer", str(trained), None, "synthetic"),
        ("finetune", None, "random-init", None),
    }
    with np.load(tmp_path / "runs/transfer/scores_transfer.npz") as scores:
        assert scores["scores"].shape == (9, 3)
    assert run("tools/eval_linear.py", "-c", config, "--checkpoint", trained, *QUICK).status == 0
    assert read_scores(tmp_path / "runs/transfer/scores_linear.npz").scores.shape == (9, 3)


SOURCES = "expected one of --checkpoint, --baseline and --features"


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("eval_knn", (), SOURCES),
        ("eval_linear", ("--features", "none.h5"), "none.h5: no such features file"),
        ("eval_linear", ("--baseline", "none"), "invalid choice: 'none'"),
        ("eval_linear", ("--baseline", "raw", "feature_level=1"), "raw views have no levels"),
        ("eval_finetune", (), "one of the arguments --checkpoint --baseline is required"),
        ("eval_linear", ("--baseline", "raw-pca", "feature_level=1"), "raw-pca has no levels"),
        (
            "eval_knn",
            ("--baseline", "raw-pca", "data.benchmark=nobody"),
            "the training split of benchmark 'nobody' is empty",
        ),
        ("eval_finetune", ("--baseline", "raw"), "--baseline raw has no weights to fine-tune"),
        ("eval_finetune", ("--baseline", "raw-pca"), "raw-pca has no weights to fine-tune"),
        (
            "eval_finetune",
            ("--baseline", "random-init", "feature_level=1"),
            "only knn and linear evaluate a level",
        ),
        (
            "evaluate",
            ("--baseline", "raw", "protocols=[finetune]"),
            "--baseline raw has no weights to fine-tune",
        ),
        (
            "eval_finetune",
            ("--baseline", "random-init", "finetune.label_fraction=0"),
            "finetune.label_fraction: ",
        ),
        (
            "eval_linear",
            ("--baseline", "random-init", "linear.prob=logistic"),
            "did you mean 'linear.probe'?",
        ),
        ("eval_linear", ("--baseline", "raw", "protocols=[knn, lineal]"), "protocols"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(run, config_path, tool, arguments, message):
    done = run(f"tools/{tool}.py", "-c", config_path, *arguments)
    assert done.status == 2 and message in done.err and "Traceback" not in done.err


@pytest.mark.end_to_end
def test_sequences_without_labels_and_splits_are_embedded_but_not_evaluated(
    run, config_path, trained, tmp_path
):
    store = write_store_without_table(tmp_path / "mine.h5")
    given = ("-c", config_path, f"data.store={store}", "data.benchmark=custom")
    out = tmp_path / "mine_features.h5"
    done = run("tools/extract_features.py", *given, "--checkpoint", trained, "--out", out)
    assert done.status == 0, done.err
    assert read_features(out).x.shape == (6, 32)
    # A benchmark that the store lacks is not in the way of features.
    other = (*given[:3], "data.benchmark=xsub", "--checkpoint", trained, "--out", out)
    assert run("tools/extract_features.py", *other).status == 0
    for tool, source in (
        ("eval_knn", ("--features", out)),
        ("eval_linear", ("--features", out)),
        ("eval_finetune", ("--checkpoint", trained)),
        ("eval_linear", ("--checkpoint", trained)),
        ("evaluate", ("--checkpoint", trained)),
        ("eval_knn", ("--features", out, "--gallery", out)),
    ):
        done = run(f"tools/{tool}.py", *given, *source)
        assert done.status == 2 and done.err.count("\n") == 1, tool
        assert f"{store}: all 6 sequences have the class 'unlabeled', but evaluations" in done.err


def write_store_without_table(path: Path) -> Path:
    """Write a store as the converter does without a table: one class, all in the training split."""
    rng = np.random.default_rng(3)
    with StoreWriter(
        path, skeleton=NTU_25, dataset="mine", class_names=("unlabeled",), created_by="a test"
    ) as writer:
        for number in range(6):
            frames = normalize(rng.normal(size=(2, 40, 25, 3)), NTU_25)
            writer.append(SkeletonSequence(frames, f"take {number}", 0))
        writer.finish({"custom": np.ones(6, dtype=bool)})
    return path


def test_an_unlabeled_store_trains(run, config_path, tmp_path):
    store = write_store_without_table(tmp_path / "mine.h5")
    done = run(
        "tools/train.py",
        *("-c", config_path, f"data.store={store}", "data.benchmark=custom", "model.queue_size=3"),
        *("data.batch_size=3", "optim.epochs=1", "eval_every=1", "name=mine"),
    )
    assert done.status == 0, done.err
    assert "6 training sequences" in done.err
    assert "benchmark 'custom' has no test split, so eval_every has no effect" in done.err
    examined = run("tools/doctor.py", "-c", config_path, f"data.store={store}", *CUSTOM)
    assert examined.status == 0 and "custom: 6 training and 0 test sequences" in examined.out


CUSTOM = ("data.benchmark=custom", "data.batch_size=3", "model.queue_size=3")


def test_an_encoder_is_not_evaluated_on_the_joints_of_another_skeleton(
    run, config_path, trained, tmp_path
):
    for skeleton, way_out in ((KINECT_V1_20, True), (OPENPOSE_25, False)):
        store = write_synthetic_store(tmp_path / f"{skeleton.name}.h5", skeleton=skeleton)
        for tool in ("eval_knn", "eval_linear", "eval_finetune", "evaluate"):
            done = run(
                f"tools/{tool}.py",
                "-c",
                config_path,
                f"data.store={store}",
                "--checkpoint",
                trained,
            )
            assert done.status == 2 and done.err.count("\n") == 1
            assert "trained on the joints of ntu25, but" in done.err
            assert f"has those of {skeleton.name}; " in done.err
            assert f"pretrain an encoder on the joints of {skeleton.name}" in done.err
            assert ("--to ntu25" in done.err) == way_out


@pytest.mark.end_to_end
def test_classes_that_occur_in_the_test_split_alone_are_said_once_by_a_command(
    run, config_path, small_config, tmp_path
):
    store = write_synthetic_store(tmp_path / "some.h5", classes=3, per_split=9)
    with h5py.File(store, "r+") as file:
        # The third class has no training sequence.
        file["label"][:9] = [0, 1] * 4 + [0]
    rehash(store)
    given = ("-c", config_path, f"data.store={store}", "--baseline", "random-init", *QUICK)
    done = run("tools/evaluate.py", *given, "protocols=[knn, linear, finetune]")
    assert done.status == 0, done.err
    assert done.err.count("3 of 9 test sequences (33.3 %) have a class without training") == 1
    assert "cannot be recognized: 'class 2'" in done.err
