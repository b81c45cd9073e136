import doctest
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from scdnet.config import Config
from scdnet.engine.build import build_model
from scdnet.engine.checkpoint import CheckpointError, read_checkpoint
from scdnet.engine.device import seed_everything
from scdnet.engine.run import directory
from scdnet.engine.run.checkpoints import RunCheckpoints
from scdnet.engine.run.directory import RunDirError
from scdnet.engine.train import pretrain as pretraining
from scdnet.engine.train import start as starting
from scdnet.engine.train.pretrain import pretrain
from scdnet.engine.train.start import start_training
from scdnet.engine.train.step import metric_names
from scdnet.errors import ScdnetError
from scdnet.eval.features import load_encoder_or_baseline
from scdnet.eval.knn import score_1nn
from scdnet.models.objective import Objective
from scdnet.skeletons import NTU_25
from tests.conftest import write_synthetic_store
from tests.engine.runs import assert_same_weights, changed, metrics_of, weights_of

METRICS = metric_names(Objective())
LOSSES = [name for name in METRICS if name.startswith("loss/")]


def test_a_run_writes_config_metrics_board_and_checkpoint(finished: Config):
    assert read_checkpoint(finished.run_dir / "last.pt").state["epoch"] == 2
    assert list((finished.run_dir / "tensorboard").iterdir())
    assert "queue_size: 4" in (finished.run_dir / "config.yaml").read_text()
    lines = metrics_of(finished)
    assert [line["epoch"] for line in lines] == [0, 1]
    for line in lines:
        assert all(math.isfinite(line[name]) for name in METRICS)
        # Four terms: chance, and cosines at most 2 apart.
        assert 0 < line["loss"] < 4 * (math.log(1 + 4) + 2 / 0.2)
        assert sum(line[name] for name in LOSSES) == pytest.approx(line["loss"])
        assert line["grad_norm"] > 0
        # Unit vectors are at most 2 apart.
        assert 0 < line["alignment/temporal"] < 4
        assert -8 < line["uniformity/temporal"] < 0
        assert 0 < line["feature_std/temporal"] < 2
        assert line["lr"] == 0.01
        assert line["clips_per_second"] > 0
        assert line["cpu_seconds"] > 0
        assert 0 < line["data_time_fraction"] < 1
        assert line["step_seconds"] == pytest.approx(line["seconds"] / 2)
        assert "gpu_memory_gb" not in line
    board = EventAccumulator(str(finished.run_dir / "tensorboard"))
    board.Reload()
    assert {*METRICS, "lr", "step_seconds"} <= set(board.Tags()["scalars"])


def test_the_example_runs_and_logs_little(small_config: Config, capsys: pytest.CaptureFixture):
    (example,) = doctest.DocTestFinder(recurse=False).find(
        pretrain, globs={"pretrain": pretrain, "config": small_config, "score_1nn": score_1nn}
    )
    runner = doctest.DocTestRunner()
    runner.run(example)
    assert runner.summarize().failed == 0
    err = capsys.readouterr().err
    last = err.splitlines()[-1]
    assert last.startswith("epoch 2/2  loss ")
    assert "grad_norm" not in last
    assert "warning" not in err


def test_a_collapse_is_warned_of_once(small_config: Config, capsys: pytest.CaptureFixture):
    # Embeddings are constant from the second epoch on.
    config = changed(small_config, optim={"lr": 10.0, "epochs": 3})
    pretrain(config)
    collapsed = [line["feature_std/spatial"] < 1e-3 for line in metrics_of(config)]
    assert collapsed == [False, True, True]
    warnings = [line for line in capsys.readouterr().err.splitlines() if "collapsed" in line]
    assert len(warnings) == 1
    assert "the embeddings have collapsed (temporal, spatial, instance)" in warnings[0]
    assert "throughout epoch 1; start a new run" in warnings[0]


def test_training_moves_both_encoders_heads_and_queues(small_config: Config):
    config = changed(small_config, optim={"lr": 0.1}, model={"momentum": 0.5})
    seed_everything(config.seed)
    before = build_model(config, Objective(), skeleton=NTU_25).state_dict()
    after = weights_of(pretrain(config))
    unmoved = {name for name in after if torch.equal(after[name], before[name])}
    # Every batch of 4 fills the queues of 4: their cursors are back at 0. The batch norm that
    # follows takes the biases away.
    expected = ("cursor", "reduce.bias", "skip.0.bias", "residual.0.bias")
    assert {name for name in unmoved if not name.endswith(expected)} == set()


def test_a_seed_decides_the_run_and_scores_change_nothing(small_config: Config, finished: Config):
    expected = finished.run_dir / "last.pt"
    config = changed(finished, name="scored", eval_every=1)
    again = pretrain(config, score=partial(score_1nn, limit=5))
    assert_same_weights(expected, again)
    assert all(0 <= line["knn@1"] <= 100 for line in metrics_of(config))
    other = pretrain(changed(finished, name="other", seed=1, optim={"epochs": 1}))
    name = "query.heads.instance.0.weight"
    assert not torch.equal(weights_of(other)[name], weights_of(expected)[name])


def test_neither_caching_nor_resuming_changes_the_run(finished: Config):
    begun = changed(finished, name="begun", optim={"epochs": 1})
    pretrain(begun)
    streaming = {"cache": "none", "num_workers": 2}
    rest = changed(begun, optim={"epochs": 2}, data=streaming)
    resumed = pretrain(rest, resume=True)
    assert_same_weights(finished.run_dir / "last.pt", resumed)
    assert [line["epoch"] for line in metrics_of(rest)] == [0, 1]
    assert "epochs: 2" in (rest.run_dir / "config.yaml").read_text()


@pytest.mark.usefixtures("no_training")
def test_the_last_epoch_is_saved_whatever_save_every_is(small_config: Config):
    path = pretrain(changed(small_config, save_every=100))
    assert read_checkpoint(path).state["epoch"] == 2


@pytest.mark.usefixtures("no_training")
def test_a_run_that_exists_is_neither_reused_nor_overwritten(finished: Config):
    path = finished.run_dir / "last.pt"
    before = path.read_bytes()
    message = "this run exists; continue it with --resume, replace it with --overwrite"
    with pytest.raises(RunDirError, match=message):
        pretrain(finished)
    assert path.read_bytes() == before
    pretrain(changed(finished, seed=5), overwrite=True)
    assert path.read_bytes() != before


def test_resume_refuses_another_recipe_and_names_it(finished: Config):
    with pytest.raises(RunDirError, match=r"cannot resume: optim\.lr"):
        pretrain(changed(finished, optim={"lr": 0.5}), resume=True)


@pytest.mark.usefixtures("no_training")
def test_resume_with_nothing_there_starts_a_new_run(
    small_config: Config, capsys: pytest.CaptureFixture
):
    pretrain(small_config, resume=True)
    assert "nothing to resume, starting a new run" in capsys.readouterr().err


def test_a_split_smaller_than_a_batch_is_taken_as_a_whole(
    small_config: Config, capsys: pytest.CaptureFixture
):
    config = changed(small_config, data={"batch_size": 64}, model={"queue_size": 64})
    path = pretrain(config)
    message = "smaller than data.batch_size 64: each step takes all of its 8 sequences."
    assert capsys.readouterr().err.count(message) == 1
    # An epoch is one step; each pushed eight keys.
    assert weights_of(path)["queues.instance.cursor"] == 2 * 8
    saved = read_checkpoint(path).state["config"]
    assert saved["data"]["batch_size"] == 64
    longer = changed(config, optim={"epochs": 3})
    assert weights_of(pretrain(longer, resume=True))["queues.instance.cursor"] == 3 * 8


def test_a_split_of_one_sequence_is_refused(small_config: Config, tmp_path: Path):
    store = write_synthetic_store(tmp_path / "one.h5", per_split=1)
    config = changed(small_config, data={"store": store})
    message = r"one\.h5: the training split of benchmark 'xsub' has one sequence; expected two"
    with pytest.raises(ScdnetError, match=message):
        pretrain(config)
    assert not config.run_dir.exists()


def test_a_split_of_two_sequences_is_trained_on(small_config: Config, tmp_path: Path):
    store = write_synthetic_store(tmp_path / "two.h5", per_split=2)
    config = changed(small_config, data={"store": store}, optim={"steps": 2})
    pretrain(changed(config, model={"queue_size": "auto"}))
    assert [line["step"] for line in metrics_of(config)] == [2]


def test_an_automatic_queue_is_derived_again_when_a_run_is_resumed(
    small_config: Config, capsys: pytest.CaptureFixture
):
    config = changed(
        small_config,
        data={"benchmark": "everybody", "batch_size": 2},
        model={"queue_size": "auto"},
        optim={"epochs": 1},
    )
    path = pretrain(config)
    assert "16 training sequences" in (err := capsys.readouterr().err)
    assert "a queue of 4 keys, loss at chance level 6.44" in err
    assert len(weights_of(path)["queues.instance.keys"]) == 4
    assert "queue_size: auto" in (config.run_dir / "config.yaml").read_text()
    pretrain(changed(config, optim={"epochs": 2}), resume=True)
    assert read_checkpoint(path).state["epoch"] == 2
    with pytest.raises(RunDirError, match=r"model\.queue_size is auto in the run, 4 in the config"):
        pretrain(changed(config, model={"queue_size": 4}), resume=True)
    encoder, _ = load_encoder_or_baseline(path, config, NTU_25)
    assert load_encoder_or_baseline("random-init", config, NTU_25)[0].sizes == encoder.sizes


@pytest.mark.usefixtures("no_training")
def test_a_queue_as_long_as_the_split_is_warned_of(
    small_config: Config, capsys: pytest.CaptureFixture
):
    pretrain(changed(small_config, model={"queue_size": 8}, optim={"epochs": 1}))
    message = "model.queue_size 8 is more than half of the 8 training sequences"
    assert message in capsys.readouterr().err


def test_paths_that_the_objective_does_not_train_are_warned_of(
    small_config: Config, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    num_metrics = len(METRICS)
    monkeypatch.setattr(starting, "train_step", lambda *args, **kwargs: torch.ones(num_metrics))
    one_epoch = {"epochs": 1}
    hdc = {"subtasks": ("temporal",), "levels": (1, 3)}
    config = changed(small_config, objective="hdc", hdc=hdc, optim=one_epoch)
    num_metrics = len(start_training(config, NTU_25, torch.device("cpu")).metric_names)
    pretrain(config)
    err = capsys.readouterr().err
    assert "The temporal path above level 3 receives no gradient: no query uses it." in err
    assert "The spatial path receives no gradient: no query uses it." in err
    scd = {"pairs": (("instance", "instance"),)}
    config = changed(small_config, name="moco", scd=scd, optim=one_epoch)
    num_metrics = len(start_training(config, NTU_25, torch.device("cpu")).metric_names)
    pretrain(config)
    assert "receives no gradient" not in capsys.readouterr().err


def test_a_loss_that_is_nan_ends_the_run(small_config: Config):
    message = (
        r"loss/\S+ became NaN or Inf in epoch \d, step \d .*; start a new run.* a lower optim.lr"
    )
    with pytest.raises(ScdnetError, match=message):
        pretrain(changed(small_config, optim={"lr": 1e30}))


@pytest.mark.usefixtures("no_training")
def test_baselines_may_be_evaluated_before_the_training(small_config: Config):
    small_config.run_dir.mkdir(parents=True)
    results = small_config.run_dir / "results.jsonl"
    results.write_text("{}\n")
    for name in (
        "features.h5",
        "scores_knn_random-init.npz",
        "confusion_knn_raw.tsv",
        "scores_linear_logistic_raw-pca.npz",
        "labeled_finetune_random-init.txt",
    ):
        (small_config.run_dir / name).touch()
    pretrain(small_config)
    assert results.read_text() == "{}\n"


@pytest.mark.usefixtures("no_training")
def test_resuming_without_a_checkpoint_keeps_the_config_and_refuses_other_files(
    finished: Config,
):
    (finished.run_dir / "last.pt").unlink()
    message = r"config\.yaml: cannot resume: seed is 0 in the run, 5 in the config"
    with pytest.raises(RunDirError, match=message):
        pretrain(changed(finished, seed=5), resume=True)
    (finished.run_dir / "scores_knn.npz").touch()
    message = r"no checkpoint to resume, but scores_knn\.npz; replace everything"
    with pytest.raises(RunDirError, match=message):
        pretrain(finished, resume=True)
    assert len(metrics_of(finished)) == 2
    (finished.run_dir / "scores_knn.npz").unlink()
    assert read_checkpoint(pretrain(finished, resume=True)).state["epoch"] == 2


def test_a_config_that_is_none_is_named(finished: Config):
    (finished.run_dir / "last.pt").unlink()
    (finished.run_dir / "config.yaml").write_text("- 1")
    with pytest.raises(RunDirError, match=r"config\.yaml: not a config \(expected a mapping"):
        pretrain(finished, resume=True)


@pytest.mark.parametrize(
    "left", [["config.yaml.tmp"], ["metrics.jsonl.tmp", "results.jsonl"], [".lock"]]
)
@pytest.mark.usefixtures("no_training")
def test_what_a_kill_leaves_before_there_is_a_run_is_in_nobodys_way(
    small_config: Config, left: list[str]
):
    small_config.run_dir.mkdir(parents=True)
    for name in left:
        (small_config.run_dir / name).touch()
    path = pretrain(small_config, resume=True)
    assert {"last.pt", "config.yaml"} <= {file.name for file in path.parent.iterdir()}
    assert not list(path.parent.glob("*.tmp"))


@pytest.mark.usefixtures("no_training")
def test_overwriting_that_is_killed_leaves_nothing_to_resume_from(
    finished: Config, monkeypatch: pytest.MonkeyPatch
):
    removed = []
    remove = directory._remove

    def remove_twice(path: Path) -> None:
        if len(removed) == 2:
            raise KeyboardInterrupt
        removed.append(path.name)
        remove(path)

    with monkeypatch.context() as patch:
        patch.setattr(directory, "_remove", remove_twice)
        with pytest.raises(KeyboardInterrupt):
            pretrain(changed(finished, seed=5), overwrite=True)
    assert removed[0] == "last.pt"
    assert (finished.run_dir / "config.yaml").exists()
    pretrain(changed(finished, seed=5), overwrite=True)


def test_a_rank_that_reads_another_checkpoint_than_the_first_is_ended(
    finished: Config, monkeypatch: pytest.MonkeyPatch
):
    path = finished.run_dir / "last.pt"
    monkeypatch.setattr(
        pretraining, "run_on_main", lambda make: (path, "the hash that the first rank has read")
    )
    checkpoints = RunCheckpoints(finished.run_dir, keep=2)
    with pytest.raises(CheckpointError, match="differs from the one that the first rank"):
        pretraining._load_newest(None, checkpoints, None, None, config=finished, ranks=None)


def test_overwrite_spares_a_directory_that_is_no_run(small_config: Config):
    small_config.run_dir.mkdir(parents=True)
    (small_config.run_dir / "thesis.tex").write_text("years of work")
    message = r"exists but is not a run directory, it contains thesis\.tex and no config\.yaml"
    for overwrite in (False, True):
        with pytest.raises(RunDirError, match=message):
            pretrain(small_config, overwrite=overwrite)
    assert (small_config.run_dir / "thesis.tex").exists()


@pytest.mark.usefixtures("no_training")
def test_metrics_after_the_last_checkpoint_are_dropped_on_resume(finished: Config):
    # A run that was killed before it saved leaves these.
    with (finished.run_dir / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "loss": -1}\n{"epoch": 3, "lo')
    config = changed(finished, optim={"epochs": 3})
    pretrain(config, resume=True)
    lines = metrics_of(config)
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    assert all(line["loss"] > 0 for line in lines)


@pytest.mark.usefixtures("no_training")
def test_a_cosine_schedule_cannot_be_bent_by_more_epochs(small_config: Config):
    config = changed(small_config, optim={"schedule": "cosine", "epochs": 1})
    pretrain(config)
    with pytest.raises(RunDirError, match=r"optim\.epochs is 1 in the run, 3 in"):
        pretrain(changed(config, optim={"epochs": 3}), resume=True)


def test_a_checkpoint_without_its_optimizer_cannot_be_resumed(finished: Config):
    path = finished.run_dir / "last.pt"
    state = torch.load(path, weights_only=True)
    state["optimizer"] = {}
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"last\.pt: cannot resume from it"):
        pretrain(changed(finished, optim={"epochs": 3}), resume=True)


@pytest.mark.parametrize("cache", ["auto", "none"])
@pytest.mark.usefixtures("no_training")
def test_a_benchmark_without_a_test_split_trains_on_all_and_scores_nothing(
    small_config: Config, capsys: pytest.CaptureFixture, cache: str
):
    data = {"benchmark": "everybody", "cache": cache}
    config = changed(small_config, eval_every=1, data=data)
    pretrain(config, score=score_1nn)
    err = capsys.readouterr().err
    assert "benchmark 'everybody' has no test split, so eval_every has no effect" in err
    assert "16 training sequences" in err
    assert not any("knn@1" in line for line in metrics_of(config))
    assert not (config.run_dir / "best.pt").exists()


@pytest.mark.usefixtures("no_training")
def test_nothing_is_said_of_a_test_split_that_nobody_asked_for(
    small_config: Config, capsys: pytest.CaptureFixture
):
    pretrain(changed(small_config, data={"benchmark": "everybody"}), score=score_1nn)
    assert "warning" not in capsys.readouterr().err


@pytest.mark.usefixtures("no_training")
def test_unlabeled_sequences_are_not_scored(
    small_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture
):
    store = write_synthetic_store(tmp_path / "unlabeled.h5", classes=1)
    config = changed(small_config, eval_every=1, data={"store": store})
    pretrain(config, score=score_1nn)
    message = "all sequences have the class 'class 0', so eval_every has no effect"
    assert message in capsys.readouterr().err
    assert not any("knn@1" in line for line in metrics_of(config))


@pytest.mark.usefixtures("no_training")
def test_a_training_split_is_needed(small_config: Config):
    with pytest.raises(ScdnetError, match="the training split of benchmark 'nobody' is empty"):
        pretrain(changed(small_config, data={"benchmark": "nobody"}))


def test_memory_that_runs_out_in_a_step_is_an_error_that_names_the_keys(
    small_config: Config, monkeypatch: pytest.MonkeyPatch
):
    def run_out_of_memory(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
            "8.00 GiB of which 1.00 GiB is free."
        )

    monkeypatch.setattr(starting, "train_step", run_out_of_memory)
    with pytest.raises(
        ScdnetError,
        match=r"out of memory \(GPU\): 2\.15 GB were asked for, 1\.07 GB are free; "
        r"lower data\.batch_size \(4\) or model\.queue_size \(4\)",
    ):
        pretrain(small_config)
