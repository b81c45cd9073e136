import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from scdnet.config import Config
from scdnet.data.clips import Clips
from scdnet.engine.checkpoint import CheckpointError
from scdnet.errors import ScdnetError
from scdnet.eval import features
from scdnet.eval.features import (
    extract_features,
    extraction_settings,
    load_encoder_or_baseline,
    raw_settings,
)
from scdnet.eval.inputs import Inputs
from scdnet.eval.knn import retrieve
from scdnet.eval.linear import linear_probe
from scdnet.skeletons import NTU_25
from tests.engine.runs import changed

CPU = torch.device("cpu")


@pytest.fixture
def encoder(random_inputs: Inputs) -> nn.Module:
    return copy.deepcopy(random_inputs.encoder)


def test_features_are_both_paths_side_by_side_in_the_order_of_the_store(
    trained_config: Config, checkpoint: Path, clips: Clips
):
    encoder, record = load_encoder_or_baseline(checkpoint, trained_config, NTU_25)
    own = extract_features(encoder, clips)
    with torch.no_grad():
        out = encoder(next(clips.evaluation_views(torch.tensor([[11]]))))
    assert own.x.shape == (16, 2 * 16)
    assert torch.allclose(own.x[11], torch.cat([out.temporal, out.spatial], dim=1)[0], atol=1e-5)
    assert torch.equal(own.y, clips.label)
    assert (record.epoch, record.seed, record.pretrained_on) == (1, 0, "synthetic")
    assert record.checkpoint == str(checkpoint) and record.baseline is None


def test_batches_change_no_feature(
    encoder: nn.Module, clips: Clips, monkeypatch: pytest.MonkeyPatch
):
    whole = extract_features(encoder, clips)
    monkeypatch.setattr(features, "BATCH", 3)
    parts = extract_features(encoder, clips)
    assert torch.allclose(whole.x, parts.x, atol=1e-5)


def test_some_features_are_those_of_all(encoder: nn.Module, clips: Clips):
    index = torch.tensor([9, 2, 15])
    whole = extract_features(encoder, clips)
    some = extract_features(encoder, clips, index=index)
    assert torch.allclose(some.x, whole.x[index], atol=1e-5)
    assert torch.equal(some.y, clips.label[index])


def test_extraction_knn_and_linear_probe_leave_weights_and_statistics_alone(
    trained_config: Config, encoder: nn.Module, clips: Clips
):
    encoder.train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    found = extract_features(encoder, clips)
    retrieve(found, found, num_classes=2, device=CPU)
    linear_probe(found, found, trained_config.linear, num_classes=2, seed=0, device=CPU)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_raw_baseline_is_the_flattened_view(trained_config: Config, clips: Clips):
    encoder, record = load_encoder_or_baseline("raw", trained_config, NTU_25)
    own = extract_features(encoder, clips)
    assert torch.equal(own.x[3], next(clips.evaluation_views(torch.tensor([[3]]))).flatten())
    assert (record.baseline, record.checkpoint, record.checkpoint_sha256) == ("raw", None, None)
    assert (record.seed, record.epoch) == (None, None)


def test_raw_views_depend_on_no_size_of_an_encoder(trained_config: Config):
    other = changed(trained_config, model={"embed_dim": 32, "num_layers": 2})
    assert raw_settings(other) == raw_settings(trained_config)
    assert raw_settings(changed(trained_config, data={"num_frames": 32})) != raw_settings(other)


def test_raw_views_have_no_levels(trained_config: Config):
    with pytest.raises(ScdnetError, match="feature_level=2: raw views have no levels"):
        load_encoder_or_baseline("raw", changed(trained_config, feature_level=2), NTU_25)


@pytest.mark.parametrize("is_trained", [False, True])
def test_the_dropout_of_further_training_is_that_of_the_config(
    trained_config: Config, checkpoint: Path, is_trained: bool
):
    config = changed(trained_config, model={"dropout": 0.3})
    encoder, _ = load_encoder_or_baseline(
        checkpoint if is_trained else "random-init", config, NTU_25
    )
    assert {module.p for module in encoder.modules() if isinstance(module, nn.Dropout)} == {0.3}
    assert extraction_settings(config) == extraction_settings(trained_config)


def test_the_random_init_baseline_is_where_training_starts(
    trained_config: Config, encoder: nn.Module
):
    again, other = (
        load_encoder_or_baseline("random-init", changed(trained_config, seed=seed), NTU_25)[0]
        for seed in (0, 1)
    )
    start, same, different = (
        each.state_dict()["spatial_path.project.0.weight"] for each in (encoder, again, other)
    )
    assert torch.equal(start, same) and not torch.equal(start, different)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"num_frames": 32}}, "num_frames is 16 in the checkpoint, 32 in the config"),
        ({"model": {"embed_dim": 32}}, "embed_dim is 16 in the checkpoint, 32 in the config"),
        ({"model": {"num_heads": 4}}, "num_heads is 2 in the checkpoint, 4 in the config"),
        ({"stream": "bone"}, "trained on stream joint, but the config states bone"),
        ({"stream": "all"}, "trained on stream joint, but the config states all"),
    ],
)
def test_a_checkpoint_that_does_not_fit_the_config_is_refused(
    trained_config: Config, checkpoint: Path, changes: dict, message: str
):
    with pytest.raises(CheckpointError, match=message):
        load_encoder_or_baseline(checkpoint, changed(trained_config, **changes), NTU_25)


def test_the_recorded_seed_is_that_of_the_checkpoint(trained_config: Config, checkpoint: Path):
    _, record = load_encoder_or_baseline(checkpoint, changed(trained_config, seed=9), NTU_25)
    assert record.seed == 0


def test_features_that_are_not_finite_are_an_error(encoder: nn.Module, clips: Clips):
    encoder.spatial_path.project[0].weight.data.fill_(float("nan"))
    with pytest.raises(ScdnetError, match="features that are not finite"):
        extract_features(encoder, clips)
