"""The files of a run: which are kept, and what is left of them after an accident."""

import errno
import math
from pathlib import Path

import pytest
import torch

from scdnet import load_encoder
from scdnet.config import Config
from scdnet.engine.checkpoint import CONTENT, CheckpointError, read_checkpoint
from scdnet.engine.run.checkpoints import Progress, RunCheckpoints, find_checkpoints, progress_of
from scdnet.engine.run.directory import RunDirError
from scdnet.engine.train import state as training
from scdnet.engine.train.pretrain import pretrain
from scdnet.errors import ScdnetError
from scdnet.models.scdnet import SCDNet
from tests.engine.runs import assert_same_state, changed, metrics_of


def state_at(epochs: int, steps: int = 0) -> dict:
    """The content of a checkpoint without weights."""
    empty = {key: kind() for key, kind in CONTENT.items()}
    return {**empty, "epoch": epochs, "unfinished": {"steps": steps} if steps else {}}


def names_in(folder: Path) -> list[str]:
    return [path.name for path in find_checkpoints(folder)]


def places_in(folder: Path) -> list[Progress]:
    return [progress_of(read_checkpoint(path).state) for path in find_checkpoints(folder)]


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_the_newest_are_kept_under_the_name_of_their_place(tmp_path: Path):
    checkpoints = RunCheckpoints(tmp_path, keep=3)
    for place in ((90, 0), (99, 0), (99, 7), (100, 0), (10_000, 12)):
        checkpoints.save(state_at(*place))
    assert names_in(tmp_path) == ["last.pt", "epoch_0100.pt", "epoch_0099_step_0007.pt"]
    assert places_in(tmp_path) == [(10_000, 12), (100, 0), (99, 7)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names_in(tmp_path))


def test_one_can_be_all_that_is_kept(tmp_path: Path):
    checkpoints = RunCheckpoints(tmp_path, keep=1)
    for epochs in (1, 2):
        checkpoints.save(state_at(epochs))
    assert names_in(tmp_path) == ["last.pt"]


def test_a_place_is_written_once(tmp_path: Path):
    RunCheckpoints(tmp_path, keep=2).save(state_at(3))
    again = RunCheckpoints(tmp_path, keep=2)
    again.newest()
    before = (tmp_path / "last.pt").stat()
    again.save(state_at(3))
    assert (tmp_path / "last.pt").stat() == before
    assert names_in(tmp_path) == ["last.pt"]


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
    assert places_in(tmp_path) == [(2, 0), (1, 0)]


def test_what_is_damaged_is_named_and_makes_room(tmp_path: Path, capsys: pytest.CaptureFixture):
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
    assert places_in(tmp_path) == [(2, 0), (1, 0)]


def test_if_all_are_damaged_that_is_an_error(tmp_path: Path):
    checkpoints = RunCheckpoints(tmp_path, keep=2)
    for epochs in (1, 2):
        checkpoints.save(state_at(epochs))
    for path in find_checkpoints(tmp_path):
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"not one of last\.pt, epoch_0001\.pt can be read"):
        RunCheckpoints(tmp_path, keep=2).newest()


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(small_config: Config):
    config = changed(small_config, save_every=1, optim={"epochs": 3})
    whole = pretrain(changed(config, name="whole"))
    path = pretrain(config)
    flip(path, path.stat().st_size // 2)
    assert_same_state(pretrain(config, resume=True), whole)
    assert [line["epoch"] for line in metrics_of(config)] == [0, 1, 2]


def test_the_best_is_kept_and_known_after_a_resume(small_config: Config):
    scores = iter([3.0, 5.0, 4.0, 5.0, 6.0])
    epochs = []
    for last in (3, 4, 5):
        config = changed(small_config, eval_every=1, optim={"epochs": last})
        pretrain(config, resume=last > 3, score=lambda *_: {"knn@1": next(scores)})
        best = read_checkpoint(config.run_dir / "best.pt").state
        assert best["best"] == {"epoch": best["epoch"] - 1, "knn@1": max(5.0, last + 1.0)}
        epochs.append(best["epoch"])
    assert epochs == [2, 2, 5]


def test_the_best_is_better_than_nothing(small_config: Config):
    config = changed(small_config, eval_every=1)
    whole = read_checkpoint(pretrain(config, score=lambda *_: {"knn@1": 1.0})).state
    (config.run_dir / "last.pt").unlink()
    path = pretrain(config, resume=True, score=lambda *_: {"knn@1": 1.0})
    assert all(
        torch.equal(x, whole["model"][name])
        for name, x in read_checkpoint(path).state["model"].items()
    )


def test_a_checkpoint_that_cannot_be_written_leaves_and_names_the_one_before(
    small_config: Config, monkeypatch: pytest.MonkeyPatch
):
    path = pretrain(small_config)
    before = path.read_bytes()

    def full_disk(state: dict, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError(
            "PytorchStreamWriter failed writing file data/3: file write failed\nmore"
        )

    longer = changed(small_config, optim={"epochs": 3})
    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(CheckpointError) as error:
        pretrain(longer, resume=True)
    assert (
        "cannot be written (PytorchStreamWriter failed writing file data/3: file write failed)"
        in str(error.value)
    )
    assert (
        f"the last good checkpoint is {path}, after 2 epochs; make room and go on with --resume"
        in str(error.value)
    )
    assert path.read_bytes() == before
    assert names_in(small_config.run_dir) == ["last.pt"]
    assert list(small_config.run_dir.glob("*.tmp")) == []


def test_a_checkpoint_of_version_2_is_evaluated_and_resumed(small_config: Config):
    whole = pretrain(changed(small_config, name="whole", optim={"epochs": 3}))
    path = pretrain(small_config)
    state = torch.load(path, weights_only=True)
    state |= {"version": 2, "random": state["random"][0]}
    state["model"] = {name.replace(".heads.", "."): value for name, value in state["model"].items()}
    torch.save(
        {key: value for key, value in state.items() if key not in ("best", "unfinished")}, path
    )
    assert load_encoder(path).sizes.embed_dim == small_config.model.embed_dim
    assert_same_state(pretrain(changed(small_config, optim={"epochs": 3}), resume=True), whole)


def test_weights_that_are_no_numbers_are_not_saved(
    small_config: Config, monkeypatch: pytest.MonkeyPatch
):
    path = pretrain(small_config)
    before, original, steps = path.read_bytes(), training.train_step, []

    def spoil(model: SCDNet, *args: object, **kwargs: object) -> torch.Tensor:
        report = original(model, *args, **kwargs)
        steps.append(report)
        if len(steps) == 2:  # the last of the epoch: no loss will tell
            model.query.heads["instance"][0].weight.data[0, 0] = math.inf
        return report

    monkeypatch.setattr(training, "train_step", spoil)
    longer = changed(small_config, optim={"epochs": 3})
    with pytest.raises(
        ScdnetError, match=r"query\.heads\.instance\.0\.weight became inf.*is \S+last\.pt, after 2"
    ):
        pretrain(longer, resume=True)
    assert path.read_bytes() == before


def test_a_changed_config_is_named_with_both_values(small_config: Config):
    pretrain(small_config)
    other = changed(small_config, optim={"lr": 0.5}, seed=3, keep=7)
    with pytest.raises(
        RunDirError,
        match=r"another optim\.lr \(0\.01 there, 0\.5 here\), seed \(0 there, 3 here\);",
    ):
        pretrain(other, resume=True)


def test_what_is_whole_but_not_for_this_program_or_machine_is_an_error_and_stays(
    tmp_path: Path, monkeypatch
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


def test_what_is_damaged_is_put_aside_not_removed(tmp_path: Path):
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
    assert places_in(tmp_path) == [(3, 0), (1, 0)]
