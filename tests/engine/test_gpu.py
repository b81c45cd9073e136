"""The same numbers on a GPU as on the CPU; skipped where there is none."""

import pytest
import torch

from scdnet.config import Config
from scdnet.data.clips import load_clips
from scdnet.engine.trainer import pretrain
from scdnet.errors import ScdnetError
from scdnet.eval.features import extract_features, load_source
from scdnet.eval.knn import knn_metrics, score_1nn, split_features

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
DEVICES = ("cpu", "cuda")


def views_of(config: Config, device: str, **data) -> torch.Tensor:
    clips = load_clips(config.data.model_copy(update=data), "bone", torch.device(device))
    batches = torch.tensor([[0, 5, 9], [4, 1, 2]])
    pairs = clips.training_views(batches, torch.Generator().manual_seed(1))
    return torch.stack([view for pair in pairs for view in pair])


def test_a_seed_gives_the_same_views(small_config: Config):
    on_cpu, on_gpu = (views_of(small_config, device).cpu() for device in DEVICES)
    assert torch.allclose(on_cpu, on_gpu, atol=1e-5)


def test_views_are_made_without_waiting_for_the_gpu(small_config: Config):
    clips = load_clips(small_config.data, "bone", torch.device("cuda"))
    passes = [clips.training_views(torch.tensor([[0, 5, 9]]), torch.Generator().manual_seed(1)) for _ in range(2)]
    next(passes[0])  # copies what is copied once
    torch.cuda.set_sync_debug_mode("error")
    try:
        next(passes[1])
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_views_do_not_depend_on_where_the_frames_lie(small_config: Config, storage: str):
    held, *streamed = (
        views_of(small_config, "cuda", storage=storage, resident=resident, workers=workers)
        for resident, workers in (("gpu", 0), ("cpu", 0), ("off", 0), ("off", 2))
    )
    for views in streamed:
        assert torch.equal(views, held)


def test_frames_that_do_not_fit_the_gpu_are_an_error(small_config: Config, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda device: (1000, 1000))
    with pytest.raises(ScdnetError, match=r"data\.resident: the frames take .* GB, on the gpu 0\.00 GB are free"):
        views_of(small_config, "cuda", resident="gpu")


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
