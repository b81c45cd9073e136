"""Runs whose config counts steps: what they do when, and that they resume exactly."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.optim import Optimizer

from scdnet.config import Config
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.run.checkpoints import Progress, find_checkpoints, progress_of
from scdnet.engine.run.directory import RunDirError
from scdnet.engine.run.signals import StopRequest
from scdnet.engine.train import plan as planning
from scdnet.engine.train import start as starting
from scdnet.engine.train.pretrain import pretrain
from scdnet.engine.train.step import metric_names
from scdnet.errors import ScdnetError
from scdnet.eval.knn import score_1nn
from scdnet.models.scdnet import SCDNet
from tests.conftest import make_small_config, write_synthetic_store
from tests.engine.runs import (
    assert_same_state,
    assert_same_weights,
    call_before_each_step,
    changed,
    metrics_of,
    without_times,
)

# Steps of an epoch: 8 sequences, 2 a batch.
EPOCH = 4
StopAfter = Callable[[int], StopRequest]


@pytest.fixture(autouse=True)
def _lines_every_6_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "LOG_EVERY", 6)


@pytest.fixture
def config(small_config: Config) -> Config:
    return changed(small_config, data={"batch_size": 2}, optim={"steps": 10})


def lr_of(config: Config) -> list[float]:
    return [line["lr"] for line in metrics_of(config)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """The undisturbed run: eleven steps, the last three of a third epoch."""
    folder = tmp_path_factory.mktemp("whole")
    small = make_small_config(write_synthetic_store(folder / "synthetic.h5"), folder / "runs")
    config = changed(
        small,
        name="whole",
        data={"batch_size": 2},
        optim={"steps": 11, "schedule": "cosine", "warmup_epochs": 3},
        eval_every=5,
        save_every=3,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "LOG_EVERY", 6)
        return config, pretrain(config, score=score_1nn)


def test_lines_evaluations_and_checkpoints_come_after_their_steps(whole):
    config, last = whole
    lines = metrics_of(config)
    assert [line["step"] for line in lines] == [5, 6, 10, 11]
    assert [line["step"] for line in lines if "knn@1" in line] == [5, 10, 11]
    assert all("epoch" not in line for line in lines)
    assert progress_of(read_checkpoint(last).state) == Progress(2, 3)
    # The one before it is of step 9.
    assert (config.run_dir / "epoch_0002_step_0001.pt").is_file()
    best = read_checkpoint(config.run_dir / "best.pt").state["best"]
    assert best["step"] in (5, 10, 11)
    assert best["knn@1"] == max(line.get("knn@1", 0) for line in lines)


@pytest.mark.parametrize(
    ("cache", "num_workers", "stops"),
    [
        # After every step: also where a line, a score or a checkpoint is due, or an epoch ends.
        ("auto", 0, (1,) * 11),
        pytest.param("none", 0, (3, 2), marks=pytest.mark.slow),
        pytest.param("none", 2, (7, 1), marks=pytest.mark.slow),
    ],
)
def test_a_run_stopped_again_and_again_ends_as_the_undisturbed_one(
    whole,
    tmp_path: Path,
    stop_after: StopAfter,
    capsys: pytest.CaptureFixture,
    cache: str,
    num_workers: int,
    stops: tuple[int, ...],
):
    undisturbed, last = whole
    data = {"cache": cache, "num_workers": num_workers}
    config = changed(undisturbed, runs_dir=tmp_path, data=data)
    done = 0
    for steps in stops:
        path = pretrain(config, resume=done > 0, score=score_1nn, stop=stop_after(steps))
        err = capsys.readouterr().err
        assert done == 0 or f"Resuming from step {done}/11. Checkpoint: {path}" in err
        done += steps
        assert f"Stopped at step {done}/11. Checkpoint saved; continue with --resume." in err
    path = pretrain(config, resume=True, score=score_1nn)
    assert_same_state(path, last)
    assert without_times(config) == without_times(undisturbed)
    kept = [path.name for path in find_checkpoints(undisturbed.run_dir)]
    assert set(kept) <= {"last.pt", "best.pt", "epoch_0002_step_0001.pt"}


def test_a_killed_run_repeats_the_steps_since_its_checkpoint(
    whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    undisturbed, last = whole
    config = changed(undisturbed, runs_dir=tmp_path)

    def die(step: int) -> None:
        if step == 9:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        call_before_each_step(patch, die)
        with pytest.raises(KeyboardInterrupt):
            pretrain(config, score=score_1nn)
    # Its lines of steps 5 and 6, of which the checkpoint of step 6 knows.
    assert [line["step"] for line in metrics_of(config)] == [5, 6]
    # Of step 3: both lines are made again.
    (config.run_dir / "last.pt").unlink()
    path = pretrain(config, resume=True, score=score_1nn)
    assert_same_state(path, last)
    assert without_times(config) == without_times(undisturbed)


def test_the_same_plan_in_epochs_and_in_steps_is_the_same_training(config: Config):
    """Two epochs are eight steps, and the rate falls after one of them."""
    optim = {"milestones": (1,), "epochs": 2, "steps": None}
    in_epochs = changed(config, name="epochs", optim=optim)
    optim = {"milestones": (EPOCH,), "epochs": None, "steps": 2 * EPOCH}
    in_steps = changed(config, name="steps", optim=optim, save_every=EPOCH)
    first, second = pretrain(in_epochs), pretrain(in_steps)
    assert_same_state(first, second)
    assert lr_of(in_epochs) == pytest.approx([0.01, 0.001])
    assert lr_of(in_steps) == pytest.approx([0.001, 0.001])
    losses = [[line["loss"] for line in metrics_of(run)] for run in (in_epochs, in_steps)]
    # Lines are means of 4 and 4 steps, and of 6 and 2.
    assert sum(losses[0]) * 4 == pytest.approx(losses[1][0] * 6 + losses[1][1] * 2)


@pytest.mark.slow
def test_where_an_epoch_is_one_step_every_schedule_is_the_same(config: Config):
    for schedule in ("cosine", "multistep"):
        optim = {"schedule": schedule, "milestones": (3,), "warmup_epochs": 2}
        one = changed(config, data={"batch_size": 8}, model={"queue_size": 8}, optim=optim)
        runs = [
            changed(one, name=f"{schedule}_{unit}", optim={"epochs": None, "steps": None} | length)
            for unit, length in {"epochs": {"epochs": 4}, "steps": {"steps": 4}}.items()
        ]
        assert_same_weights(*(pretrain(run) for run in runs))


def test_the_rate_is_set_before_each_step(config: Config, monkeypatch: pytest.MonkeyPatch):
    optim = {"steps": 10, "warmup_epochs": 3, "milestones": (6,), "lr": 1.0}
    rates = []

    def step(model: SCDNet, optimizer: Optimizer, *_: object, **__: object) -> torch.Tensor:
        rates.append(optimizer.param_groups[0]["lr"])
        return torch.ones(len(metric_names(model.objective)))

    monkeypatch.setattr(starting, "train_step", step)
    pretrain(changed(config, optim=optim))
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.1, 0.1, 0.1, 0.1])


@pytest.mark.usefixtures("no_training")
def test_the_last_step_is_saved_whatever_save_every_is(config: Config):
    path = pretrain(changed(config, save_every=100))
    assert progress_of(read_checkpoint(path).state) == (2, 2)
    assert [line["step"] for line in metrics_of(config)] == [6, 10]


@pytest.mark.usefixtures("no_training")
def test_a_multistep_run_can_be_made_longer_but_not_counted_otherwise(config: Config):
    pretrain(config)
    longer = changed(config, optim={"steps": 13})
    assert progress_of(read_checkpoint(pretrain(longer, resume=True)).state) == (3, 1)
    assert [line["step"] for line in metrics_of(config)] == [6, 10, 12, 13]
    in_epochs = changed(config, optim={"steps": None, "epochs": 9})
    message = "optim.epochs is None in the run, 9 in the config; optim.steps is 13 in the run, None"
    with pytest.raises(RunDirError, match=re.escape(message)):
        pretrain(in_epochs, resume=True)
    cosine = changed(config, name="cosine", optim={"schedule": "cosine"})
    pretrain(cosine)
    with pytest.raises(RunDirError, match=r"optim\.steps is 10 in the run, 12 in the config"):
        pretrain(changed(cosine, optim={"steps": 12}), resume=True)


@pytest.mark.usefixtures("no_training")
def test_the_log_states_steps(config: Config, capsys: pytest.CaptureFixture):
    config = changed(config, optim={"milestones": (7,), "warmup_epochs": 2})
    pretrain(config)
    err = capsys.readouterr().err
    assert "10 steps, 2.5 epochs of 4 steps. Counted in steps: optim.warmup_epochs 2, " in err
    assert "eval_every 0, save_every 10, optim.milestones [7].\n" in err
    assert "step 10/10  loss 1" in err


def test_a_nan_is_reported_by_its_step(config: Config):
    config = changed(config, optim={"lr": 1e30}, save_every=1)
    message = r"became NaN or Inf in step \d \(counted from 1\), .*last\.pt, at step \d"
    with pytest.raises(ScdnetError, match=message):
        pretrain(config)


@pytest.mark.slow
def test_scores_within_an_epoch_change_nothing(config: Config):
    for cache in ("cpu", "none"):
        plain, scored = (
            changed(config, name=f"{cache}_{every}", eval_every=every, data={"cache": cache})
            for every in (0, 3)
        )
        expected = pretrain(plain)
        assert_same_weights(expected, pretrain(scored, score=partial(score_1nn, limit=5)))
