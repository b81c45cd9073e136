import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from scdnet.__main__ import COMMANDS, main, usage
from scdnet.version import __version__

ROOT = Path(__file__).parents[1]


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | None:
    """Run `scdnet ...` in this process and return its status."""
    monkeypatch.setattr(sys, "argv", ["scdnet", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


@pytest.mark.parametrize("arguments", [(), ("-h",), ("--help",), ("prepare", "--help")])
def test_help_lists_every_command(monkeypatch, capsys, arguments: tuple[str, ...]):
    assert not run_main(monkeypatch, *arguments)
    out = capsys.readouterr().out
    assert all(f"\n  {verb} " in out for verb in COMMANDS)


def test_the_version_is_that_of_the_package(monkeypatch, capsys):
    assert not run_main(monkeypatch, "--version")
    assert capsys.readouterr().out == f"scdnet {__version__}\n"


def test_an_unknown_command_is_an_error_that_lists_the_commands(monkeypatch, capsys):
    assert run_main(monkeypatch, "prepare", "nothing") == 2
    assert capsys.readouterr().err == f"error: prepare nothing: no such command\n\n{usage()}\n"


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_command_shows_its_help_under_its_verb(monkeypatch, capsys, verb: str):
    assert not run_main(monkeypatch, *verb.split(), "--help")
    assert capsys.readouterr().out.startswith(f"usage: scdnet {verb} ")


def test_the_command_gets_the_arguments_after_its_verb(monkeypatch):
    given = []
    module = importlib.import_module("scdnet.commands.prepare_ntu")
    monkeypatch.setattr(module, "main", given.extend)
    assert not run_main(monkeypatch, "prepare", "ntu", "--raw", "x")
    assert given == ["--raw", "x"]


@pytest.mark.parametrize("path", sorted([*ROOT.glob("tools/*.py"), *ROOT.glob("data_prep/*")]))
def test_scripts_only_run_their_verb(path: Path):
    _, *lines = path.read_text().splitlines()
    verb = lines[-1].strip().removeprefix('run_verb("').removesuffix('")')
    assert verb in COMMANDS
    assert lines == [
        "from scdnet.__main__ import run_verb",
        "",
        'if __name__ == "__main__":',
        f'    run_verb("{verb}")',
    ]


def test_a_script_shows_the_help_of_its_command():
    done = subprocess.run(
        [sys.executable, ROOT / "data_prep" / "ntu_gendata.py", "--help"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("usage: scdnet prepare ntu ")
