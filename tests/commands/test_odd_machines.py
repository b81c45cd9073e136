"""Commands on machines that are not as usual: their clock, paths, homes and file systems."""

import errno
import itertools
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tqdm.std
import yaml

from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.data.store import open_sequences
from scdnet.engine.train.pretrain import pretrain
from scdnet.results.results_file import read_results
from tests.conftest import make_small_config, write_synthetic_store
from tests.engine.runs import TIMES, assert_same_state, changed, metrics_of
from tests.faults import Done, assert_one_line, run_as_user

fcntl = pytest.importorskip("fcntl", reason="needs a system as POSIX has it")
pytestmark = pytest.mark.end_to_end
ROOT = Path(__file__).parents[2]
# Seconds since 1970. Zip files know no time before 1980.
CLOCK = (0.0, 4e9, 1e9, -1.0, 1.7e9)
# A file system that has neither locks nor hard links.
WITHOUT_LOCKS = """
#include <errno.h>
int flock(int file, int operation) { errno = ENOLCK; return -1; }
int link(const char *old, const char *new) { errno = EOPNOTSUPP; return -1; }
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A run of two epochs on a usual machine."""
    folder = tmp_path_factory.mktemp("usual")
    config = make_small_config(write_synthetic_store(folder / "synthetic.h5"), folder / "runs")
    pretrain(config)
    return config


def write_config(folder: Path, config: Config) -> Path:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(dump_config(config)))
    return path


def run_everything(folder: Path, config: Config, act: Callable[[], None]) -> list[Done]:
    """Train, resume, evaluate and extract; return the outcomes."""
    configured = ("-c", write_config(folder, config))
    checkpoint = ("--checkpoint", config.run_dir / "last.pt")
    commands = (
        ("train", *configured, "optim.epochs=1"),
        ("train", *configured, "--resume"),
        ("evaluate", *configured, *checkpoint, "--no-baselines"),
        ("extract", *configured, *checkpoint, "--out", config.run_dir / "again.h5"),
        ("results", config.run_dir),
    )
    outcomes = [run_as_user(folder, *command, act=act) for command in commands]
    for outcome in outcomes:
        assert outcome.status == 0, outcome
    assert {result.protocol for result in read_results(config.run_dir / "results.jsonl")} == {
        "knn",
        "linear",
    }
    return outcomes


def be_usual() -> None:
    """Change nothing."""


def let_clock_jump() -> None:
    """Let each look at the clock return another decade."""
    times = itertools.cycle(CLOCK)
    originals = {name: getattr(time, name) for name in ("localtime", "gmtime", "ctime")}
    time.time = lambda: next(times)
    time.time_ns = lambda: int(1e9 * next(times))
    for name, original in originals.items():
        setattr(
            time, name, lambda seconds=None, original=original: original(seconds or next(times))
        )
    tqdm.std.time = time.time


def test_a_clock_that_jumps_changes_neither_weights_nor_durations(whole: Config, tmp_path: Path):
    config = changed(whole, runs_dir=tmp_path / "runs")
    run_everything(tmp_path, config, let_clock_jump)
    assert_same_state(config.run_dir / "last.pt", whole.run_dir / "last.pt")
    lines = metrics_of(config)
    assert [line["epoch"] for line in lines] == [0, 1]
    for line in lines:
        assert all(0 <= line[key] < math.inf for key in TIMES & line.keys())


@pytest.mark.slow
def test_a_long_path_with_blanks_and_accents_is_a_path(whole: Config, tmp_path: Path):
    folder = tmp_path / "données de l'été" / "run no. 1 (ä ö ü ß)"
    while len(str(folder)) < 240:
        folder /= "é è " * 4 + "x"
    folder.mkdir(parents=True)
    store = folder / "mes données.h5"
    shutil.copy(whole.data.store, store)
    config = changed(whole, runs_dir=folder / "runs", data={"store": store})
    run_everything(folder, config, be_usual)
    assert_same_state(config.run_dir / "last.pt", whole.run_dir / "last.pt")


@pytest.mark.parametrize("name", ["é" * 240, "x" * 256])
def test_a_name_that_is_too_long_is_one_line_before_the_work(
    whole: Config, tmp_path: Path, name: str
):
    config = changed(whole, name=name, runs_dir=tmp_path / "runs")
    path = write_config(tmp_path, config)
    for command in (("train",), ("knn", "--baseline", "raw")):
        done = run_as_user(tmp_path, command[0], "-c", path, *command[1:])
        assert_one_line(done, name, "File name too long")
        assert done.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def refuse(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.slow
def test_a_file_system_without_locks_and_hard_links_is_warned_of_and_used(
    whole: Config, tmp_path: Path
):
    def act() -> None:
        fcntl.flock = refuse(errno.ENOLCK)
        os.link = refuse(errno.EOPNOTSUPP)

    config = changed(whole, runs_dir=tmp_path / "runs")
    first, *_ = run_everything(tmp_path, config, act)
    warning = f"{config.run_dir / '.lock'}: cannot be locked against a second run"
    assert first.err.count(warning) == 1
    assert_same_state(config.run_dir / "last.pt", whole.run_dir / "last.pt")


@pytest.fixture
def without_locks(tmp_path: Path) -> dict[str, str]:
    """An environment in which also libraries find neither locks nor hard links."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a compiler, to replace functions of the C library")
    source = tmp_path / "without_locks.c"
    source.write_text(WITHOUT_LOCKS)
    library = source.with_suffix(".so")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return {"LD_PRELOAD": str(library)}


OPEN_WITH_LOCK = "import h5py, sys; h5py.File(sys.argv[1])"
OPEN_OURS = "import sys; from scdnet import open_sequences; print(len(open_sequences(sys.argv[1])))"


def test_a_store_is_read_where_hdf5_finds_no_locks(whole: Config, without_locks: dict[str, str]):
    environment = os.environ | without_locks

    def read(program: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", program, str(whole.data.store)]
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)

    assert "No locks available" in read(OPEN_WITH_LOCK).stderr
    done = read(OPEN_OURS)
    assert done.returncode == 0, done.stderr
    with open_sequences(whole.data.store) as store:
        assert done.stdout == f"{len(store)}\n"


@pytest.mark.slow
def test_a_home_that_does_not_exist_is_not_needed(whole: Config, tmp_path: Path):
    """In new processes: matplotlib and torch look for their folders when they are imported."""
    unset = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "LOGNAME", "USER", "USERNAME")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"HOME": "/proc/nobody", "PYTHONPATH": str(ROOT)}
    config = changed(whole, runs_dir=tmp_path / "runs", optim={"epochs": 1})
    path = write_config(tmp_path, config)
    for command in (
        ("train", "-c", path),
        ("knn", "-c", path, "--checkpoint", config.run_dir / "last.pt"),
        ("inspect", whole.data.store, "--contact-sheet", tmp_path / "a.png"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "scdnet", *map(str, command)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.png").stat().st_size > 0


def test_a_home_that_cannot_be_written_is_not_needed(whole: Config, tmp_path: Path):
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    config = changed(whole, runs_dir=tmp_path / "runs", optim={"epochs": 1})
    path = write_config(tmp_path, config)
    done = run_as_user(tmp_path, "train", "-c", path, environment={"HOME": str(home)})
    assert done.status == 0, done.err
    assert list(home.iterdir()) == []
