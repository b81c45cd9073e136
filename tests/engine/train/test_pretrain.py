import math
from functools import partial

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from scdnet.config import Config
from scdnet.engine.build import build_model
from scdnet.engine.checkpoint import CheckpointError, read_checkpoint
from scdnet.engine.device import seed_everything
from scdnet.engine.run import directory as run_dir
from scdnet.engine.run.checkpoints import RunCheckpoints
from scdnet.engine.run.directory import RunDirError
from scdnet.engine.train import pretrain as trainer
from scdnet.engine.train.pretrain import pretrain
from scdnet.engine.train.state import metric_names, start_training
from scdnet.errors import ScdnetError
from scdnet.eval.knn import score_1nn
from scdnet.models.objective import Objective
from tests.engine.runs import assert_same_weights, changed, metrics_of, weights_of

REPORT = metric_names(Objective())
LOSSES = [name for name in REPORT if name.startswith("loss/")]


def test_a_run_leaves_config_metrics_board_and_checkpoint(small_config: Config):
    path = pretrain(small_config)
    assert path == small_config.run_dir / "last.pt"
    assert read_checkpoint(path).state["epoch"] == 2
    lines = metrics_of(small_config)
    assert [line["epoch"] for line in lines] == [0, 1]
    assert all(line["clips_per_second"] > 0 and line["lr"] == 0.01 for line in lines)
    assert (
        0 < lines[0]["loss"] < 4 * (math.log(1 + 4) + 2 / 0.2)
    )  # four terms: chance, and cosines at most 2 apart
    assert list((small_config.run_dir / "tensorboard").iterdir())
    assert "queue_size: 4" in (small_config.run_dir / "config.yaml").read_text()


def test_what_is_watched_is_on_record_and_little_of_it_on_the_terminal(
    small_config: Config, capsys: pytest.CaptureFixture
):
    pretrain(small_config)
    for line in metrics_of(small_config):
        numbers = [line[name] for name in REPORT]
        assert all(map(math.isfinite, numbers))
        assert sum(line[name] for name in LOSSES) == pytest.approx(line["loss"])
        assert line["grad_norm"] > 0
        assert 0 < line["alignment/temporal"] < 4  # unit vectors are at most 2 apart
        assert -8 < line["uniformity/temporal"] < 0
        assert 0 < line["feature_std/temporal"] < 2
        assert line["step_seconds"] == pytest.approx(line["seconds"] / 2)
        assert "gpu_memory_gb" not in line
    board = EventAccumulator(str(small_config.run_dir / "tensorboard"))
    board.Reload()
    assert {*REPORT, "loss", "lr", "step_seconds"} <= set(board.Tags()["scalars"])
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("epoch 2/2  loss ")
    assert "grad_norm" not in told


def test_a_collapse_is_warned_of_once(small_config: Config, capsys: pytest.CaptureFixture):
    config = changed(
        small_config, optim={"lr": 10.0, "epochs": 4}
    )  # constant embeddings from the second epoch on
    pretrain(config)
    assert [line["feature_std/spatial"] < 1e-3 for line in metrics_of(config)] == [
        False,
        True,
        True,
        True,
    ]
    warnings = [line for line in capsys.readouterr().err.splitlines() if "collapsed" in line]
    assert len(warnings) == 1
    assert "the embeddings have collapsed (temporal, spatial, instance)" in warnings[0]
    assert "in all of epoch 1; lower optim.lr or raise optim.warmup_epochs" in warnings[0]


def test_a_healthy_run_is_not_warned_of(small_config: Config, capsys: pytest.CaptureFixture):
    pretrain(small_config)
    assert "warning" not in capsys.readouterr().err


def test_training_moves_both_encoders_heads_and_queues(small_config: Config):
    config = changed(small_config, optim={"lr": 0.1}, model={"momentum": 0.5})
    seed_everything(config.seed)
    before = build_model(config).state_dict()
    after = weights_of(pretrain(config))
    # every batch of 4 fills the queues of 4: their cursors are back at 0
    unmoved = {name for name in after if torch.equal(after[name], before[name])}
    taken_away = ("reduce.bias", "skip.0.bias", "residual.0.bias")  # by the batch norm that follows
    assert {name for name in unmoved if not name.endswith(("cursor", *taken_away))} == set()


def test_a_seed_decides_the_run(small_config: Config):
    first, again = (
        pretrain(changed(small_config, name="a")),
        pretrain(changed(small_config, name="b")),
    )
    other = pretrain(changed(small_config, name="c", seed=1))
    assert_same_weights(first, again)
    assert not torch.equal(
        *(weights_of(p)["query.heads.instance.0.weight"] for p in (first, other))
    )


def test_where_the_frames_lie_does_not_change_the_run(small_config: Config):
    held = pretrain(changed(small_config, name="held"), score=score_1nn)
    streaming = {"cache": "none", "num_workers": 2}
    read = pretrain(
        changed(small_config, name="read", data=streaming, eval_every=1), score=score_1nn
    )
    assert_same_weights(held, read)
    begun = changed(small_config, name="begun", optim={"epochs": 1})
    pretrain(begun)
    assert_same_weights(
        held, pretrain(changed(begun, optim={"epochs": 2}, data=streaming), resume=True)
    )


def test_the_share_of_the_time_that_goes_into_data_is_on_record(small_config: Config):
    pretrain(small_config)
    assert all(0 < line["data_time_fraction"] < 1 for line in metrics_of(small_config))


def test_resume_ends_where_the_undisturbed_run_ends(small_config: Config):
    whole = pretrain(changed(small_config, name="whole", optim={"epochs": 3}))
    part = changed(small_config, name="part", optim={"epochs": 1})
    pretrain(part)
    rest = changed(part, optim={"epochs": 3})
    assert_same_weights(whole, pretrain(rest, resume=True))
    assert [line["epoch"] for line in metrics_of(rest)] == [0, 1, 2]


def test_scores_during_training_change_nothing(small_config: Config):
    quiet = pretrain(changed(small_config, name="quiet"))
    scored_config = changed(small_config, name="scored", eval_every=1)
    scored = pretrain(scored_config, score=partial(score_1nn, limit=5))
    assert_same_weights(quiet, scored)
    assert all(0 <= line["knn@1"] <= 100 for line in metrics_of(scored_config))


def test_the_last_epoch_is_saved_whatever_save_every_says(small_config: Config):
    path = pretrain(changed(small_config, save_every=100))
    assert read_checkpoint(path).state["epoch"] == 2


def test_a_run_that_exists_is_neither_reused_nor_overwritten(small_config: Config):
    path = pretrain(small_config)
    before = path.read_bytes()
    with pytest.raises(
        RunDirError, match="this run exists; go on with --resume, replace it with --overwrite"
    ):
        pretrain(small_config)
    assert path.read_bytes() == before
    pretrain(changed(small_config, seed=5), overwrite=True)
    assert path.read_bytes() != before


def test_resume_refuses_another_recipe_and_names_it(small_config: Config):
    pretrain(small_config)
    with pytest.raises(RunDirError, match=r"cannot resume with another optim\.lr"):
        pretrain(changed(small_config, optim={"lr": 0.5}), resume=True)


def test_resume_with_nothing_there_starts_afresh_and_says_so(
    small_config: Config, capsys: pytest.CaptureFixture
):
    pretrain(small_config, resume=True)
    assert "nothing to resume, starting afresh" in capsys.readouterr().err


def test_a_batch_larger_than_the_split_is_refused(small_config: Config):
    config = changed(small_config, data={"batch_size": 9}, model={"queue_size": 9})
    with pytest.raises(
        ScdnetError, match=r"data\.batch_size 9 exceeds the training split of 8 sequences"
    ):
        pretrain(config)
    assert not config.run_dir.exists()


def test_a_queue_as_long_as_the_split_is_warned_of(
    small_config: Config, capsys: pytest.CaptureFixture
):
    pretrain(changed(small_config, model={"queue_size": 8}))
    assert (
        "model.queue_size 8 is more than half of the 8 training sequences"
        in capsys.readouterr().err
    )


def test_what_the_objective_does_not_train_is_said(
    small_config: Config, capsys: pytest.CaptureFixture
):
    pretrain(
        changed(small_config, objective="hdc", hdc={"subtasks": ("temporal",), "levels": (1, 3)})
    )
    said = capsys.readouterr().err
    assert "warning: the temporal path after level 3 is in no query and so not trained" in said
    assert "warning: the spatial path is in no query and so not trained" in said
    pretrain(changed(small_config, name="moco", scd={"pairs": (("instance", "instance"),)}))
    assert "in no query" not in capsys.readouterr().err


def test_a_loss_that_is_no_number_ends_the_run(small_config: Config):
    with pytest.raises(
        ScdnetError, match=r"loss/\S+ became (nan|inf) in epoch \d, step \d .*; lower optim.lr"
    ):
        pretrain(changed(small_config, optim={"lr": 1e30}))


def test_controls_may_be_evaluated_before_the_training(small_config: Config):
    small_config.run_dir.mkdir(parents=True)
    results = small_config.run_dir / "results.jsonl"
    results.write_text("{}\n")
    for name in (
        "features.h5",
        "scores_knn_none.npz",
        "confusion_knn_raw.tsv",
        "labelled_finetune_none.txt",
    ):
        (small_config.run_dir / name).touch()
    pretrain(small_config)
    assert results.read_text() == "{}\n"


def test_resuming_without_a_checkpoint_keeps_to_the_config_and_to_what_was_there(
    small_config: Config,
):
    pretrain(small_config)
    (small_config.run_dir / "last.pt").unlink()
    with pytest.raises(
        RunDirError, match=r"config\.yaml: cannot resume with another seed \(0 there, 5 here\)"
    ):
        pretrain(changed(small_config, seed=5), resume=True)
    (small_config.run_dir / "scores_knn.npz").touch()
    with pytest.raises(
        RunDirError, match=r"no checkpoint to resume, but scores_knn\.npz; replace all of it"
    ):
        pretrain(small_config, resume=True)
    assert len(metrics_of(small_config)) == 2
    (small_config.run_dir / "scores_knn.npz").unlink()
    assert read_checkpoint(pretrain(small_config, resume=True)).state["epoch"] == 2


@pytest.mark.parametrize(
    "left", [["config.yaml.tmp"], ["metrics.jsonl.tmp", "results.jsonl"], [".lock"]]
)
def test_what_a_kill_leaves_before_there_is_a_run_is_in_nobodys_way(
    small_config: Config, left: list[str]
):
    small_config.run_dir.mkdir(parents=True)
    for name in left:
        (small_config.run_dir / name).touch()
    path = pretrain(small_config, resume=True)
    assert {"last.pt", "config.yaml"} <= {file.name for file in path.parent.iterdir()}
    assert not list(path.parent.glob("*.tmp"))


def test_overwriting_that_is_killed_leaves_nothing_to_go_on_from(
    small_config: Config, monkeypatch: pytest.MonkeyPatch
):
    pretrain(small_config)
    removed, remove = [], run_dir._remove

    def remove_twice(path) -> None:
        if len(removed) == 2:
            raise KeyboardInterrupt
        removed.append(path.name)
        remove(path)

    monkeypatch.setattr(run_dir, "_remove", remove_twice)
    with pytest.raises(KeyboardInterrupt):
        pretrain(changed(small_config, seed=5), overwrite=True)
    assert removed[0] == "last.pt"
    monkeypatch.undo()
    assert (small_config.run_dir / "config.yaml").exists()
    pretrain(changed(small_config, seed=5), overwrite=True)


def test_a_rank_that_reads_another_checkpoint_than_the_first_is_ended(
    small_config: Config, monkeypatch: pytest.MonkeyPatch
):
    path, checkpoints = pretrain(small_config), RunCheckpoints(small_config.run_dir, keep=2)
    monkeypatch.setattr(
        trainer, "run_on_main", lambda make: (path, "the hash that the first rank has read")
    )
    with pytest.raises(
        CheckpointError, match="this rank reads another file there than the first one does"
    ):
        trainer._restore_newest(
            start_training(small_config, torch.device("cpu")), checkpoints, small_config
        )


def test_overwrite_spares_a_folder_that_is_no_run(small_config: Config):
    small_config.run_dir.mkdir(parents=True)
    (small_config.run_dir / "thesis.tex").write_text("years of work")
    with pytest.raises(RunDirError, match=r"holds no config\.yaml and so is not a run"):
        pretrain(small_config, overwrite=True)
    assert (small_config.run_dir / "thesis.tex").exists()


def test_metrics_after_the_last_checkpoint_are_dropped_on_resume(small_config: Config):
    pretrain(changed(small_config, optim={"epochs": 1}))
    with (small_config.run_dir / "metrics.jsonl").open("a") as file:
        file.write(
            '{"epoch": 1, "loss": -1}\n{"epoch": 2, "lo'
        )  # a run that was killed before it saved
    pretrain(small_config, resume=True)
    lines = metrics_of(small_config)
    assert [line["epoch"] for line in lines] == [0, 1]
    assert all(line["loss"] > 0 for line in lines)


def test_a_run_of_before_a_key_was_added_can_be_resumed(small_config: Config):
    path = pretrain(small_config)
    state = torch.load(path, weights_only=True)
    del state["config"]["data"]["cache_dtype"]
    torch.save(state, path)
    pretrain(changed(small_config, optim={"epochs": 3}), resume=True)
    with pytest.raises(RunDirError, match=r"another data\.cache_dtype"):
        pretrain(changed(small_config, data={"cache_dtype": "float16"}), resume=True)


def test_a_resumed_run_writes_the_config_that_it_goes_on_with(small_config: Config):
    pretrain(small_config)
    pretrain(changed(small_config, optim={"epochs": 3}), resume=True)
    assert "epochs: 3" in (small_config.run_dir / "config.yaml").read_text()


def test_a_cosine_schedule_cannot_be_bent_by_more_epochs(small_config: Config):
    config = changed(small_config, optim={"schedule": "cosine"})
    pretrain(config)
    with pytest.raises(RunDirError, match=r"another optim\.epochs"):
        pretrain(changed(config, optim={"epochs": 3}), resume=True)


def test_a_checkpoint_without_its_optimiser_cannot_be_resumed(small_config: Config):
    path = pretrain(small_config)
    state = torch.load(path, weights_only=True)
    state["optimizer"] = {}
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"last\.pt: cannot resume from it"):
        pretrain(changed(small_config, optim={"epochs": 3}), resume=True)
