"""One run at a time in a folder."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from scdnet.config import Config
from scdnet.engine.run.lock import locked
from scdnet.engine.train.pretrain import pretrain
from scdnet.errors import ScdnetError

PROCESSES = multiprocessing.get_context("fork")


def hold(folder: Path, told: Connection) -> None:
    """Lock the folder, fork as a loader of data does, and wait."""
    with locked(folder):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        told.send(child)
        time.sleep(60)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[multiprocessing.Process]:
    """A process that is at work in `tmp_path/runs/small`; `holder.child` is one that it has forked off."""
    mine, its = PROCESSES.Pipe()
    process = PROCESSES.Process(target=hold, args=(tmp_path / "runs" / "small", its))
    process.start()
    process.child = mine.recv()
    yield process
    os.kill(process.child, signal.SIGKILL)
    process.kill()
    process.join()


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}])
def test_a_second_run_is_refused(holder: multiprocessing.Process, small_config: Config, how: dict):
    with pytest.raises(
        ScdnetError, match=rf"small: a run is at work here \(process {holder.pid} on "
    ):
        pretrain(small_config, **how)
    assert [path.name for path in small_config.run_dir.iterdir()] == [".lock"]


def test_a_kill_frees_the_folder_though_a_child_lives_on(
    holder: multiprocessing.Process, small_config: Config
):
    holder.kill()
    holder.join()
    os.kill(holder.child, 0)  # is there
    pretrain(small_config)
    assert not (small_config.run_dir / ".lock").exists()


def test_a_lock_leaves_nothing_behind(tmp_path: Path):
    for _ in range(2):
        with locked(tmp_path / "runs" / "a"):
            assert (
                (tmp_path / "runs" / "a" / ".lock")
                .read_text()
                .startswith(f"process {os.getpid()} on ")
            )
        assert not (tmp_path / "runs").exists()
    (tmp_path / "runs" / "a").mkdir(parents=True)
    with locked(tmp_path / "runs" / "a"):
        pass
    assert list((tmp_path / "runs" / "a").iterdir()) == []


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    def fail(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.lockf", fail)
    with locked(tmp_path / "a"):
        assert (
            "cannot be locked against a second run (No locks available)" in capsys.readouterr().err
        )
