import shutil
from pathlib import Path

import h5py
import pytest
import torch

from scdnet.config import Config
from scdnet.data.clips import load_clips
from scdnet.engine import components as fitting
from scdnet.engine.checkpoint import CheckpointError, build_encoder, read_checkpoint
from scdnet.engine.train.pretrain import pretrain
from scdnet.errors import ScdnetError
from scdnet.eval.features import encode, extract_features, load_encoder_or_baseline
from scdnet.skeletons import NTU_25
from tests.conftest import write_synthetic_store
from tests.engine.runs import assert_same_state, changed
from tests.stores import rehash

CPU = torch.device("cpu")


@pytest.fixture
def config(small_config: Config) -> Config:
    """A run with aligned sides and components."""
    return changed(small_config, model={"align_sides": True, "components": True}, save_every=1)


def test_a_checkpoint_has_the_components_of_its_training_split(config: Config):
    path = pretrain(config)
    encoder, _ = load_encoder_or_baseline(path, config, NTU_25)
    clips = load_clips(config.data, config.stream, CPU)
    x = extract_features(encoder, clips).x
    # Eight training sequences have two components a part: three parts of two kinds of clips.
    assert x.shape == (16, 2 * 16 + 2 * 3 * 2 + 1)
    means = encoder.components["original"].get_buffer("joint_mean")
    views = torch.cat(list(clips.evaluation_views([clips.split(train=True)])))
    assert torch.allclose(means, views.flatten(1).mean(dim=0), atol=1e-6)


def test_a_resumed_run_is_bit_identical(config: Config):
    path = pretrain(config)
    part = changed(config, runs_dir=config.runs_dir / "part")
    part.run_dir.mkdir(parents=True)
    shutil.copy(path.with_name("epoch_0001.pt"), part.run_dir / "last.pt")
    shutil.copy(path.with_name("store.sha256"), part.run_dir)
    assert_same_state(path, pretrain(part, resume=True))


def test_a_loaded_encoder_gives_the_same_features(config: Config):
    checkpoint = read_checkpoint(pretrain(config))
    first, second = (build_encoder(checkpoint, num_heads=None) for _ in range(2))
    clips = torch.randn(3, 3, 16, 25, 2)
    assert torch.equal(encode(first, clips), encode(second, clips))


@pytest.mark.parametrize("stream", ["bone", "motion"])
def test_other_streams_have_components_of_their_own_clips(config: Config, stream: str):
    path = pretrain(changed(config, stream=stream))
    encoder = build_encoder(read_checkpoint(path), num_heads=None)
    assert encoder.components["original"].widths == {"joint": 2}


def test_all_streams_have_the_components_of_joints(config: Config):
    joint, every = (
        build_encoder(read_checkpoint(pretrain(other)), num_heads=None)
        for other in (config, changed(config, stream="all", name="all"))
    )
    assert (joint.sizes.num_streams, every.sizes.num_streams) == (1, 3)
    expected = joint.components.state_dict()
    for name, weights in every.components.state_dict().items():
        assert torch.equal(weights, expected[name])


def test_a_config_without_components_does_not_fit(config: Config):
    path = pretrain(config)
    with pytest.raises(CheckpointError, match="components is True in the checkpoint, False in"):
        load_encoder_or_baseline(path, changed(config, model={"components": False}), NTU_25)
    with pytest.raises(CheckpointError, match="align_sides is True in the checkpoint, False in"):
        load_encoder_or_baseline(path, changed(config, model={"align_sides": False}), NTU_25)


def test_too_few_sequences_have_no_components(config: Config, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fitting, "SEQUENCES_PER_COMPONENT", 9)
    with pytest.raises(ScdnetError, match="the training split has 8 sequences, expected at least"):
        pretrain(config)


def test_sequences_that_are_alike_have_no_components(config: Config, tmp_path: Path):
    path = write_synthetic_store(tmp_path / "alike.h5")
    with h5py.File(path, "r+") as file:
        file["frames"][:] = file["frames"][:1]
    rehash(path)
    with pytest.raises(ScdnetError, match="all 8 training sequences are alike"):
        pretrain(changed(config, data={"store": path}))
