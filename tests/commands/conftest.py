"""How the tests run the tools: as a user would, but without a new interpreter each time."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from scdnet.config import Config
from scdnet.config_file import dump_config

ROOT = Path(__file__).parents[2]


class Finished(NamedTuple):
    """What a command left."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., Finished]:
    """Runs `PROGRAM ARGUMENTS...`, PROGRAM counted from the root of the repository."""

    def call(program: str, *arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / program), run_name="__main__")
        return Finished(stopped.value.code or 0, *capsys.readouterr())

    return call


@pytest.fixture
def config_path(small_config: Config, tmp_path: Path) -> Path:
    """The small config as a file."""
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(dump_config(small_config)))
    return path
