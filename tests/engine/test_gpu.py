"""The same numbers on a GPU as on the CPU; skipped where there is none."""

import pytest
import torch

from scdnet.config import Config
from scdnet.data.clips import load_clips
from scdnet.engine.trainer import pretrain
from scdnet.eval.features import extract_features, load_source
from scdnet.eval.knn import knn_metrics, score_1nn, split_features

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
DEVICES = ("cpu", "cuda")


def test_a_seed_gives_the_same_views(small_config: Config):
    views = []
    for device in DEVICES:
        clips = load_clips(small_config.data, "bone", torch.device(device))
        index = torch.tensor([0, 5, 5, 9], device=device)
        views.append(clips.training_views(index, torch.Generator().manual_seed(1)).cpu())
    assert torch.allclose(*views, atol=1e-5)


def test_training_resuming_and_scoring(small_config: Config):
    config = small_config.model_copy(update={"device": "cuda", "eval_every": 1})
    pretrain(config, score=score_1nn)
    more = config.model_copy(update={"optim": config.optim.model_copy(update={"epochs": 3})})
    path = pretrain(more, resume=True, score=score_1nn)
    features = []
    for device in DEVICES:
        encoder, _ = load_source(str(path), config)
        features.append(extract_features(encoder, load_clips(config.data, "joint", torch.device(device))))
    assert torch.allclose(features[0].x, features[1].x, atol=1e-2)  # convolutions in TF32


def test_retrieval(small_config: Config):
    encoder, _ = load_source("none", small_config)
    clips = load_clips(small_config.data, "joint", torch.device("cpu"))
    gallery, queries = split_features(extract_features(encoder, clips), clips)
    on_cpu, on_gpu = (knn_metrics(gallery, queries, torch.device(device)) for device in DEVICES)
    assert on_gpu == pytest.approx(on_cpu, abs=0.1)
