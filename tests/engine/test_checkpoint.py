import re
from pathlib import Path

import pytest
import torch

from scdnet import load_encoder
from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.engine.build import build_model
from scdnet.engine.checkpoint import CONTENT, CheckpointError, read_checkpoint, save_checkpoint
from scdnet.files import DOWNLOAD_FAULTS, file_sha256
from scdnet.models.objective import Objective
from scdnet.skeleton import Skeleton
from scdnet.skeletons import KINECT_V1_20, NTU_25, SKELETONS
from tests.faults import largest_file
from tests.stores import CRANE

INPUT_NORM = "query.encoder.temporal_stem.input_norm.weight"
FIRST_NORM = "query.encoder.temporal_stem.units.0.gcn.norm.weight"


@pytest.fixture
def saved(small_config: Config, tmp_path: Path) -> Path:
    model = build_model(small_config, Objective(), skeleton=NTU_25)
    state = {key: kind() for key, kind in CONTENT.items()}
    state |= {"config": dump_config(small_config), "epoch": 3, "model": model.state_dict()}
    state["skeleton"] = NTU_25.to_dict()
    save_checkpoint(tmp_path / "some.pt", state)
    return tmp_path / "some.pt"


def rewrite(path: Path, change) -> None:
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


def test_encoder_comes_back_with_its_sizes_and_weights(saved: Path):
    encoder = load_encoder(saved)
    weights = read_checkpoint(saved).state["model"]
    assert (
        encoder.sizes.embed_dim,
        encoder.sizes.num_heads,
        encoder.sizes.num_frames,
        encoder.sizes.num_bodies,
    ) == (16, 2, 16, 2)
    assert not encoder.training
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, weights[f"query.encoder.{name}"])


def test_a_write_that_fails_leaves_the_old_file_and_states_the_bytes_needed(saved: Path):
    state = {key: read_checkpoint(saved).state[key] for key in CONTENT}
    save_checkpoint(saved, state)
    before = saved.read_bytes()
    message = (
        r"some\.pt: cannot be written \(File too large\); nothing was changed; "
        rf"at least {len(before):,} bytes are needed, [\d,]+ bytes are free there, but "
    )
    for missing in (1, len(before) // 2, len(before)):
        with (
            largest_file(len(before) - missing),
            pytest.raises(CheckpointError, match=message),
        ):
            save_checkpoint(saved, state)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir() if path.suffix == ".tmp"] == []


def test_missing_and_torn_files_are_named(saved: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"gone\.pt: no such checkpoint"):
        load_encoder(tmp_path / "gone.pt")
    saved.write_bytes(saved.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"some\.pt: not a readable checkpoint"):
        load_encoder(saved)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path):
    path = tmp_path / "bad.pt"
    torch.save({"format": pytest.raises}, path)
    message = r"bad\.pt: not a safe checkpoint: besides tensors and numbers it contains \S*raises$"
    with pytest.raises(CheckpointError, match=message) as error:
        load_encoder(path)
    # torch advises to switch the protection off.
    assert "weights_only" not in str(error.value)


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    path = tmp_path / "notes.pt"
    path.write_text("no checkpoint")
    with pytest.raises(CheckpointError, match=r"notes\.pt: not a readable checkpoint \(torch"):
        load_encoder(path)


def test_an_empty_file_is_called_that(tmp_path: Path):
    path = tmp_path / "empty.pt"
    path.touch()
    with pytest.raises(
        CheckpointError, match=r"empty\.pt: expected a checkpoint, found an empty f"
    ):
        load_encoder(path)


def test_weights_of_a_wrapped_model_are_found(saved: Path):
    state = torch.load(saved, weights_only=True)
    expected = load_encoder(saved).state_dict()
    state["model"] = {f"module.{name}": value for name, value in state["model"].items()}
    torch.save(state, saved)
    for name, value in load_encoder(saved).state_dict().items():
        assert torch.equal(value, expected[name])


def test_what_has_no_encoder_is_told_before_missing_heads(tmp_path: Path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet.pt")
    with pytest.raises(CheckpointError, match="no query encoder"):
        load_encoder(tmp_path / "resnet.pt")


def test_the_hash_is_that_of_the_bytes(saved: Path):
    assert read_checkpoint(saved).sha256 == file_sha256(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.update(model={}), "it contains no query encoder"),
        (lambda state: state.update(model=3), "expected model of type dict, found int"),
        (lambda state: state.pop("config"), "expected config of type dict, found nothing"),
        (lambda state: state.update(format="other"), "it contains no query encoder"),
        (lambda state: state["model"].update({INPUT_NORM: torch.zeros(2, 2)}), "do not fit"),
        (lambda state: state["model"].update({FIRST_NORM: torch.zeros(0)}), "do not fit"),
        (lambda state: state.update(version=9), "expected version 2, found 9"),
        (
            lambda state: state["model"].pop("query.encoder.spatial_path.project.0.bias"),
            "do not fit.*project.0.bias",
        ),
        (
            lambda state: state["model"].pop("query.encoder.temporal_stem.input_norm.weight"),
            "do not fit",
        ),
        (
            lambda state: state["model"].update({"query.encoder.more": torch.zeros(1)}),
            "do not fit.*more",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(saved: Path, change, message: str):
    rewrite(saved, change)
    with pytest.raises(CheckpointError, match=message):
        load_encoder(saved)


@pytest.mark.parametrize("kind", DOWNLOAD_FAULTS)
def test_what_a_failed_download_leaves_is_named(tmp_path: Path, kind: bytes):
    path = tmp_path / "checkpoint.pth.tar"
    path.write_bytes(kind + b" and more")
    fault = re.escape(DOWNLOAD_FAULTS[kind])
    with pytest.raises(CheckpointError, match=rf"tar: expected a checkpoint, found {fault}"):
        load_encoder(path, num_heads=2)


@pytest.mark.parametrize("skeleton", [*SKELETONS.values(), CRANE], ids=lambda s: s.name)
def test_a_checkpoint_keeps_the_skeleton(small_config: Config, tmp_path: Path, skeleton: Skeleton):
    model = build_model(small_config, Objective(), skeleton=skeleton)
    state = {key: kind() for key, kind in CONTENT.items()}
    state |= {"config": dump_config(small_config), "model": model.state_dict()}
    save_checkpoint(tmp_path / "a.pt", {**state, "skeleton": skeleton.to_dict()})
    encoder = load_encoder(tmp_path / "a.pt")
    assert encoder.skeleton == skeleton
    clips = torch.randn(2, 3, 16, skeleton.num_joints, 2)
    own, expected = encoder(clips), model.query.encoder.eval()(clips)
    assert torch.equal(own.temporal, expected.temporal)
    assert torch.equal(own.spatial, expected.spatial)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields: fields.clear(), "skeleton: not the fields of a skeleton"),
        (lambda fields: fields.pop("mirror"), "skeleton: not the fields of a skeleton"),
        (lambda fields: fields.update(more=1), "skeleton: not the fields of a skeleton"),
        (lambda fields: fields.update(joints=7), "skeleton: not the fields of a skeleton"),
        (lambda fields: fields.update(parents=[0] * 24), "parents: expected one for each of 25"),
        (lambda fields: fields.update(parents=list(range(25))), "parents: expected one root"),
        (lambda fields: fields.update(center=[25]), "expected joints as numbers in 0..24"),
        (lambda fields: fields.update(dims=4), "dims: expected 2 or 3, found 4"),
        (lambda fields: fields.update(KINECT_V1_20.to_dict()), "the weights do not fit"),
    ],
)
def test_a_damaged_skeleton_of_a_checkpoint_is_one_clear_error(saved: Path, change, message: str):
    rewrite(saved, lambda state: change(state["skeleton"]))
    with pytest.raises(CheckpointError, match=rf"some\.pt: .*{message}"):
        load_encoder(saved)
