"""Statistics of an encoder that has seen parts of clips alone."""

import pytest
import torch

from scdnet.config import Config
from scdnet.engine.build import build_model, build_objective, open_mixture
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.train.pretrain import pretrain
from scdnet.engine.train.statistics import estimate_statistics
from scdnet.models.encoder import DualPathEncoder
from scdnet.models.layers import synchronize_statistics
from scdnet.skeletons import NTU_25
from tests.engine.runs import changed

CPU = torch.device("cpu")


def statistics_of(encoder: DualPathEncoder) -> dict[str, torch.Tensor]:
    return {name: x.clone() for name, x in encoder.named_buffers() if "_stem" in name}


@pytest.fixture
def config(small_config: Config) -> Config:
    return changed(small_config, objective="latent", data={"num_bodies": 2})


def test_statistics_are_those_of_whole_evaluation_views_whatever_they_were(config: Config):
    clips = open_mixture(config.data, config.stream, CPU)
    encoder = build_model(config, build_objective(config), skeleton=NTU_25).query.encoder
    views = next(clips.evaluation_views([torch.cat(clips.training_sequences)]))
    for value in (0.0, 7.0):
        for x in encoder.buffers():
            x.fill_(value)
        estimate_statistics(encoder, clips)
        norm = encoder.temporal_stem.input_norm
        # Channels are (m v c).
        joints = views.permute(4, 3, 1, 0, 2).flatten(3).flatten(0, 2)
        assert torch.allclose(norm.running_mean, joints.mean(dim=1), atol=1e-5)
        assert torch.allclose(norm.running_var, joints.var(dim=1), rtol=1e-3, atol=1e-6)
        assert norm.momentum == 0.1 and norm.num_batches_tracked == 1
    # Evaluation then outputs what training would.
    training = encoder.train().level_features(views, "spatial", 3)
    evaluation = encoder.eval().level_features(views, "spatial", 3)
    for own, expected in zip(evaluation, training, strict=True):
        assert torch.allclose(own, expected, rtol=0.01, atol=0.01)


def test_an_estimate_draws_no_random_number_and_asks_no_other_rank(config: Config):
    clips = open_mixture(config.data, config.stream, CPU)
    encoder = build_model(config, build_objective(config), skeleton=NTU_25).query.encoder

    def gather(_: torch.Tensor) -> torch.Tensor:
        raise AssertionError("nothing is to be gathered")

    synchronize_statistics(encoder, gather)
    state = torch.get_rng_state()
    estimate_statistics(encoder, clips)
    assert torch.equal(torch.get_rng_state(), state)
    first = statistics_of(encoder)
    estimate_statistics(encoder, clips)
    assert all(torch.equal(x, first[name]) for name, x in statistics_of(encoder).items())
    assert encoder.temporal_stem.input_norm.gather is gather


def test_an_estimate_that_fails_leaves_random_state_and_batch_norms_as_they_were(
    config: Config, monkeypatch: pytest.MonkeyPatch
):
    clips = open_mixture(config.data, config.stream, CPU)
    encoder = build_model(config, build_objective(config), skeleton=NTU_25).query.encoder
    norm = encoder.temporal_stem.input_norm
    gather = norm.gather

    def fail(*_: object) -> None:
        torch.rand(1)
        raise MemoryError

    monkeypatch.setattr(DualPathEncoder, "level_features", fail)
    state = torch.get_rng_state()
    with pytest.raises(MemoryError):
        estimate_statistics(encoder, clips)
    assert torch.equal(torch.get_rng_state(), state)
    assert norm.momentum == 0.1 and norm.gather is gather


def test_a_checkpoint_has_statistics_of_whole_views_and_so_has_what_is_scored(config: Config):
    scored = []

    def score(encoder: DualPathEncoder, _: object) -> dict[str, float]:
        scored.append(statistics_of(encoder))
        return {"knn@1": 1.0}

    path = pretrain(changed(config, eval_every=1, save_every=1), score=score)
    state = read_checkpoint(path).state["model"]
    clips = open_mixture(config.data, config.stream, CPU)
    model = build_model(config, build_objective(config), skeleton=NTU_25)
    model.load_state_dict(state)
    saved = statistics_of(model.query.encoder)
    estimate_statistics(model.query.encoder, clips)
    for name, expected in statistics_of(model.query.encoder).items():
        assert torch.equal(saved[name], expected), name
        assert torch.equal(scored[-1][name], expected), name
