from pathlib import Path

import pytest

from scdnet.commands import export
from scdnet.errors import ScdnetError
from scdnet.eval.onnx_export import OnnxFile


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Return what `scdnet export` asks for; nothing is written."""
    calls = []

    def record(encoder: object, path: Path, **options: object) -> OnnxFile:
        calls.append({"path": path, **options})
        return OnnxFile(1_500_000, "clips", ("batch", 3, 16, 25, 2), 32, 2e-6)

    monkeypatch.setattr(export, "export_onnx", record)
    monkeypatch.setattr(export, "check_packages", lambda: None)
    return calls


def test_a_graph_has_the_stream_and_the_level_of_the_run(
    tmp_path: Path, trained: Path, asked: list[dict], capsys: pytest.CaptureFixture
):
    path = tmp_path / "a.onnx"
    export.main([str(trained), "--onnx", str(path), "feature_level=2"])
    assert asked == [{"path": path, "stream": "joint", "level": 2, "from_frames": False}]
    assert capsys.readouterr().out == (
        f"{path}: 1.5 MB, clips (batch, 3, 16, 25, 2) to 32 features; "
        "largest difference from torch: 2.0e-06\n"
    )


def test_a_graph_of_frames_can_be_asked_for(tmp_path: Path, trained: Path, asked: list[dict]):
    export.main([str(trained), "--onnx", str(tmp_path / "a.onnx"), "--from-frames"])
    assert asked[0]["from_frames"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --out DIRECTORY, --onnx FILE or both"),
        (["--out", "d", "--from-frames"], "--from-frames: expected --onnx FILE beside it"),
        (["--onnx", "a.onnx", "--half"], "--half: expected --out DIRECTORY beside it"),
    ],
)
def test_options_that_do_not_fit_each_other_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture
):
    with pytest.raises((SystemExit, ScdnetError)):
        export.main(["run", *arguments])
    assert message in capsys.readouterr().err
