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


@pytest.mark.parametrize(
    ("error", "shown"), [(ScdnetError("the disk is full"), ScdnetError), (None, OSError)]
)
def test_a_board_that_cannot_be_closed_does_not_hide_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None, shown: type[Exception]
):
    log = make_log(tmp_path)

    def fail() -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(log._board, "close", fail)

    def leave() -> None:
        with log:
            if error:
                raise error

    with pytest.raises(shown):
        leave()


def test_parts_of_a_number_are_recorded_but_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    with make_log(tmp_path) as log:
        log.line(1, {"loss": 3.0, "loss/temporal-instance": 1.0}, show=True)
    assert "loss/temporal-instance" in (tmp_path / "metrics.jsonl").read_text()
    assert "epoch 1/2  loss 3" in (err := capsys.readouterr().err)
    assert "loss/" not in err
