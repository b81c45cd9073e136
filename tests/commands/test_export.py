"""Exports of tiny runs: what is written, and the numbers in the model card."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from scdnet import load_encoder, open_sequences
from scdnet.commands import evaluate, export
from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.data.mixture import read_hashes
from scdnet.engine.checkpoint import load_encoder as load_checkpoint
from scdnet.engine.exported import read_exported
from scdnet.engine.locate import hash_weights
from scdnet.engine.sources import read_pretrained
from scdnet.engine.train.pretrain import pretrain
from scdnet.errors import ScdnetError
from scdnet.results.results_file import read_results
from tests.conftest import make_small_config, write_synthetic_store
from tests.engine.runs import changed


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A run of a page of its own, evaluated on its benchmark."""
    folder = tmp_path_factory.mktemp("export")
    config = make_small_config(write_synthetic_store(folder / "own.h5"), folder / "runs")
    config = changed(
        config,
        stream="all",
        protocols=["knn"],
        optim={"epochs": 1},
        model={"components": True, "align_sides": True},
    )
    pretrain(config)
    (folder / "own.yaml").write_text(yaml.safe_dump(dump_config(config)))
    evaluate.main(["-c", str(folder / "own.yaml"), "--checkpoint", str(config.run_dir / "last.pt")])
    return config


def run_export(config: Config, out: Path, *options: str) -> Path:
    export.main([str(config.run_dir), "--out", str(out), *options])
    return out


def assert_same_encoder(first: torch.nn.Module, second: torch.nn.Module) -> None:
    a, b = first.state_dict(), second.state_dict()
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_the_exported_encoder_is_that_of_the_checkpoint_to_the_last_bit(config, tmp_path, capsys):
    out = run_export(config, tmp_path / "out", "--license", "mit")
    assert_same_encoder(load_encoder(out), load_checkpoint(config.run_dir / "last.pt"))
    names = {path.name for path in out.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors"}
    printed = capsys.readouterr().out
    encoder = load_encoder(out)
    num_weights = sum(weight.numel() for weight in encoder.parameters())
    num_components = sum(
        x.shape[1] for name, x in encoder.named_buffers() if name.endswith("_weight")
    )
    assert num_components > 0
    size = (
        f"{num_weights / 1e6:.2f} million weights, and {num_components} principal components "
        "beside them"
    )
    assert f"{out}: {size}; in float32, " in printed
    assert f"it has {size}." in (out / "README.md").read_text()
    assert "license" not in printed


def test_a_single_checkpoint_can_be_exported(config, tmp_path):
    shutil.copy(config.run_dir / "last.pt", tmp_path / "alone.pt")
    export.main([str(tmp_path / "alone.pt"), "--out", str(tmp_path / "out")])
    assert_same_encoder(load_encoder(tmp_path / "out"), load_encoder(tmp_path / "alone.pt"))


def test_the_scores_in_the_card_are_those_of_the_run(config, tmp_path):
    card = (run_export(config, tmp_path / "out") / "README.md").read_text()
    results = read_results(config.run_dir / "results.jsonl")
    own = {r.baseline: r.value for r in results if r.metric == "knn@1"}
    assert own.keys() == {None, "raw", "raw-pca", "random-init"}
    names = {None: "trained on own", "raw": "raw views", "random-init": "random init"}
    for baseline, value in own.items():
        row = rf"\| {names.get(baseline, baseline)} +\|[\d |]*? {value:.1f} \|"
        assert re.search(row, card), baseline


def test_scores_of_another_checkpoint_or_of_trained_sequences_are_left_out(config, tmp_path):
    moved = config.model_copy(update={"runs_dir": tmp_path})
    shutil.copytree(config.run_dir, moved.run_dir)
    path = moved.run_dir / "results.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    own = [line for line in lines if "baseline" not in line]
    others = [{**line, "checkpoint_sha256": "other", "value": 11.1} for line in own]
    others += [{**line, "benchmark": "xview", "value": 22.2} for line in own]
    elsewhere = [{**line, "store_sha256": "new", "dataset": "ds2", "value": 33.3} for line in own]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines + others + elsewhere))
    card = (run_export(moved, tmp_path / "out") / "README.md").read_text()
    assert " 11.1 " not in card
    assert " 22.2 " not in card
    assert " 33.3 " in card


def test_a_run_that_was_not_evaluated_is_exported_without_scores(config, tmp_path, capsys):
    moved = config.model_copy(update={"runs_dir": tmp_path})
    shutil.copytree(config.run_dir, moved.run_dir)
    (moved.run_dir / "results.jsonl").unlink()
    out = run_export(moved, tmp_path / "out")
    assert "Not evaluated yet" in (out / "README.md").read_text()
    printed = capsys.readouterr().out
    assert "has no scores" in printed
    assert "states no license" in printed


def test_nothing_that_is_written_names_a_directory_of_the_machine(config, tmp_path):
    out = run_export(config, tmp_path / "out", "--head", f"data.store={config.data.store}")
    for path in out.iterdir():
        assert str(config.runs_dir.parent).encode() not in path.read_bytes()


def test_the_code_in_the_card_runs(config, tmp_path, monkeypatch):
    out = run_export(config, tmp_path / "out", "--head")
    with open_sequences(config.data.stores[0]) as store:
        frames = store[0].frames
    found = re.search(r"```python\n(.*?)```", (out / "README.md").read_text(), flags=re.DOTALL)
    assert found
    monkeypatch.setattr("scdnet.read_recording", lambda *_, **__: frames)
    names: dict = {}
    exec(found[1].replace("PATH", str(out)), names)
    num_features = json.loads((out / "config.json").read_text())["num_features"]
    assert names["features"].shape == (1, num_features)
    assert names["probabilities"].sum().item() == pytest.approx(1, abs=1e-5)


def test_a_head_is_fitted_to_the_training_split(config, tmp_path, capsys):
    out = run_export(config, tmp_path / "out", "--head")
    probe = read_exported(out).probe
    assert probe is not None
    assert probe.class_names == ("class 0", "class 1")
    line = next(line for line in capsys.readouterr().out.splitlines() if "linear head" in line)
    assert "recognizes" in line
    assert line in (out / "README.md").read_text()


def test_half_prints_what_it_costs(config, tmp_path, capsys):
    out = run_export(config, tmp_path / "out", "--half")
    line = next(line for line in capsys.readouterr().out.splitlines() if "float16 changes" in line)
    assert "16 sequences" in line
    assert "1-NN accuracy" in line
    assert line in (out / "README.md").read_text()
    expected = load_checkpoint(config.run_dir / "last.pt").half().float()
    assert_same_encoder(load_encoder(out), expected)


def test_half_without_the_store_is_measured_on_noise(config, tmp_path, capsys):
    out = run_export(config, tmp_path / "out", "--half", f"data.store={tmp_path / 'gone.h5'}")
    assert "16 clips of noise" in capsys.readouterr().out
    # The card names what it was trained on, not where that is now.
    assert "gone" not in (out / "README.md").read_text()


def test_a_head_without_the_store_is_an_error_and_writes_nothing(config, tmp_path):
    with pytest.raises(ScdnetError, match=r"gone\.h5"):
        run_export(config, tmp_path / "out", "--head", f"data.store={tmp_path / 'gone.h5'}")
    assert not list(tmp_path.iterdir())


def test_an_export_that_exists_is_only_replaced_when_asked(config, tmp_path):
    out = run_export(config, tmp_path / "out", "--head")
    with pytest.raises(ScdnetError, match="exists; choose another --out"):
        run_export(config, out)
    run_export(config, out, "--overwrite")
    assert read_exported(out).probe is None


def test_a_directory_without_a_checkpoint_is_an_error(tmp_path):
    with pytest.raises(ScdnetError, match=r"expected a run directory with last\.pt"):
        export.main([str(tmp_path), "--out", str(tmp_path / "out")])


def test_a_checkpoint_that_states_no_config_is_an_error(shared, tmp_path):
    path = shared / "golden" / "official_small.pth.tar"
    with pytest.raises(ScdnetError, match="expected a checkpoint of scdnet train"):
        export.main([str(path), "--out", str(tmp_path / "out")])


def test_an_encoder_of_several_stores_is_exported_with_all_their_names(tmp_path):
    stores = [write_synthetic_store(tmp_path / f"{name}.h5", seed=i) for i, name in enumerate("ab")]
    config = changed(
        make_small_config(stores[0], tmp_path / "runs"),
        data={"store": stores},
        optim={"epochs": 1},
    )
    pretrain(config)
    out = run_export(config, tmp_path / "out", "--half")
    card = (out / "README.md").read_text()
    assert "* `a`, training split" in card
    assert "* `b`, training split" in card
    assert "16 clips of noise" in card


def test_the_weights_that_a_run_started_from_are_stated_by_their_hash(config, tmp_path):
    start = config.run_dir / "last.pt"
    store = write_synthetic_store(tmp_path / "other.h5", seed=4)
    own = changed(config, name="second", runs_dir=tmp_path, init=str(start), optim={"epochs": 1})
    own = changed(own, data={"store": store})
    last = pretrain(own)
    out = run_export(own, tmp_path / "out")
    sha256 = hash_weights(start)
    stated = json.loads((out / "config.json").read_text())["pretraining"]
    assert stated["init_sha256"] == sha256
    hashes = read_hashes([store, *config.data.stores])
    assert [*stated["store_sha256"], *stated["init_store_sha256"]] == hashes.split()
    origins = [read_pretrained(source).origin.store_sha256 for source in (last, out)]
    assert origins == [hashes, hashes]
    card = (out / "README.md").read_text()
    assert f"Started from the encoder with SHA-256 `{sha256[:12]}`." in card
    assert "init:" not in card and str(start.parent) not in card
    assert "init_sha256" not in (run_export(config, tmp_path / "fresh") / "config.json").read_text()
