"""Programs beside the pipeline run: benchmarks, and those that draw."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(("program", "own"), [("bench_train", "step"), ("bench_eval", "features")])
def test_a_small_benchmark(program: str, own: str, tmp_path: Path):
    record = tmp_path / "record.json"
    small = [
        "--device",
        "cpu",
        "--width",
        "64",
        "--batch",
        "4",
        "--rounds",
        "1",
        "--json",
        str(record),
    ]
    done = subprocess.run(
        [sys.executable, f"tools/bench/{program}.py", *small],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(record.read_text())
    assert content["seconds"].keys() >= {"literal", own}
    assert content["floor_seconds"] < content["seconds"][own]
    assert content["largest_difference"] < 1e-4
    assert "clips/s" in done.stdout


@pytest.mark.slow
def test_the_objectives_are_timed_side_by_side(config_path: Path, tmp_path: Path):
    record = tmp_path / "record.json"
    small = ["-c", str(config_path), "device=cpu", "--rounds", "1", "--json", str(record)]
    command = [sys.executable, "tools/bench/bench_objectives.py", *small]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(record.read_text())["seconds"].keys() == {"scd", "hdc", "scd+hdc"}


def test_the_figures_of_the_methods_can_be_drawn(tmp_path: Path):
    command = [sys.executable, "tools/figures/draw_objectives.py", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("method_scd.png", "method_hdc.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert f"({name})" in (ROOT / "docs/methods.md").read_text()
