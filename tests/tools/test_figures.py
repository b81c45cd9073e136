"""The figures of the docs can be drawn."""

import importlib
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


def test_the_figures_of_the_objectives_can_be_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(ROOT / "tools/figures")
    draw_objectives = importlib.import_module("draw_objectives")
    # Small pictures are drawn in less time.
    monkeypatch.setattr(draw_objectives, "DPI", 20)
    draw_objectives.main(["--out", str(tmp_path)])
    assert {path.name for path in tmp_path.iterdir()} == {"method_scd.png", "method_hdc.png"}
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            assert image.format == "PNG" and image.width == 9 * 20
        assert f"(images/{path.name})" in (ROOT / "docs/objectives.md").read_text()
