"""The evaluation commands from end to end, and what they say to bad input."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional as F

from scdnet.config_file import dump_config
from scdnet.engine.train.pretrain import pretrain
from scdnet.eval.feature_file import read_features
from scdnet.files import file_sha256
from scdnet.results.results_file import read_results
from scdnet.results.scores import read_scores
from tests.conftest import write_synthetic_store

QUICK = (
    "linear.optim.epochs=3",
    "finetune.optim.epochs=2",
    "finetune.optim.milestones=[1]",
    "finetune.num_subsets=2",
    "linear.batch_size=4",
)


def records(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "results.jsonl").read_text().splitlines()]


@pytest.fixture
def checkpoint(small_config) -> Path:
    return pretrain(small_config)


@pytest.mark.end_to_end
def test_all_protocols_of_a_config_on_one_extraction_and_nothing_twice(
    run, config_path, checkpoint, tmp_path
):
    command = ("tools/evaluate.py", "-c", config_path, "--checkpoint", checkpoint, *QUICK)
    protocols = "protocols=[knn, linear, finetune, semi@0.25]"
    done = run(*command, protocols)
    assert done.status == 0, done.err
    folder = tmp_path / "runs/small"
    found = records(folder)
    assert {r["protocol"] for r in found} == {"knn", "linear", "finetune", "semi"}
    assert {r["checkpoint_sha256"] for r in found} == {file_sha256(checkpoint)}
    semi = {(r["label_fraction"], r["draw"]) for r in found if r["protocol"] == "semi"}
    assert semi == {(0.25, 0), (0.25, 1)}
    for tag in ("knn", "linear", "finetune", "semi_0.25_draw0", "semi_0.25_draw1"):
        with np.load(folder / f"scores_{tag}.npz") as scores:
            assert scores["scores"].shape == (8, 2) and scores["scores"].dtype == np.float32
            assert scores["name"].tolist() == [
                f"S001C001P003R{i:03}A{2 - i % 2:03}" for i in range(1, 9)
            ]
            top1 = 100 * (scores["scores"].argmax(axis=1) == scores["label"]).mean()
        metric = "knn@1" if tag == "knn" else "top1"
        own = [
            r
            for r in found
            if r["metric"] == metric and (r.get("draw") is None or f"draw{r['draw']}" in tag)
        ]
        assert top1 in [r["value"] for r in own if tag.startswith(r["protocol"])]
        assert (folder / f"confusion_{tag}.tsv").is_file()
    drawn = (folder / "labelled_semi_0.25_draw0.txt").read_text().split()
    assert len(drawn) == 2 and all("P001" in name for name in drawn)

    before = (folder / "features.h5").stat().st_mtime_ns
    again = run(*command, protocols)
    assert again.status == 0 and again.err.count("already, not computed again") == 5
    assert records(folder) == found and (folder / "features.h5").stat().st_mtime_ns == before


ON_FEATURES = "protocols=[knn, linear]"


@pytest.fixture
def evaluate(run, config_path: Path, checkpoint: Path):
    """Runs tools/evaluate.py with kNN and the linear probe; gives how many of them were not computed again."""

    def call(*overrides: object, of: object = checkpoint) -> int:
        done = run(
            "tools/evaluate.py",
            "-c",
            config_path,
            "--checkpoint",
            of,
            *QUICK,
            ON_FEATURES,
            *overrides,
        )
        assert done.status == 0, done.err
        return done.err.count("already, not computed again")

    return call


def test_what_is_computed_again_is_what_has_changed(evaluate, config_path, tmp_path):
    folder = tmp_path / "runs/small"
    assert [evaluate(), evaluate()] == [0, 2]
    assert (
        evaluate("linear.batch_size=4", "protocols=[knn, linear, semi@0.5]") == 2
    )  # otherwise said, and one more
    config_path.write_text(config_path.read_text().replace("lr: 2.0", "lr: 1.0"))
    assert evaluate() == 1  # the file was edited: another linear probe
    assert evaluate("seed=1") == 1  # draws the probe's batches
    (folder / "scores_knn.npz").unlink()
    assert evaluate("seed=1") == 1 and (folder / "scores_knn.npz").is_file()
    (folder / "scores_linear.npz").write_bytes(b"PK")
    assert evaluate("seed=1") == 1 and np.load(folder / "scores_linear.npz")["label"].size == 8


def test_an_evaluation_that_was_stopped_while_it_was_recorded_is_computed_again(evaluate, tmp_path):
    folder = tmp_path / "runs/small"
    assert evaluate() == 0
    whole = (folder / "results.jsonl").read_text()
    first, rest = whole[: whole.index('"map"')], whole[whole.index('{"protocol": "linear"') :]
    (folder / "results.jsonl").write_text(
        f"{first}\n{rest}"
    )  # as if it had ended while kNN was written
    (folder / "scores_knn.npz").unlink()  # which comes after
    assert evaluate() == 1
    values = {(r["protocol"], r["metric"]): r["value"] for r in records_that_can_be_read(folder)}
    assert values == {
        (r["protocol"], r["metric"]): r["value"] for r in map(json.loads, whole.splitlines())
    }


def records_that_can_be_read(folder: Path) -> list[dict]:
    return read_results(folder / "results.jsonl")


def test_scores_of_a_run_folder_are_those_of_the_checkpoint_that_was_evaluated_last(
    evaluate, small_config, tmp_path
):
    folder, features = tmp_path / "runs/small", ("--features", tmp_path / "other.h5")
    other = pretrain(small_config.model_copy(update={"name": "other", "seed": 1}))
    evaluate()
    first = read_scores(folder / "scores_knn.npz")
    assert evaluate(*features, of=other) == 0
    assert read_scores(folder / "scores_knn.npz").evaluation["checkpoint_sha256"] == file_sha256(
        other
    )
    assert evaluate() == 0  # its scores were no longer there
    again = read_scores(folder / "scores_knn.npz")
    assert np.array_equal(again.scores, first.scores) and again.evaluation == first.evaluation


def test_a_store_that_has_changed_is_refused_until_its_features_are_made_anew(
    evaluate, run, config_path, checkpoint, store_path, tmp_path
):
    evaluate()
    write_synthetic_store(store_path, seed=9)
    done = run(
        "tools/evaluate.py", "-c", config_path, "--checkpoint", checkpoint, *QUICK, ON_FEATURES
    )
    assert done.status == 2 and "its store_sha256 is" in done.err and done.err.count("\n") == 1
    (tmp_path / "runs/small/features.h5").unlink()
    assert evaluate() == 0


def test_features_of_another_checkpoint_are_refused(run, config_path, checkpoint, tmp_path):
    assert (
        run("tools/evaluate.py", "-c", config_path, "--checkpoint", checkpoint, *QUICK).status == 0
    )
    result = run("tools/evaluate.py", "-c", config_path, "--checkpoint", "none", *QUICK)
    assert (
        result.status == 2
        and "its checkpoint_sha256 is" in result.err
        and result.err.count("\n") == 1
    )


@pytest.mark.parametrize("tool", ["knn", "linear"])
def test_a_features_file_alone_gives_what_the_checkpoint_gives(
    run, config_path, checkpoint, store_path, tool, tmp_path
):
    out = tmp_path / "features.h5"
    assert (
        run(
            "tools/extract_features.py", "-c", config_path, "--checkpoint", checkpoint, "--out", out
        ).status
        == 0
    )
    command = (f"tools/eval_{tool}.py", "-c", config_path, *QUICK)
    first = run(*command, "--checkpoint", checkpoint)
    store_path.unlink()
    second = run(*command, "--features", out)
    assert first.status == second.status == 0
    found = records(tmp_path / "runs/small")
    half = len(found) // 2
    assert [{**r, "value": pytest.approx(r["value"])} for r in found[:half]] == found[half:]


def test_features_that_were_made_otherwise_are_recorded_as_that(
    run, config_path, checkpoint, evaluate, tmp_path
):
    out = tmp_path / "bf16.h5"
    command = ("-c", config_path, "--checkpoint", checkpoint, "--out", out, "precision=bf16")
    assert run("tools/extract_features.py", *command).status == 0
    assert run("tools/eval_knn.py", "-c", config_path, "--features", out).status == 0
    assert evaluate() == 0  # its own features are float32


def test_a_level_of_the_encoder_is_probed_under_a_name_of_its_own(
    evaluate, run, config_path, checkpoint, tmp_path
):
    folder, features = tmp_path / "runs/small", tmp_path / "level2.h5"
    assert evaluate() == 0
    assert evaluate("feature_level=2", "--features", features) == 0
    with h5py.File(features) as file:
        assert file["features"].shape == (16, 2 * 4 * 8)  # both paths, 4b wide
    assert read_scores(folder / "scores_knn_level2.npz").evaluation["feature_level"] == 2
    assert evaluate() == 2  # the end of the encoder is another thing
    table = run("tools/results.py", folder).out
    assert "linear (level 2)" in table and "knn (level 2)" in table
    done = run("tools/eval_linear.py", "-c", config_path, "--checkpoint", "raw", "feature_level=1")
    assert done.status == 2 and "raw views have no levels" in done.err
    done = run(
        "tools/eval_finetune.py", "-c", config_path, "--checkpoint", checkpoint, "feature_level=1"
    )
    assert done.status == 2 and "only knn and linear look at a level" in done.err


def test_streams_are_added_up_at_one_level_and_never_at_two(run, config_path, tmp_path):
    files = {}
    for stream, level in (("joint", 2), ("bone", 2), ("bone", 3)):
        name = f"{stream}_level{level}"
        overrides = (f"stream={stream}", f"name={name}", f"feature_level={level}", "protocols=[linear]")
        done = run(
            "tools/evaluate.py", "-c", config_path, "--checkpoint", "none", *QUICK, *overrides
        )
        assert done.status == 0, done.err
        files[name] = tmp_path / f"runs/{name}/scores_linear_level{level}_none.npz"
    done = run("tools/fuse_streams.py", files["joint_level2"], files["bone_level3"])
    assert done.status == 2 and done.err.count("\n") == 1
    assert f"the level of the features is 3, but 2 in {files['joint_level2']}" in done.err
    joint, bone = (read_scores(files[name]).scores for name in ("joint_level2", "bone_level2"))
    assert run("tools/fuse_streams.py", files["joint_level2"], files["bone_level2"]).status == 0
    folder = tmp_path / "runs/joint_level2"
    fused = read_scores(folder / "scores_fusion_joint+bone_linear_level2_none.npz")
    np.testing.assert_allclose(fused.scores, joint + bone, rtol=1e-5)
    assert not np.allclose(joint, bone)
    assert [fused.evaluation[key] for key in ("protocol", "fused", "feature_level")] == [
        "fusion",
        "linear",
        2,
    ]
    assert "\nfusion (linear (level 2)) " in run("tools/results.py", folder).out


def test_the_logistic_probe_has_files_of_its_own(run, config_path, checkpoint, tmp_path):
    done = run(
        "tools/eval_linear.py",
        "-c",
        config_path,
        "--checkpoint",
        checkpoint,
        "linear.probe=logistic",
    )
    assert done.status == 0, done.err
    assert (
        read_scores(tmp_path / "runs/small/scores_linear_logistic.npz").evaluation["probe"]
        == "logistic"
    )
    assert {(r["protocol"], r["probe"]) for r in records(tmp_path / "runs/small")} == {
        ("linear", "logistic")
    }


def test_labelled_names_are_those_of_the_scores_beside_them(
    run, config_path, checkpoint, tmp_path, monkeypatch
):
    folder, command = (
        tmp_path / "runs/small",
        ("tools/eval_finetune.py", "-c", config_path, "--checkpoint", checkpoint),
    )
    command += (*QUICK, "finetune.label_fraction=0.5", "finetune.num_subsets=1")
    assert run(*command).status == 0
    names, neighbour = (
        folder / "labelled_semi_0.5_draw0.txt",
        folder / "labelled_semi_0.5_draw1.txt",
    )
    before = names.read_text()
    with monkeypatch.context() as stopped:
        stopped.setattr("scdnet.eval.protocols.finetune", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(*command, "seed=3")
    assert names.read_text() == before
    assert run(*command, "finetune.num_subsets=4").err.count("already") == 1  # the first of them
    assert run(*command, "seed=1").status == 0
    assert names.read_text() != neighbour.read_text()  # seed 1, draw 0 is not seed 0, draw 1


@pytest.mark.parametrize(
    ("level", "width", "tag"), [(4, 2 * 16, ""), (2, 2 * 4 * 8, "_level2")]
)
def test_retrieval_across_data_sets(
    run, config_path, small_config, checkpoint, tmp_path, level, width, tag
):
    other = write_synthetic_store(tmp_path / "other.h5", seed=5)
    for store, out in ((small_config.data.store, "a.h5"), (other, "b.h5")):
        done = run(
            "tools/extract_features.py", "-c", config_path, f"data.store={store}", f"feature_level={level}",
            "--checkpoint", checkpoint, "--out", tmp_path / out,
        )  # fmt: skip
        assert done.status == 0, done.err
    knn = (
        "tools/eval_knn.py",
        "-c",
        config_path,
        f"feature_level={level}",
        "--features",
        tmp_path / "a.h5",
        "--gallery",
    )
    done = run(*knn, tmp_path / "b.h5")
    assert done.status == 0, done.err
    assert (", level 2, percent" in done.out) == (level == 2)
    of = {(r["gallery"], r.get("feature_level", 4)) for r in records(tmp_path / "runs/small")}
    assert of == {("other", level)}
    queries, gallery = (read_features(tmp_path / name) for name in ("a.h5", "b.h5"))
    assert queries.x.shape[1] == gallery.x.shape[1] == width
    scores = read_scores(tmp_path / f"runs/small/scores_knn_from_other{tag}.npz").scores
    cosines = F.normalize(queries.x[queries.rows("xsub", train=False)]) @ F.normalize(gallery.x).T
    nearest = torch.stack(
        [cosines[:, gallery.label == label].amax(dim=1) for label in (0, 1)], dim=1
    )
    np.testing.assert_allclose(scores, nearest, atol=1e-5)
    done = run(*knn, tmp_path / "a.h5")
    assert done.status == 2 and "of its sequences are queries too" in done.err
    done = run(*knn[:-1], "feature_level=3")
    assert (
        done.status == 2
        and f"a.h5: feature_level is {level} in the file, 3 in the config" in done.err
    )


@pytest.mark.end_to_end
def test_transfer_to_a_store_of_more_classes_and_training_from_scratch(
    run, small_config, checkpoint, tmp_path
):
    other = write_synthetic_store(tmp_path / "other.h5", classes=3, per_split=9)
    config = tmp_path / "transfer.yaml"
    content = dump_config(small_config)
    content |= {"name": "transfer", "data": {**content["data"], "store": str(other)}}
    config.write_text(yaml.safe_dump(content))
    for name in (checkpoint, "none"):
        done = run("tools/eval_finetune.py", "-c", config, "--checkpoint", name, *QUICK)
        assert done.status == 0, done.err
    found = {
        (r["protocol"], r["checkpoint"], r["pretrained_on"])
        for r in records(tmp_path / "runs/transfer")
    }
    assert found == {("transfer", str(checkpoint), "synthetic"), ("finetune", "none", None)}
    with np.load(tmp_path / "runs/transfer/scores_transfer.npz") as scores:
        assert scores["scores"].shape == (9, 3)
    assert run("tools/eval_linear.py", "-c", config, "--checkpoint", checkpoint, *QUICK).status == 0
    assert read_scores(tmp_path / "runs/transfer/scores_linear.npz").scores.shape == (9, 3)


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("knn", (), "one of --checkpoint and --features is needed"),
        ("linear", ("--features", "none.h5"), "none.h5: no such features file"),
        ("finetune", ("--checkpoint", "raw"), "--checkpoint raw has no weights to fine-tune"),
        (
            "finetune",
            ("--checkpoint", "none", "finetune.label_fraction=0"),
            "finetune.label_fraction: ",
        ),
        (
            "linear",
            ("--checkpoint", "none", "linear.prob=logistic"),
            "did you mean 'linear.probe'?",
        ),
        ("linear", ("--checkpoint", "none", "protocols=[knn, lineal]"), "protocols"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(run, config_path, tool, arguments, message):
    done = run(f"tools/eval_{tool}.py", "-c", config_path, *arguments)
    assert done.status == 2 and message in done.err and "Traceback" not in done.err
