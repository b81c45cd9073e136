"""How the tests run the tools: as users do, but without a new interpreter each time."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from scdnet.commands.sweep import make_jobs, read_sweep
from scdnet.commands.sweep_runner import Job
from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.engine.train.pretrain import pretrain
from tests.conftest import make_small_config, write_synthetic_store

ROOT = Path(__file__).parents[2]
# The rows of a sweep.
ROWS = {"all pairs": [], "MoCo": ["scd.pairs=[[instance,instance]]"]}


class Finished(NamedTuple):
    """The outcome of a command."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., Finished]:
    """Run `PROGRAM ARGUMENTS...`; PROGRAM is relative to the root of the repository."""

    def call(program: str, *arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / program), run_name="__main__")
        return Finished(stopped.value.code or 0, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def trained_config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The config of `trained`: that of `small_config`, on an equal store, for one epoch."""
    directory = tmp_path_factory.mktemp("trained")
    store = write_synthetic_store(directory / "synthetic.h5")
    config = make_small_config(store, directory / "runs")
    return config.model_copy(update={"optim": config.optim.model_copy(update={"epochs": 1})})


@pytest.fixture(scope="session")
def trained(trained_config: Config) -> Path:
    """A checkpoint that tests share; none of them writes to its directory."""
    return pretrain(trained_config)


@pytest.fixture
def config_path(small_config: Config, tmp_path: Path) -> Path:
    """The small config as a file."""
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(dump_config(small_config)))
    return path


@pytest.fixture
def sweep(config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a sweep file with `changes`; its runs go to a directory of the test."""

    def write(**changes: object) -> Path:
        path = tmp_path / "sweeps" / "tiny.yaml"
        path.parent.mkdir(exist_ok=True)
        content = {
            "config": "../small.yaml",
            "overrides": ["optim.epochs=1"],
            "seeds": [0, 1],
            "rows": ROWS,
        }
        path.write_text(yaml.safe_dump(content | {"protocols": ["knn"]} | changes))
        return path

    monkeypatch.chdir(tmp_path)
    return write


@pytest.fixture
def jobs_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path], list[Job]]:
    """Return the jobs of a sweep file; none of its rows has been run."""
    monkeypatch.chdir(tmp_path)
    return lambda path: make_jobs(read_sweep(path), path.stem, [])
