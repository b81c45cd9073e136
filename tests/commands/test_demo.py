import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scdnet.commands import demo, knn, prepare_demo, prepare_ntu, train

SMALL = [
    "--subjects=2",
    "--cameras=2",
    "--setups=1",
    "--replications=1",
    "device=cpu",
    "data.batch_size=8",
    "model.embed_dim=16",
    "model.num_heads=2",
    "model.projection_dim=8",
    "model.queue_size=8",
    "data.num_frames=8",
    "optim.steps=2",
    "optim.warmup_epochs=0",
]


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.end_to_end
def test_demo_evaluates_the_encoder_beside_three_baselines_on_both_benchmarks(capsys):
    assert demo.main(SMALL) is None
    lines = Path("runs/demo/results.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert {record["benchmark"] for record in records} == {"xsub", "xview"}
    assert len([record for record in records if record["metric"] == "knn@1"]) == 8
    printed = capsys.readouterr().out
    assert "<html" in Path("runs/demo/report.html").read_text()
    assert "runs/demo/report.html in a browser" in printed
    assert printed.index("xsub") < printed.index("xview") < printed.index("scdnet train")
    assert {path.name for path in Path().iterdir()} == {"data", "runs"}


def test_demo_stops_at_the_first_step_that_fails(monkeypatch, capsys):
    called = []

    def stub(step: str, status: int | None) -> Callable[[list[str]], int | None]:
        def main(argv: list[str]) -> int | None:
            called.append(step)
            return status

        return main

    monkeypatch.setattr(prepare_demo, "main", stub("recordings", None))
    monkeypatch.setattr(prepare_ntu, "main", stub("store", 0))
    monkeypatch.setattr(train, "main", stub("run", 130))
    monkeypatch.setattr(knn, "main", stub("scores", None))
    assert demo.main(SMALL) == 130
    assert called == ["recordings", "store", "run"]
    assert "scdnet train" not in capsys.readouterr().out
