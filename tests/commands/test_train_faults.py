"""tools/train.py as a process among others: killed, told to stop, started twice, on a full disk."""

import os
import random
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import yaml

from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.run.checkpoints import progress_of
from scdnet.engine.train.pretrain import pretrain
from scdnet.eval.knn import score_1nn
from tests.commands.train_with_a_death import (
    count_events,
    die_at,
    run_train,
    wait_for_signal_at,
)
from tests.conftest import make_small_config, write_synthetic_store
from tests.engine.runs import assert_same_state, changed, metrics_of
from tests.faults import FORKING

Act = Callable[[int], None]

pytestmark = pytest.mark.end_to_end


class Program:
    """A training in a process group of its own, forked without importing everything again."""

    def __init__(self, arguments: list[str], act: Act, largest_file: int) -> None:
        self.stderr, writer = os.pipe()
        self.said = ""
        self.process: BaseProcess = FORKING.Process(
            target=be_train, args=(arguments, writer, act, largest_file)
        )
        self.process.start()
        os.close(writer)
        self.pid = self.process.pid

    def read_until(self, text: str) -> None:
        """Wait until it has written `text`."""
        while text not in self.said:
            chunk = os.read(self.stderr, 1 << 16)
            assert chunk, self.said
            self.said += chunk.decode()

    def finish(self) -> tuple[int, str]:
        """Wait for its exit status and all that it has written to stderr."""
        self.process.join()
        # Data workers that outlive a kill keep the pipe open.
        os.set_blocking(self.stderr, False)
        with suppress(BlockingIOError):
            while chunk := os.read(self.stderr, 1 << 16):
                self.said += chunk.decode()
        return self.process.exitcode, self.said


def be_train(arguments: list[str], stderr: int, act: Act, largest_file: int) -> None:
    """Turn a forked process into tools/train.py."""
    os.setsid()
    os.dup2(stderr, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    count_events(act)
    run_train(arguments)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """`start(config, *arguments)` starts a training; `act` is called at its events."""
    started = []

    def begin(
        config: Config,
        *arguments: str,
        act: Act = lambda event: None,
        largest_file: int = resource.RLIM_INFINITY,
    ) -> Program:
        path = tmp_path / f"{config.name}.yaml"
        path.write_text(yaml.safe_dump(dump_config(config)))
        program = Program(["-c", str(path), *arguments], act, largest_file)
        started.append(program)
        return program

    yield begin
    for program in started:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.process.join()
        os.close(program.stderr)


def long_run(store: Path, runs_dir: Path, *, epochs: int) -> Config:
    return changed(
        make_small_config(store, runs_dir),
        save_every=1,
        eval_every=3,
        keep_checkpoints=3,
        optim={"epochs": epochs},
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """An undisturbed run of 3 epochs."""
    folder = tmp_path_factory.mktemp("whole")
    store = write_synthetic_store(folder / "synthetic.h5")
    config = long_run(store, folder / "runs", epochs=3)
    pretrain(config, score=score_1nn)
    return config


@pytest.mark.parametrize(
    ("data", "seed"),
    [
        pytest.param({}, 0, id="cached"),
        pytest.param({"cache": "none", "num_workers": 2}, 2, id="streamed", marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_at_drawn_events_ends_as_the_undisturbed_one(
    whole: Config, tmp_path: Path, start: Callable[..., Program], data: dict, seed: int
):
    config = changed(whole, runs_dir=tmp_path / "runs", data=data)
    check_kills(config, start, whole, kills=2, seed=seed)


@pytest.mark.slow
def test_a_run_killed_often_ends_as_the_undisturbed_one(
    whole: Config, tmp_path: Path, start: Callable[..., Program]
):
    longer = long_run(whole.data.store, tmp_path / "whole", epochs=30)
    pretrain(longer, score=score_1nn)
    config = changed(longer, runs_dir=tmp_path / "runs")
    check_kills(config, start, longer, kills=20, seed=2)


def check_kills(
    config: Config, start: Callable[..., Program], whole: Config, *, kills: int, seed: int
) -> None:
    """Kill the run at drawn events, resume it at once, compare its files with those of `whole`."""
    drawn = random.Random(seed)
    num_resumed = 0
    for _ in range(kills):
        event = drawn.randint(5, 11)
        status, said = start(config, "--resume", act=die_at(event)).finish()
        assert status == -signal.SIGKILL, said
        num_resumed += "Resuming from epoch" in said
    assert num_resumed >= kills // 2
    status, said = start(config, "--resume").finish()
    assert status == 0, said
    names = sorted(path.name for path in whole.run_dir.glob("*.pt"))
    assert sorted(path.name for path in config.run_dir.glob("*.pt")) == names
    for name in names:
        assert_same_state(config.run_dir / name, whole.run_dir / name)
    losses = [line["loss"] for line in metrics_of(whole)]
    assert [line["loss"] for line in metrics_of(config)] == losses


def announce() -> None:
    print("waiting for a signal", file=sys.stderr)


def test_a_signal_to_all_processes_of_a_job_stops_it_with_a_checkpoint(
    small_config: Config, start: Callable[..., Program], run
):
    """As SLURM and terminals send them; meanwhile the run directory is refused to others."""
    streamed = {"cache": "none", "num_workers": 2}
    config = changed(small_config, data=streamed)
    # Config, hash of the store and metrics are renamed first: the event is the third step and the
    # one after it.
    lives = ((signal.SIGTERM, [], 6, (1, 1)), (signal.SIGINT, ["--resume"], 4, (1, 2)))
    for number, arguments, event, progress in lives:
        program = start(config, *arguments, act=wait_for_signal_at(event, announce))
        program.read_until("waiting for a signal")
        if number == signal.SIGTERM:
            refuse_a_second_run(run, config, program)
        os.killpg(program.pid, number)
        status, said = program.finish()
        assert status == 128 + number, said
        assert f"{number.name}: stopping after this step with a checkpoint" in said
        assert said.splitlines()[-1] == (
            f"Stopped at epoch {progress[0]}, step {progress[1]}/2. "
            "Checkpoint saved; continue with --resume."
        )
        checkpoint = read_checkpoint(config.run_dir / "last.pt")
        assert progress_of(checkpoint.state) == progress


def refuse_a_second_run(run, config: Config, program: Program) -> None:
    path = config.runs_dir.parent / "small.yaml"
    message = f"small: another run is active in this directory (process {program.pid} on "
    for arguments in ([], ["--resume"], ["--overwrite"]):
        done = run("tools/train.py", "-c", path, *arguments)
        assert done.status == 2
        assert message in done.err
        assert done.err.count("\n") == 1


def test_a_full_disk_ends_the_run_and_leaves_the_checkpoint_before(
    trained: Path, trained_config: Config, tmp_path: Path, start: Callable[..., Program]
):
    config = changed(trained_config, runs_dir=tmp_path / "runs")
    shutil.copytree(trained.parent, config.run_dir)
    last = config.run_dir / trained.name
    before = last.read_bytes()
    longer = changed(config, optim={"epochs": 2})
    status, said = start(longer, "--resume", largest_file=len(before) * 2 // 3).finish()
    assert status == 2
    next_checkpoint = last.with_name("next.pt")
    assert said.splitlines()[-1].startswith(f"error: {next_checkpoint}: cannot be written (")
    assert (
        f"the last good checkpoint is {last}, at epoch 1; "
        "free disk space and continue with --resume" in said
    )
    assert "Traceback" not in said
    assert last.read_bytes() == before
    assert start(longer, "--resume").finish()[0] == 0
    assert read_checkpoint(last).state["epoch"] == 2
