from pathlib import Path

import pytest
import torch
from torch import nn

from scdnet.config import Config
from scdnet.data.clips import load_clips
from scdnet.engine.build import build_model
from scdnet.engine.checkpoint import CheckpointError
from scdnet.engine.train.pretrain import pretrain
from scdnet.errors import ScdnetError
from scdnet.eval import features
from scdnet.eval.features import extract_features, load_encoder_or_baseline
from scdnet.eval.knn import retrieve
from scdnet.eval.linear import linear_probe

CPU = torch.device("cpu")


@pytest.fixture
def checkpoint(small_config: Config) -> Path:
    return pretrain(small_config)


def test_features_are_both_paths_side_by_side_in_the_order_of_the_store(
    small_config: Config, checkpoint: Path
):
    clips = load_clips(small_config.data, "joint", CPU)
    encoder, source = load_encoder_or_baseline(str(checkpoint), small_config)
    own = extract_features(encoder, clips)
    with torch.no_grad():
        out = encoder(next(clips.evaluation_views(torch.tensor([[11]]))))
    assert own.x.shape == (16, 2 * 16)
    assert torch.allclose(own.x[11], torch.cat([out.temporal, out.spatial], dim=1)[0], atol=1e-5)
    assert torch.equal(own.y, clips.label)
    assert (source.epoch, source.seed) == (2, 0)


def test_batches_change_no_feature(
    small_config: Config, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
):
    clips = load_clips(small_config.data, "joint", CPU)
    encoder, _ = load_encoder_or_baseline(str(checkpoint), small_config)
    whole = extract_features(encoder, clips)
    monkeypatch.setattr(features, "BATCH", 3)
    parts = extract_features(encoder, clips)
    assert torch.allclose(whole.x, parts.x, atol=1e-5)


def test_some_features_are_those_of_all(small_config: Config, checkpoint: Path):
    clips = load_clips(small_config.data, "joint", CPU)
    encoder, _ = load_encoder_or_baseline(str(checkpoint), small_config)
    index = torch.tensor([9, 2, 15])
    whole, some = extract_features(encoder, clips), extract_features(encoder, clips, index=index)
    assert torch.allclose(some.x, whole.x[index], atol=1e-5)
    assert torch.equal(some.y, clips.label[index])


def test_extraction_knn_and_linear_probe_leave_weights_and_statistics_alone(small_config: Config):
    encoder = build_model(small_config).query.encoder.train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    found = extract_features(encoder, load_clips(small_config.data, "joint", CPU))
    retrieve(found, found, num_classes=2, device=CPU)
    linear_probe(found, found, small_config.linear, num_classes=2, seed=0, device=CPU)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_raw_control_is_the_flattened_view(small_config: Config):
    clips = load_clips(small_config.data, "joint", CPU)
    encoder, source = load_encoder_or_baseline("raw", small_config)
    own = extract_features(encoder, clips)
    assert torch.equal(own.x[3], next(clips.evaluation_views(torch.tensor([[3]]))).flatten())
    assert source.sha256 is None


@pytest.mark.parametrize("name", ["none", "trained"])
def test_the_dropout_of_further_training_is_that_of_the_config(
    small_config: Config, checkpoint: Path, name: str
):
    config = small_config.model_copy(
        update={"model": small_config.model.model_copy(update={"dropout": 0.3})}
    )
    encoder, _ = load_encoder_or_baseline(str(checkpoint) if name == "trained" else name, config)
    assert {module.p for module in encoder.modules() if isinstance(module, nn.Dropout)} == {0.3}


def test_untrained_control_is_where_training_starts(small_config: Config):
    start, _ = load_encoder_or_baseline("none", small_config)
    again, _ = load_encoder_or_baseline("none", small_config)
    other, _ = load_encoder_or_baseline("none", small_config.model_copy(update={"seed": 1}))
    name = "spatial_path.project.0.weight"
    assert torch.equal(start.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(start.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("data", {"num_frames": 32}, "num_frames is 16 in the checkpoint, 32 in the config"),
        ("model", {"embed_dim": 32}, "embed_dim is 16 in the checkpoint, 32 in the config"),
        ("model", {"num_heads": 4}, "num_heads is 2 in the checkpoint, 4 in the config"),
    ],
)
def test_a_checkpoint_that_does_not_fit_the_config(
    small_config, checkpoint, section, values, message
):
    part = getattr(small_config, section).model_copy(update=values)
    with pytest.raises(CheckpointError, match=message):
        load_encoder_or_baseline(str(checkpoint), small_config.model_copy(update={section: part}))


def test_a_checkpoint_of_another_stream(small_config: Config, checkpoint: Path):
    with pytest.raises(CheckpointError, match="trained on stream joint, the config says bone"):
        load_encoder_or_baseline(
            str(checkpoint), small_config.model_copy(update={"stream": "bone"})
        )


def test_the_seed_on_record_is_the_checkpoint_s(small_config: Config, checkpoint: Path):
    _, source = load_encoder_or_baseline(
        str(checkpoint), small_config.model_copy(update={"seed": 9})
    )
    assert source.seed == 0


def test_features_that_are_no_numbers_are_an_error(small_config: Config):
    encoder = build_model(small_config).query.encoder
    encoder.spatial_path.project[0].weight.data.fill_(float("nan"))
    with pytest.raises(ScdnetError, match="features that are no finite numbers"):
        extract_features(encoder, load_clips(small_config.data, "joint", CPU))
