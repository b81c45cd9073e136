"""The benchmarks of training and feature extraction run, agree with the literal version and leave a record."""

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
    small = ["--device", "cpu", "--width", "64", "--batch", "4", "--rounds", "1", "--json", str(record)]
    done = subprocess.run([sys.executable, f"tools/{program}.py", *small], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content = json.loads(record.read_text())
    assert content["seconds"].keys() >= {"literal", own}
    assert content["floor_seconds"] < content["seconds"][own]
    assert content["largest_difference"] < 1e-4
    assert "clips/s" in done.stdout
