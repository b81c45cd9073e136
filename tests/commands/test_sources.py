"""Commands take encoders as checkpoints, directories, names and addresses of the hub."""

import json
import sys
from pathlib import Path

import pytest

from scdnet import load_encoder
from scdnet.commands import report_runs
from scdnet.config import Config
from scdnet.engine import locate
from scdnet.eval.embedding_file import read_embedding
from scdnet.eval.feature_file import read_features
from tests.engine.exports import export, ship
from tests.engine.runs import changed
from tests.raw.walker import npz, walking

CAPTURE = ("--layout", "ntu25", "--unit", "m", "--up", "y")
# Evaluations that take a moment.
QUICK = ("linear.optim.epochs=2", "linear.optim.milestones=[1]", "finetune.optim.epochs=1")


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Path) -> Path:
    """The encoder of `trained`, which ships as scdnet-small."""
    return ship(monkeypatch, tmp_path / "room", load_encoder(trained))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording.npz"
    path.write_bytes(npz(joints=walking("ntu25", 30)))
    return path


@pytest.fixture
def results_of(run, config_path: Path, small_config: Config):
    """`results_of(tool, source, ...)` evaluates and returns the lines of results.jsonl."""

    def call(tool: str, source: object, *options: str) -> list[dict]:
        name = f"name=run{len(list(small_config.runs_dir.glob('*')))}"
        given = ("-c", config_path, "--checkpoint", source, name, *QUICK, *options)
        done = run(f"tools/{tool}.py", *given)
        assert done.status == 0, done.err
        path = small_config.runs_dir / name.removeprefix("name=") / "results.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    return call


def numbers_of(lines: list[dict]) -> list[tuple]:
    return [(line["protocol"], line["metric"], line.get("subset"), line["value"]) for line in lines]


@pytest.mark.parametrize(
    ("tool", "options"),
    [
        ("eval_knn", ()),
        ("eval_linear", ()),
        ("eval_finetune", ("finetune.label_fraction=0.1", "finetune.num_subsets=2")),
        ("evaluate", ("protocols=[knn,semi@0.05]", "finetune.num_subsets=1")),
    ],
)
def test_evaluations_of_a_name_have_the_numbers_of_the_checkpoint(
    results_of, shipped: Path, trained: Path, tool: str, options: tuple[str, ...]
):
    expected = numbers_of(results_of(tool, trained, *options))
    lines = results_of(tool, "scdnet-small", *options)
    assert expected and numbers_of(lines) == expected
    own = [line for line in lines if "baseline" not in line]
    assert {line["checkpoint"] for line in own} == {"scdnet-small"}
    assert {line["display_name"] for line in own} == {"scdnet-small"}
    assert {line["checkpoint_sha256"] for line in own} == {locate.hash_weights(shipped)}


def test_a_directory_and_the_hub_have_the_numbers_of_the_checkpoint(
    results_of, shipped: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
):
    hub = pytest.importorskip("huggingface_hub", reason="needs the extra hub")
    monkeypatch.setattr(hub, "snapshot_download", lambda *args, **kwargs: str(shipped))
    expected = numbers_of(results_of("eval_knn", trained))
    for source in (shipped, "hf://owner/name"):
        lines = results_of("eval_knn", source)
        assert numbers_of(lines) == expected
        assert lines[0]["checkpoint"] == str(source)


def test_features_are_extracted_and_recordings_classified_by_a_name(
    run, config_path: Path, shipped: Path, trained: Path, recording: Path, tmp_path: Path
):
    outs = []
    for source in ("scdnet-small", trained):
        features = tmp_path / "features.h5"
        given = ("-c", config_path, "--checkpoint", source, "--out", features)
        done = run("tools/extract_features.py", *given)
        assert done.status == 0, done.err
        assert read_features(features).encoder.checkpoint == str(source)
        given = (recording, *CAPTURE, "--checkpoint", source, "--features", features)
        done = run("tools/classify.py", *given)
        assert done.status == 0, done.err
        outs.append(done.out)
    assert outs[0] == outs[1]
    # Features of the checkpoint.
    given = (recording, *CAPTURE, "--checkpoint", "scdnet-small", "--features", features)
    done = run("tools/classify.py", *given)
    assert done.status == 2 and "whose hash is not that of scdnet-small" in done.err


def test_features_never_overwrite_the_weights_of_a_directory(
    run, config_path: Path, shipped: Path, tmp_path: Path
):
    folder = export(tmp_path / "mine", load_encoder(shipped))
    before = (folder / "model.safetensors").read_bytes()
    given = ("-c", config_path, "--checkpoint", folder, "--out", folder / "model.safetensors")
    done = run("tools/extract_features.py", *given)
    assert done.status == 2 and "which would be overwritten" in done.err
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("source", ["scdnet-small", "mine"])
def test_features_are_searched_from_another_directory(
    run, shipped: Path, recording: Path, tmp_path: Path, monkeypatch, source: str
):
    """The encoder was given by a name, or by a path relative to the directory of then."""
    monkeypatch.chdir(tmp_path)
    export(Path("mine"), load_encoder(shipped))
    done = run("tools/embed.py", recording, "--encoder", source, "--out", "f.h5", *CAPTURE)
    assert done.status == 0, done.err
    recorded = read_embedding(Path("f.h5")).origin.encoder
    assert recorded == ("scdnet-small" if source == "scdnet-small" else str(tmp_path / "mine"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    done = run("tools/search.py", recording, "--in", "../f.h5", *CAPTURE)
    assert done.status == 0 and " 1.000 " in done.out, done.err


def test_a_name_that_does_not_ship_any_more_is_named_by_search(
    run, shipped: Path, recording: Path, tmp_path: Path
):
    features = tmp_path / "f.h5"
    run("tools/embed.py", recording, "--encoder", "scdnet-small", "--out", features, *CAPTURE)
    shipped.rename(shipped.with_name("scdnet-large"))
    done = run("tools/search.py", recording, "--in", features, *CAPTURE)
    assert done.status == 2 and done.err.count("\n") == 1
    assert f"scdnet-small: no such encoder, but {features} was made with it" in done.err


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("scdnet-smal", (), "ship with scdnet; did you mean 'scdnet-small'?"),
        ("runs/gone", (), "runs/gone: no such checkpoint or directory"),
        (".", (), "it contains no config.json"),
        ("hf://owner/name", (), "hf://owner/name: needs huggingface_hub: pip install"),
        (
            "scdnet-small",
            ("data.num_bodies=1", "model.embed_dim=32"),
            "model.embed_dim is 16 in the encoder, 32 in the config, data.num_bodies is 2 in the "
            "encoder, 1 in the config; add model.embed_dim=16 data.num_bodies=2",
        ),
        ("scdnet-small", ("stream=bone",), "but the config states bone; add stream=joint"),
    ],
)
@pytest.mark.parametrize(
    "tool", ["eval_knn", "eval_linear", "eval_finetune", "evaluate", "extract_features", "train"]
)
def test_an_encoder_that_cannot_be_used_is_one_line_and_status_2(
    run, config_path, shipped, tmp_path, monkeypatch, tool: str, source: str, options, message: str
):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.chdir(tmp_path / "room")
    given = ("--checkpoint", source)
    if tool == "extract_features":
        given += ("--out", tmp_path / "f.h5")
    if tool == "train":
        given = (f"init={source}",)
    done = run(f"tools/{tool}.py", "-c", config_path, *given, *options)
    assert done.status == 2 and not done.out
    assert done.err.count("\n") == 1 and message in done.err
    assert not (tmp_path / "f.h5").exists()


def test_runs_from_other_initial_weights_are_no_repetitions(small_config: Config):
    def runs(**second: object) -> list[report_runs.Run]:
        configs = (small_config, changed(small_config, seed=1, **second))
        return [report_runs.Run(config.run_dir, config) for config in configs]

    assert report_runs.are_repetitions(runs())
    assert not report_runs.are_repetitions(runs(init="scdnet-small"))
