"""The figures of the docs can be drawn."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_figures_of_the_methods_can_be_drawn(tmp_path: Path):
    command = [sys.executable, "tools/figures/draw_objectives.py", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("method_scd.png", "method_hdc.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert f"(images/{name})" in (ROOT / "docs/objectives.md").read_text()
