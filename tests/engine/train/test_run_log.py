import errno
from pathlib import Path

import pytest

from scdnet.engine.train.run_log import RunLog
from scdnet.errors import ScdnetError
from tests.engine.runs import make_plan


def make_log(folder: Path) -> RunLog:
    return RunLog(folder, make_plan(epochs=2, steps_per_epoch=1), last_line=0, done=0)


def test_metrics_that_cannot_be_written_are_an_error_that_names_the_file(tmp_path: Path):
    with make_log(tmp_path) as log:
        (tmp_path / "metrics.jsonl").unlink()
        (tmp_path / "metrics.jsonl").mkdir()
        with pytest.raises(
            ScdnetError, match=r"metrics\.jsonl: cannot be written \(Is a directory\)"
        ):
            log.line(1, {"loss": 1.0}, show=False)


def test_a_board_that_cannot_be_written_is_warned_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    log = make_log(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(log._board, "add_scalar", fail)
    monkeypatch.setattr(log._board, "close", fail)
    with log:
        log.line(1, {"loss": 1.0}, show=False)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"warning: {tmp_path / 'tensorboard'}: TensorBoard's file cannot be written "
        f"(No space left on device); {tmp_path / 'metrics.jsonl'} has all metrics"
    )
    assert (tmp_path / "metrics.jsonl").read_text() == '{"epoch": 0, "loss": 1.0}\n'


def test_a_board_that_cannot_be_closed_does_not_hide_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    log = make_log(tmp_path)

    def fail() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(log._board, "close", fail)
    with pytest.raises(ScdnetError, match="weights"), log:
        raise ScdnetError("the weights are NaN")


def test_parts_of_a_number_are_recorded_but_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    with make_log(tmp_path) as log:
        log.line(1, {"loss": 3.0, "loss/temporal-instance": 1.0}, show=True)
    assert "loss/temporal-instance" in (tmp_path / "metrics.jsonl").read_text()
    assert "epoch 1/2  loss 3" in (err := capsys.readouterr().err)
    assert "loss/" not in err
