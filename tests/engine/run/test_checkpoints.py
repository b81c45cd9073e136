"""The files of a run: which are kept, and what is left of them after an accident."""

import errno
import math
import shutil
from pathlib import Path

import pytest
import torch

from scdnet.config import Config
from scdnet.engine.checkpoint import CONTENT, CheckpointError, read_checkpoint
from scdnet.engine.run.checkpoints import Progress, RunCheckpoints, find_checkpoints, progress_of
from scdnet.engine.run.directory import RunDirError
from scdnet.engine.train import start as starting
from scdnet.engine.train.pretrain import pretrain
from scdnet.errors import ScdnetError
from scdnet.models.scdnet import SCDNet
from tests.engine.runs import assert_same_state, changed, metrics_of, weights_of
from tests.faults import largest_file


def state_at(epochs: int, steps: int = 0) -> dict:
    """Return the content of a checkpoint without weights."""
    empty = {key: kind() for key, kind in CONTENT.items()}
    return {**empty, "epoch": epochs, "unfinished": {"steps": steps} if steps else {}}


def names_in(folder: Path) -> list[str]:
    return [path.name for path in find_checkpoints(folder)]


def progress_in(folder: Path) -> list[Progress]:
    return [progress_of(read_checkpoint(path).state) for path in find_checkpoints(folder)]


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_the_newest_are_kept_under_the_name_of_their_progress(tmp_path: Path):
    checkpoints = RunCheckpoints(tmp_path, keep=3)
    for progress in ((90, 0), (99, 0), (99, 7), (100, 0), (10_000, 12)):
        checkpoints.save(state_at(*progress))
    assert names_in(tmp_path) == ["last.pt", "epoch_0100.pt", "epoch_0099_step_0007.pt"]
    assert progress_in(tmp_path) == [(10_000, 12), (100, 0), (99, 7)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names_in(tmp_path))


def test_one_can_be_all_that_is_kept(tmp_path: Path):
    checkpoints = RunCheckpoints(tmp_path, keep=1)
    for epochs in (1, 2):
        checkpoints.save(state_at(epochs))
    assert names_in(tmp_path) == ["last.pt"]


def test_the_same_progress_is_written_once(tmp_path: Path):
    RunCheckpoints(tmp_path, keep=2).save(state_at(3))
    again = RunCheckpoints(tmp_path, keep=2)
    again.newest()
    before = (tmp_path / "last.pt").stat()
    again.save(state_at(3))
    assert (tmp_path / "last.pt").stat() == before
    assert names_in(tmp_path) == ["last.pt"]


def test_what_was_done_after_the_last_step_is_written(tmp_path: Path):
    """A run that was stopped after its last step is scored and logged when it is resumed."""
    checkpoints = RunCheckpoints(tmp_path, keep=3)
    checkpoints.save(state_at(2))
    state = state_at(2, 3)
    checkpoints.save({**state, "unfinished": {"steps": 3, "metrics": torch.ones(5, 2)}})
    resumed = RunCheckpoints(tmp_path, keep=3)
    resumed.newest()
    resumed.save({**state, "best": {"step": 11}})
    assert read_checkpoint(tmp_path / "last.pt").state["best"] == {"step": 11}
    assert progress_in(tmp_path) == [(2, 3), (2, 0)]


def test_a_kill_between_the_renames_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    checkpoints = RunCheckpoints(tmp_path, keep=2)
    checkpoints.save(state_at(1))
    original = Path.rename

    def rename_and_die(self: Path, target: Path) -> None:
        original(self, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", rename_and_die)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(state_at(2))
    monkeypatch.undo()
    after = RunCheckpoints(tmp_path, keep=2)
    assert after.newest().path.name == "epoch_0001.pt"
    after.save(state_at(2))
    assert progress_in(tmp_path) == [(2, 0), (1, 0)]


def test_damaged_checkpoints_are_named_and_not_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    checkpoints = RunCheckpoints(tmp_path, keep=3)
    for epochs in (1, 2, 3):
        checkpoints.save(state_at(epochs))
    for name in ("last.pt", "epoch_0002.pt"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-1])
    after = RunCheckpoints(tmp_path, keep=2)
    assert after.newest().path.name == "epoch_0001.pt"
    err = capsys.readouterr().err
    assert "last.pt: not a readable checkpoint" in err
    assert "epoch_0002.pt: not a readable checkpoint" in err
    after.save(state_at(2))
    assert names_in(tmp_path) == ["last.pt", "epoch_0001.pt"]
    assert progress_in(tmp_path) == [(2, 0), (1, 0)]


def test_if_all_are_damaged_that_is_an_error(tmp_path: Path):
    checkpoints = RunCheckpoints(tmp_path, keep=2)
    for epochs in (1, 2):
        checkpoints.save(state_at(epochs))
    for path in find_checkpoints(tmp_path):
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"none of last\.pt, epoch_0001\.pt can be read"):
        RunCheckpoints(tmp_path, keep=2).newest()


def test_a_run_resumes_from_the_checkpoint_before_a_damaged_one(finished: Config, tmp_path: Path):
    config = changed(finished, save_every=1, optim={"epochs": 3})
    path = pretrain(config, resume=True)
    whole = shutil.copy(path, tmp_path / "whole.pt")
    flip(path, path.stat().st_size // 2)
    assert_same_state(pretrain(config, resume=True), whole)
    assert [line["epoch"] for line in metrics_of(config)] == [0, 1, 2]


@pytest.mark.usefixtures("no_training")
def test_the_best_is_kept_and_known_after_a_resume(finished: Config):
    scores = iter([5.0, 5.0, 6.0])
    epochs = []
    for last in (3, 4, 5):
        config = changed(finished, eval_every=1, optim={"epochs": last})
        pretrain(config, resume=True, score=lambda *_: {"knn@1": next(scores)})
        best = read_checkpoint(config.run_dir / "best.pt").state
        assert best["best"] == {"epoch": best["epoch"] - 1, "knn@1": max(5.0, last + 1.0)}
        epochs.append(best["epoch"])
    assert epochs == [3, 3, 5]


def test_the_best_is_better_than_nothing(finished: Config):
    config = changed(finished, eval_every=1)
    whole = weights_of(config.run_dir / "last.pt")
    (config.run_dir / "last.pt").rename(config.run_dir / "best.pt")
    path = pretrain(config, resume=True)
    assert path == config.run_dir / "last.pt"
    best = read_checkpoint(config.run_dir / "best.pt").state["model"]
    assert all(torch.equal(x, whole[name]) for name, x in best.items())


def test_a_checkpoint_that_cannot_be_written_leaves_and_names_the_one_before(finished: Config):
    path = finished.run_dir / "last.pt"
    before = path.read_bytes()
    longer = changed(finished, optim={"epochs": 3})
    with largest_file(len(before) // 2), pytest.raises(CheckpointError) as error:
        pretrain(longer, resume=True)
    assert "next.pt: cannot be written (File too large)" in str(error.value)
    assert (
        f"the last good checkpoint is {path}, at epoch 2; "
        "free disk space and continue with --resume" in str(error.value)
    )
    assert path.read_bytes() == before
    assert names_in(finished.run_dir) == ["last.pt"]
    assert list(finished.run_dir.glob("*.tmp")) == []


def test_weights_that_are_inf_are_not_saved(finished: Config, monkeypatch: pytest.MonkeyPatch):
    path = finished.run_dir / "last.pt"
    before = path.read_bytes()
    original = starting.train_step
    steps = []

    def spoil(model: SCDNet, *args: object, **kwargs: object) -> torch.Tensor:
        metrics = original(model, *args, **kwargs)
        steps.append(metrics)
        # After the last step of the epoch no loss will tell.
        if len(steps) == 2:
            model.query.heads["instance"][0].weight.data[0, 0] = math.inf
        return metrics

    monkeypatch.setattr(starting, "train_step", spoil)
    longer = changed(finished, optim={"epochs": 3})
    message = (
        r"query\.heads\.instance\.0\.weight became NaN or Inf in the step before a checkpoint; "
        r".*is \S+last\.pt, at epoch 2"
    )
    with pytest.raises(ScdnetError, match=message):
        pretrain(longer, resume=True)
    assert path.read_bytes() == before


def test_a_changed_config_is_named_with_both_values(finished: Config):
    other = changed(finished, optim={"lr": 0.5}, seed=3, keep_checkpoints=7)
    message = r"optim\.lr is 0\.01 in the run, 0\.5 in the config; seed is 0 in the run, 3 in"
    with pytest.raises(RunDirError, match=message):
        pretrain(other, resume=True)


def test_what_is_whole_but_not_for_this_program_or_machine_is_an_error_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for epochs in (1, 2):
        RunCheckpoints(tmp_path, keep=2).save(state_at(epochs))
    later = torch.load(tmp_path / "last.pt", weights_only=True) | {"version": 99}
    torch.save(later, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=r"last\.pt: expected version \d+, found 99"):
        RunCheckpoints(tmp_path, keep=2).newest()
    for error in (
        OSError(errno.ESTALE, "Stale file handle"),
        RuntimeError("can't allocate memory: you tried"),
    ):

        def fail(*args: object, error: Exception = error, **kwargs: object) -> None:
            raise error

        monkeypatch.setattr(torch, "load", fail)
        with pytest.raises(CheckpointError, match=r"last\.pt: not a readable checkpoint"):
            RunCheckpoints(tmp_path, keep=2).newest()


def test_a_damaged_checkpoint_is_renamed_not_removed(tmp_path: Path):
    RunCheckpoints(tmp_path, keep=2).save(state_at(1))
    resumed = RunCheckpoints(tmp_path, keep=2)
    resumed.newest()
    resumed.save(state_at(2))
    torn = (tmp_path / "last.pt").read_bytes()[:-20]
    (tmp_path / "last.pt").write_bytes(torn)
    checkpoints = RunCheckpoints(tmp_path, keep=2)
    assert checkpoints.newest().path.name == "epoch_0001.pt"
    checkpoints.save(state_at(3))
    assert (tmp_path / "last.pt.damaged").read_bytes() == torn
    assert progress_in(tmp_path) == [(3, 0), (1, 0)]


def test_a_kill_between_the_two_steps_of_the_first_save_loses_nothing(finished: Config):
    whole = finished.run_dir / "last.pt"
    config = changed(finished, runs_dir=finished.runs_dir / "killed", optim={"epochs": 3})
    config.run_dir.mkdir(parents=True)
    for name in ("config.yaml", "store.sha256", "metrics.jsonl"):
        shutil.copy(finished.run_dir / name, config.run_dir)
    shutil.copy(whole, config.run_dir / "next.pt")
    pretrain(config, resume=True)
    assert names_in(config.run_dir) == ["last.pt", "epoch_0002.pt"]
    assert_same_state(config.run_dir / "epoch_0002.pt", whole)


def test_a_damaged_file_of_the_first_save_is_not_mistaken_for_the_next_save(
    finished: Config, capsys: pytest.CaptureFixture
):
    config = changed(finished, runs_dir=finished.runs_dir / "killed", optim={"epochs": 3})
    config.run_dir.mkdir(parents=True)
    for name in ("config.yaml", "store.sha256", "metrics.jsonl"):
        shutil.copy(finished.run_dir / name, config.run_dir)
    (config.run_dir / "next.pt").write_bytes((finished.run_dir / "last.pt").read_bytes()[:-1])
    shutil.copy(finished.run_dir / "last.pt", config.run_dir / "best.pt")
    path = pretrain(config, resume=True)
    assert "next.pt" in capsys.readouterr().err
    assert read_checkpoint(path).state["epoch"] == 3
    assert (config.run_dir / "next.pt.damaged").is_file()
