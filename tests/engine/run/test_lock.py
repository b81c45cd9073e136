"""One run at a time in a run directory."""

import errno
import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from scdnet.config import Config
from scdnet.engine.run.lock import locked, locked_file
from scdnet.engine.train.pretrain import pretrain
from scdnet.errors import ScdnetError
from tests.faults import FORKING


def hold(folder: Path, report: Connection) -> None:
    """Lock the folder, fork as a data loader does, and wait to be killed."""
    with locked(folder):
        child = os.fork()
        if child == 0:
            while True:
                signal.pause()
        report.send(child)
        while True:
            signal.pause()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[multiprocessing.Process]:
    """A process that is active in `tmp_path/runs/small`; `holder.child` was forked by it."""
    mine, its = FORKING.Pipe()
    process = FORKING.Process(target=hold, args=(tmp_path / "runs" / "small", its))
    process.start()
    process.child = mine.recv()
    yield process
    os.kill(process.child, signal.SIGKILL)
    process.kill()
    process.join()


def test_a_second_run_is_refused_whatever_it_asks_for(
    holder: multiprocessing.Process, small_config: Config
):
    message = rf"small: another run is active in this directory \(process {holder.pid} on "
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(ScdnetError, match=message):
            pretrain(small_config, **options)
        assert [path.name for path in small_config.run_dir.iterdir()] == [".lock"]


def test_a_kill_frees_the_directory_though_a_child_lives_on(
    holder: multiprocessing.Process, small_config: Config
):
    holder.kill()
    holder.join()
    # The child is there.
    os.kill(holder.child, 0)
    with locked(small_config.run_dir):
        pass
    assert not (small_config.run_dir / ".lock").exists()


def test_a_lock_leaves_nothing_behind(tmp_path: Path):
    folder = tmp_path / "runs" / "a"
    for _ in range(2):
        with locked(folder):
            assert (folder / ".lock").read_text().startswith(f"process {os.getpid()} on ")
        assert not (tmp_path / "runs").exists()
    folder.mkdir(parents=True)
    with locked(folder):
        pass
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, number: int
):
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", fail)
    with locked(tmp_path / "a"):
        err = capsys.readouterr().err
    assert f"cannot be locked against a second run ({os.strerror(number)})" in err


def test_other_errors_are_not_hidden(tmp_path: Path):
    (tmp_path / "a" / ".lock").mkdir(parents=True)
    with pytest.raises(OSError, match=r"\.lock"), locked(tmp_path / "a"):
        pass


def test_a_file_is_locked_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.jsonl"
    monkeypatch.setattr("scdnet.engine.run.lock.FILE_TIMEOUT_SECONDS", 0.01)
    message = rf"a\.jsonl: another process has been writing it for .* \(process {os.getpid()} on "
    with locked_file(path), pytest.raises(ScdnetError, match=message), locked_file(path):
        pass
    with locked_file(path):
        path.write_text("kept")
    assert list(tmp_path.iterdir()) == [path]
