"""Pretraining that starts from an encoder (`init`): what is taken over, and what is refused."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scdnet import open_sequences
from scdnet.config import Config
from scdnet.engine.checkpoint import CheckpointError, read_checkpoint, save_checkpoint
from scdnet.engine.locate import WEIGHTS, hash_weights
from scdnet.engine.run.directory import INIT, RunDirError, check_same_run
from scdnet.engine.sources import read_pretrained
from scdnet.engine.train.initial import read_initial
from scdnet.engine.train.pretrain import pretrain
from scdnet.engine.train.start import start_training
from scdnet.models.encoder import DualPathEncoder, EncoderSizes
from scdnet.skeletons import NTU_25, OPENPOSE_25
from tests.conftest import write_synthetic_store
from tests.engine.exports import change_weights, export, make_encoder, ship
from tests.engine.runs import assert_same_state, changed, weights_of

# The sizes of the small config.
SIZES = EncoderSizes(base_channels=8, embed_dim=16, num_heads=2, num_frames=16, num_bodies=2)
CPU = torch.device("cpu")
ALPHA = "temporal_stem.units.0.gcn.alpha"


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """An exported encoder of the sizes of the small config."""
    return export(tmp_path / "start", make_encoder(SIZES))


def is_same_encoder(model: dict, side: str, encoder: DualPathEncoder) -> bool:
    found = {name.removeprefix(side): x for name, x in model.items() if name.startswith(side)}
    expected = encoder.state_dict()
    return found.keys() == expected.keys() and all(
        torch.equal(expected[name], x) for name, x in found.items()
    )


def test_both_encoders_start_from_it_and_all_else_as_without_it(small_config: Config, start: Path):
    config = changed(small_config, init=str(start))
    initial = read_initial(config, NTU_25)
    torch.manual_seed(0)
    found = start_training(config, NTU_25, CPU, initial=initial)
    torch.manual_seed(0)
    fresh = start_training(config, NTU_25, CPU)
    states = found.model.state_dict(), fresh.model.state_dict()
    for side in ("query.encoder.", "key.encoder."):
        assert is_same_encoder(states[0], side, make_encoder(SIZES))
        assert not is_same_encoder(states[1], side, make_encoder(SIZES))
    others = [name for name in states[0] if ".encoder." not in name]
    assert len(others) > 5
    assert all(torch.equal(states[0][name], states[1][name]) for name in others)
    assert found.epoch == 0 and found.optimizer.state_dict()["state"] == {}
    assert found.init_sha256 == hash_weights(start) and fresh.init_sha256 == ""


@pytest.mark.usefixtures("no_training")
def test_it_is_a_checkpoint_a_directory_a_name_or_an_address_of_the_hub(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    hub = pytest.importorskip("huggingface_hub", reason="needs the extra hub")
    shipped = ship(monkeypatch, tmp_path / "room", make_encoder(SIZES))
    monkeypatch.setattr(hub, "snapshot_download", lambda *args, **kwargs: str(shipped))
    first = pretrain(changed(small_config, name="first", init="scdnet-small"))
    for source in (first, shipped, "scdnet-small", "hf://owner/name"):
        found = read_initial(changed(small_config, init=str(source)), NTU_25)
        assert found.sha256 == hash_weights(source)
        assert is_same_encoder(found.weights, "", make_encoder(SIZES))


@pytest.mark.usefixtures("no_training")
def test_components_are_fitted_to_the_training_split_as_usual(small_config: Config, tmp_path: Path):
    start = export(tmp_path / "e", make_encoder(SIZES, has_components=True))
    config = changed(small_config, init=str(start), optim={"epochs": 1})
    names = weights_of(pretrain(config)).keys()
    assert not any(".components." in name for name in names)
    fitted = changed(config, name="fitted", model={"components": True})
    plain = changed(fitted, name="plain", init=None)
    found, expected = (weights_of(pretrain(run)) for run in (fitted, plain))
    own = [name for name in found if ".components." in name]
    assert own and all(torch.equal(found[name], expected[name]) for name in own)


@pytest.mark.usefixtures("no_training")
def test_the_hash_is_recorded_in_the_run_directory_and_in_checkpoints(
    small_config: Config, start: Path
):
    config = changed(small_config, init=str(start), optim={"epochs": 1})
    state = read_checkpoint(pretrain(config)).state
    assert state["init_sha256"] == hash_weights(start)
    assert (config.run_dir / INIT).read_text() == f"{hash_weights(start)}\n"
    fresh = changed(config, init=None)
    assert read_checkpoint(pretrain(fresh, overwrite=True)).state["init_sha256"] == ""
    assert not (config.run_dir / INIT).exists()


@pytest.mark.usefixtures("no_training")
def test_an_encoder_has_seen_the_stores_of_all_that_it_started_from(
    small_config: Config, tmp_path: Path
):
    """Fine-tuning on one of them is no transfer."""
    last = None
    seen: list[str] = []
    for seed, name in enumerate(("first", "second", "third")):
        store = write_synthetic_store(tmp_path / f"{name}.h5", seed=seed)
        config = changed(small_config, name=name, data={"store": store}, init=last)
        last = str(pretrain(config))
        with open_sequences(store) as sequences:
            seen.insert(0, sequences.content_sha256)
        assert read_pretrained(last).origin.store_sha256 == " ".join(seen)
    # A run that goes on keeps what it has stated.
    again = pretrain(changed(config, optim={"epochs": 9}), resume=True)
    assert read_pretrained(again).origin.store_sha256 == " ".join(seen)


def test_a_stopped_run_ends_as_the_undisturbed_one_without_the_file(
    small_config: Config, start: Path, stop_after: Callable
):
    config = changed(small_config, init=str(start))
    last = pretrain(changed(config, name="whole"))
    pretrain(config, stop=stop_after(1))
    shutil.rmtree(start)
    assert_same_state(pretrain(config, resume=True), last)
    assert read_checkpoint(last).state["init_sha256"] == (config.run_dir / INIT).read_text().strip()


@pytest.fixture
def stopped(small_config: Config, start: Path, stop_after: Callable) -> Config:
    """Train a run from `start` and stop it after a step."""
    config = changed(small_config, init=str(start))
    pretrain(config, stop=stop_after(1))
    return config


@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_a_run_is_resumed_with_the_same_weights_at_any_path(
    stopped: Config, start: Path, tmp_path: Path, has_checkpoint: bool
):
    if not has_checkpoint:
        (stopped.run_dir / "last.pt").unlink()
    start.rename(tmp_path / "moved")
    pretrain(changed(stopped, init=str(tmp_path / "moved")), resume=True)


@pytest.mark.parametrize("has_checkpoint", [True, False])
@pytest.mark.parametrize(
    ("init", "message"),
    [(None, "found no init; restore it, or start a new run"), ("other", "found init=.*other; ")],
)
def test_a_run_is_not_resumed_with_other_weights(
    stopped: Config, tmp_path: Path, init: str | None, message: str, has_checkpoint: bool
):
    if not has_checkpoint:
        (stopped.run_dir / "last.pt").unlink()
    other = export(tmp_path / "other", make_encoder(replace(SIZES, num_layers=2)))
    config = changed(stopped, init=str(other) if init else None)
    with pytest.raises(RunDirError, match=f"has started from init=.*start, {message}"):
        pretrain(config, resume=True)


def test_a_run_from_random_weights_is_not_resumed_with_an_init(finished: Config, start: Path):
    config = changed(finished, init=str(start), optim={"epochs": 3})
    with pytest.raises(RunDirError, match="has started from random weights, found init="):
        pretrain(config, resume=True)


def test_weights_that_changed_since_the_start_stop_only_a_run_without_a_checkpoint(
    stopped: Config, start: Path, capsys: pytest.CaptureFixture
):
    export(start.with_name("other"), make_encoder(replace(SIZES, num_layers=2)))
    shutil.rmtree(start)
    start.with_name("other").rename(start)
    other = changed(stopped, runs_dir=start.with_name("copied"))
    shutil.copytree(stopped.run_dir, other.run_dir)
    # A sweep checks a run before it resumes it.
    check_same_run(stopped)
    pretrain(stopped, resume=True)
    said = capsys.readouterr().err
    assert said.count("which contains other weights now; it continues with its own weights") == 2
    (other.run_dir / "last.pt").unlink()
    with pytest.raises(RunDirError, match="which contains other weights now; restore it"):
        check_same_run(other)
    with pytest.raises(RunDirError, match="which contains other weights now; restore it"):
        pretrain(other, resume=True)


def test_a_run_with_a_checkpoint_needs_no_weights_in_the_directory_that_it_started_from(
    stopped: Config, start: Path
):
    (start / WEIGHTS).unlink()
    other = changed(stopped, runs_dir=start.with_name("copied"))
    shutil.copytree(stopped.run_dir, other.run_dir)
    (other.run_dir / "last.pt").unlink()
    pretrain(stopped, resume=True)
    with pytest.raises(CheckpointError, match=f"contains no {WEIGHTS}"):
        pretrain(other, resume=True)


def test_a_checkpoint_from_before_the_key_existed_is_resumed(finished: Config):
    path = finished.run_dir / "last.pt"
    state = read_checkpoint(path).state
    del state["config"]["init"], state["init_sha256"], state["init_store_sha256"]
    torch.save(state, path)
    last = pretrain(changed(finished, optim={"epochs": 3}), resume=True)
    state = read_checkpoint(last).state
    assert (state["epoch"], state["init_sha256"], state["config"]["init"]) == (3, "", None)


def fault_of(config: Config) -> str:
    with pytest.raises(CheckpointError) as caught:
        pretrain(config)
    assert not (config.run_dir / "config.yaml").exists()
    return str(caught.value)


def test_weights_of_other_sizes_are_refused_with_the_keys_that_differ(
    small_config: Config, start: Path
):
    sizes = {"embed_dim": 32, "num_layers": 2}
    fault = fault_of(changed(small_config, init=str(start), model=sizes, data={"num_bodies": 1}))
    assert fault.startswith(
        f"init: {start}: model.embed_dim is 16 in the encoder, 32 in the config"
    )
    assert fault.endswith("add model.embed_dim=16 model.num_layers=1 data.num_bodies=2")


def test_weights_for_other_joints_or_another_stream_are_refused(
    small_config: Config, start: Path, tmp_path: Path
):
    store = write_synthetic_store(tmp_path / "other.h5", skeleton=OPENPOSE_25)
    fault = fault_of(changed(small_config, init=str(start), data={"store": store}))
    assert "trained on the joints of ntu25, but" in fault and "those of openpose25; " in fault
    fault = fault_of(changed(small_config, init=str(start), stream="bone"))
    assert fault.endswith("trained on stream joint, but the config states bone; add stream=joint")


@pytest.mark.parametrize("is_checkpoint", [True, False])
def test_weights_with_nan_are_refused(
    finished: Config, start: Path, tmp_path: Path, is_checkpoint: bool
):
    init = start
    if is_checkpoint:
        init = tmp_path / "nan.pt"
        state = read_checkpoint(finished.run_dir / "last.pt").state
        state = {key: x for key, x in state.items() if key not in ("format", "version")}
        state["model"][f"query.encoder.{ALPHA}"].fill_(torch.nan)
        save_checkpoint(init, state)
    else:
        change_weights(start, lambda weights: weights[ALPHA].fill_(torch.nan))
    fault = fault_of(changed(finished, name="other", init=str(init)))
    assert f"{ALPHA} contains NaN or Inf" in fault


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("gone/last.pt", "gone/last.pt: no such checkpoint or directory"),
        ("scdnet-smal", "did you mean 'scdnet-small'?"),
        ("hf://owner", "expected hf://OWNER/NAME or hf://OWNER/NAME@REVISION"),
        ("hf://owner/name", "needs huggingface_hub: pip install 'scdnet[hub]'"),
    ],
)
def test_an_init_that_is_not_there_is_named(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, init: str, message: str
):
    ship(monkeypatch, tmp_path / "room")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    fault = fault_of(changed(small_config, init=init))
    assert fault.startswith("init: ") and message in fault


def test_a_run_directory_without_weights_is_no_init(small_config: Config, tmp_path: Path):
    assert "it contains no config.json" in fault_of(changed(small_config, init=str(tmp_path)))


def test_the_run_itself_is_no_init(finished: Config):
    config = changed(finished, init=str(finished.run_dir / "last.pt"))
    with pytest.raises(CheckpointError, match=r"last\.pt: lies in the directory of this run"):
        pretrain(config, overwrite=True)
    assert (finished.run_dir / "last.pt").is_file()
