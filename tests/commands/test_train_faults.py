"""tools/train.py as a process among others: killed, told to stop, started twice, on a full disk."""

import multiprocessing
import os
import random
import resource
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest
import yaml

from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.run.checkpoints import progress_of
from scdnet.engine.train.pretrain import pretrain
from scdnet.eval.knn import score_1nn
from tests.engine.runs import assert_same_state, changed, metrics_of

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "tools" / "train.py"
BEGUN = "training sequences"  # of the line that it writes when it comes to train
FORKING = multiprocessing.get_context("fork")

pytestmark = pytest.mark.end_to_end


@dataclass
class Started:
    """A training in a process group of its own."""

    pid: int
    stderr: TextIO
    wait: Callable[[], int]  # for its exit status
    said: str = ""

    def finish(self) -> tuple[int, str]:
        """Its exit status and all that it has said."""
        self.said += self.stderr.read()
        return self.wait(), self.said


def run_program(arguments: list[str], stderr: TextIO, largest_file: int) -> None:
    """In a process forked off: be tools/train.py."""
    os.setsid()
    os.dup2(stderr.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.argv = [str(TRAIN), *arguments]
    runpy.run_path(str(TRAIN), run_name="__main__")


def fork(arguments: list[str], largest_file: int) -> Started:
    """The program without the seconds that a new interpreter takes to import all."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stderr:
        process = FORKING.Process(target=run_program, args=(arguments, stderr, largest_file))
        process.start()

    def wait() -> int:
        process.join()
        return process.exitcode

    return Started(process.pid, os.fdopen(reader), wait)


def spawn(arguments: list[str], largest_file: int) -> Started:
    """The program as a user starts it."""
    assert largest_file == resource.RLIM_INFINITY
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, TRAIN, *arguments],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return Started(process.pid, process.stderr, process.wait)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """`start(config, *arguments)`: a training that has come to train."""
    started = []

    def begin(
        config: Config,
        *arguments: str,
        how: Callable = fork,
        largest_file: int = resource.RLIM_INFINITY,
    ) -> Started:
        path = tmp_path / f"{config.name}.yaml"
        path.write_text(yaml.safe_dump(dump_config(config)))
        training = how(["-c", str(path), *arguments], largest_file)
        started.append(training)
        while BEGUN not in training.said:
            line = training.stderr.readline()
            assert line, training.said
            training.said += line
        return training

    yield begin
    for training in started:
        with suppress(ProcessLookupError):
            os.killpg(training.pid, signal.SIGKILL)
        training.wait()
        training.stderr.close()


@pytest.mark.parametrize(
    ("how", "kills", "seconds", "epochs"),
    [(fork, 3, 0.5, 15), pytest.param(spawn, 20, 1.5, 400, marks=pytest.mark.slow)],
)
def test_a_run_killed_at_random_moments_ends_as_the_undisturbed_one(
    small_config: Config,
    start: Callable[..., Started],
    how: Callable,
    kills: int,
    seconds: float,
    epochs: int,
):
    config = changed(small_config, save_every=1, eval_every=5, keep=3, optim={"epochs": epochs})
    whole = changed(config, name="whole")
    pretrain(whole, score=score_1nn)
    moments, resumed = random.Random(0), 0
    for _ in range(kills):
        process = start(config, "--resume", how=how)
        time.sleep(moments.uniform(0, seconds))
        os.kill(process.pid, signal.SIGKILL)
        status, said = process.finish()
        assert status == -signal.SIGKILL, "it ended before the kill: it needs more epochs"
        resumed += "going on after" in said
    assert resumed > (10 if kills >= 20 else 0)
    assert start(config, "--resume", how=how).finish()[0] == 0
    for name in ("last.pt", "best.pt", f"epoch_{epochs - 1:04}.pt"):
        assert_same_state(config.run_dir / name, whole.run_dir / name)
    assert [line["loss"] for line in metrics_of(config)] == [
        line["loss"] for line in metrics_of(whole)
    ]


def test_a_signal_to_all_processes_of_a_job_stops_it_with_a_checkpoint(
    small_config: Config, start: Callable[..., Started], run
):
    """As SLURM and terminals send them; meanwhile the folder is refused to others."""
    streamed = {"cache": "none", "num_workers": 2}
    config = changed(small_config, data=streamed, optim={"epochs": 10_000})
    process = start(config)
    path = config.runs_dir.parent / "small.yaml"
    for more in ([], ["--resume"], ["--overwrite"]):
        done = run("tools/train.py", "-c", path, *more)
        assert done.status == 2
        assert f"small: a run is at work here (process {process.pid} on " in done.err
        assert done.err.count("\n") == 1
    places = []
    for number in (signal.SIGTERM, signal.SIGINT):
        time.sleep(1)  # some steps
        os.killpg(process.pid, number)
        status, said = process.finish()
        assert status == 128 + number, said
        assert f"{number.name}: stopping after this step, with a checkpoint" in said
        assert said.splitlines()[-1].startswith("stopped after step ")
        assert said.splitlines()[-1].endswith(" saved; go on with --resume")
        places.append(progress_of(read_checkpoint(config.run_dir / "last.pt").state))
        if number == signal.SIGTERM:
            process = start(config, "--resume")
    assert places[0] < places[1]


def test_a_full_disk_ends_the_run_and_leaves_the_checkpoint_before(
    small_config: Config, start: Callable[..., Started]
):
    last = pretrain(small_config)
    before = last.read_bytes()
    longer = changed(small_config, optim={"epochs": 3})
    status, said = start(longer, "--resume", largest_file=len(before) * 2 // 3).finish()
    assert status == 2
    assert said.splitlines()[-1].startswith(
        f"error: {last.with_name('next.pt')}: cannot be written ("
    )
    assert (
        f"the last good checkpoint is {last}, after 2 epochs; make room and go on with --resume"
        in said
    )
    assert "Traceback" not in said
    assert last.read_bytes() == before
    assert start(longer, "--resume").finish()[0] == 0
    assert read_checkpoint(last).state["epoch"] == 3
