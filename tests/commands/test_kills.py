"""Trainings killed at drawn points, within saving too: resumed, they end with the same weights."""

import os
import random
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.engine.train import start as starting
from scdnet.files import PatientFile
from tests.commands.train_with_a_death import run_train
from tests.conftest import make_small_config, write_synthetic_store
from tests.engine.conftest import forget_ranks
from tests.engine.runs import assert_same_state, changed, free_port, metrics_of
from tests.faults import FORKING

# What a point is the beginning of: a training step, a renaming, or a write to a file. Most writes
# are those of checkpoints.
KINDS = ("step", "rename", "write")
# Takes the kind of a point and its number among those of that kind, from 1 on.
Act = Callable[[str, int], None]
# Six of ten runs read from memory, two read from the store in two processes, and two have ranks.
WAYS = (*["cached"] * 6, *["streamed"] * 2, *["two ranks"] * 2)
STREAMED = {"cache": "none", "num_workers": 1}
NUM_RUNS = 200

pytestmark = pytest.mark.end_to_end


class Undisturbed(NamedTuple):
    """A finished run, and how many points of each kind its first rank has passed."""

    config: Config
    num_points: dict[str, int]


class Rank(NamedTuple):
    """The surroundings of a process."""

    number: int
    world_size: int
    port: str
    stderr: Path


def watch_points(act: Act) -> None:
    """Let this process call `act` at each point; cannot be undone."""
    counts = dict.fromkeys(KINDS, 0)

    def pass_point(kind: str) -> None:
        counts[kind] += 1
        act(kind, counts[kind])

    step = starting.train_step
    write = PatientFile.write

    def watched_step(*args: object, **kwargs: object) -> object:
        pass_point("step")
        return step(*args, **kwargs)

    def watched_write(file: PatientFile, data: bytes) -> int:
        pass_point("write")
        return write(file, data)

    def audit(event: str, _: tuple) -> None:
        if event == "os.rename":
            pass_point("rename")

    starting.train_step = watched_step
    PatientFile.write = watched_write
    sys.addaudithook(audit)


def be_rank(rank: Rank, arguments: list[str], act: Act) -> None:
    """Turn a forked process into a rank of tools/train.py, in a process group of its own."""
    os.setsid()
    sys.stderr = rank.stderr.open("w", buffering=1)
    if rank.world_size > 1:
        os.environ.update(
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=rank.port,
            RANK=str(rank.number),
            WORLD_SIZE=str(rank.world_size),
        )
    forget_ranks()
    watch_points(act)
    run_train(arguments)


def train(config: Config, acts: dict[int, Act]) -> list[tuple[int, str]]:
    """Train, or resume, with a rank for each of `acts`; return status and stderr of each."""
    folder = config.runs_dir.parent
    path = folder / f"{config.name}.yaml"
    path.write_text(yaml.safe_dump(dump_config(config)))
    port = free_port()
    ranks = [Rank(number, len(acts), port, folder / f"{number}.log") for number in acts]
    processes = [
        FORKING.Process(target=be_rank, args=(rank, ["-c", str(path), "--resume"], acts[number]))
        for number, rank in enumerate(ranks)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        # Its data workers outlive a kill.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    logs = [rank.stderr.read_text() for rank in ranks]
    return [(process.exitcode, log) for process, log in zip(processes, logs, strict=True)]


def pass_by(kind: str, number: int) -> None:
    """Do nothing at a point."""


def die_at(death: tuple[str, int]) -> Act:
    """Return an action that kills this process at the point `death`."""

    def act(kind: str, number: int) -> None:
        if (kind, number) == death:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Three epochs of two steps; each is saved, the last one is scored."""
    folder = tmp_path_factory.mktemp("kills")
    store = write_synthetic_store(folder / "synthetic.h5")
    return changed(
        make_small_config(store, folder / "runs"),
        save_every=1,
        eval_every=3,
        keep_checkpoints=3,
        optim={"epochs": 3},
    )


def finish(tiny: Config, folder: Path, num_ranks: int) -> Undisturbed:
    config = changed(tiny, runs_dir=folder / "runs")
    counters = {kind: FORKING.Value("i", 0) for kind in KINDS}

    def count(kind: str, number: int) -> None:
        counters[kind].value = number

    others = dict.fromkeys(range(1, num_ranks), pass_by)
    for status, said in train(config, {0: count, **others}):
        assert status == 0, said
    return Undisturbed(config, {kind: counter.value for kind, counter in counters.items()})


@pytest.fixture(scope="module")
def alone(tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """An undisturbed run of one process."""
    return finish(tiny, tmp_path_factory.mktemp("alone"), 1)


@pytest.fixture(scope="module")
def together(tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """An undisturbed run of two ranks."""
    return finish(tiny, tmp_path_factory.mktemp("together"), 2)


def check_kill(whole: Undisturbed, folder: Path, way: str, seed: int) -> None:
    """Kill a run at a drawn point, resume it, and compare its files with those of `whole`."""
    drawn = random.Random(seed)
    num_ranks = 2 if way == "two ranks" else 1
    rank = drawn.randrange(num_ranks)
    # Only the first rank writes.
    kind = drawn.choice(KINDS) if rank == 0 else "step"
    death = (kind, drawn.randint(1, whole.num_points[kind]))
    data = STREAMED if way == "streamed" else {}
    config = changed(whole.config, runs_dir=folder / "runs", data=data)
    acts = dict.fromkeys(range(num_ranks), pass_by)
    outcome = train(config, {**acts, rank: die_at(death)})
    assert outcome[rank][0] == -signal.SIGKILL, (death, outcome)
    for status, said in train(config, acts):
        assert status == 0, (death, said)
    names = sorted(path.name for path in whole.config.run_dir.glob("*.pt"))
    assert sorted(path.name for path in config.run_dir.glob("*.pt")) == names
    for name in names:
        assert_same_state(config.run_dir / name, whole.config.run_dir / name)
    losses = [line["loss"] for line in metrics_of(whole.config)]
    assert [line["loss"] for line in metrics_of(config)] == losses


def test_every_kind_of_point_is_passed(alone: Undisturbed):
    # The config, the hash of the store, the empty metrics, three checkpoints and the best one; two
    # checkpoints are renamed again when there is a newer one, and all three to last.pt.
    assert alone.num_points["step"] == 6
    assert alone.num_points["rename"] == 3 + 3 + 1 + 2 + 3
    # More than a write for each file: most points are within a checkpoint.
    assert alone.num_points["write"] > 4 * alone.num_points["rename"]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_killed_at_a_drawn_point_ends_as_the_undisturbed_one(
    alone: Undisturbed, tmp_path: Path, seed: int
):
    check_kill(alone, tmp_path, "cached", seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(NUM_RUNS))
def test_each_of_many_runs_killed_once_ends_as_the_undisturbed_one(
    request: pytest.FixtureRequest, tmp_path: Path, seed: int
):
    way = WAYS[seed % len(WAYS)]
    whole = request.getfixturevalue("together" if way == "two ranks" else "alone")
    check_kill(whole, tmp_path, way, seed)
