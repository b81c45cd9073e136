"""The same numbers on a GPU as on the CPU; skipped where there is none."""

from functools import partial

import pytest
import torch

from scdnet.config import Config, FinetuneConfig, LinearConfig
from scdnet.data.clips import load_clips
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.device import WARM_UP, GraphedStep, seed_everything, set_precision
from scdnet.engine.train.pretrain import pretrain
from scdnet.engine.train.start import Mode, start_training
from scdnet.engine.train.state import Training
from scdnet.errors import ScdnetError
from scdnet.eval.features import extract_features, load_encoder_or_baseline
from scdnet.eval.finetune import finetune
from scdnet.eval.knn import retrieve, score_1nn, split_features
from scdnet.eval.linear import linear_probe
from scdnet.skeletons import NTU_25
from tests.engine.runs import changed, metrics_of, synthetic_inputs

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
DEVICES = ("cpu", "cuda")
OBJECTIVES = ("scd", "hdc", "scd+hdc", "latent", "scd+latent")


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
    passes = [
        clips.training_views(torch.tensor([[0, 5, 9]]), torch.Generator().manual_seed(1))
        for _ in range(2)
    ]
    # The first pass copies what is copied once.
    next(passes[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        next(passes[1])
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("cache_dtype", ["float32", "float16"])
def test_views_do_not_depend_on_where_the_frames_lie(small_config: Config, cache_dtype: str):
    held, *streamed = (
        views_of(small_config, "cuda", cache_dtype=cache_dtype, cache=cache, num_workers=workers)
        for cache, workers in (("gpu", 0), ("cpu", 0), ("none", 0), ("none", 2))
    )
    for views in streamed:
        assert torch.equal(views, held)


def test_frames_that_do_not_fit_the_gpu_are_an_error(
    small_config: Config, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda device: (1000, 1000))
    with pytest.raises(
        ScdnetError, match=r"data\.cache: the frames take .* GB, but the gpu has only 0\.00 GB free"
    ):
        views_of(small_config, "cuda", cache="gpu")


def test_training_resuming_and_scoring(small_config: Config):
    config = small_config.model_copy(update={"device": "cuda", "eval_every": 1})
    pretrain(config, score=score_1nn)
    more = config.model_copy(update={"optim": config.optim.model_copy(update={"epochs": 3})})
    path = pretrain(more, resume=True, score=score_1nn)
    assert all(line["gpu_memory_gb"] > 0 and line["grad_norm"] > 0 for line in metrics_of(more))
    features = []
    for device in DEVICES:
        encoder, _ = load_encoder_or_baseline(path, config, NTU_25)
        features.append(
            extract_features(encoder, load_clips(config.data, "joint", torch.device(device)))
        )
    assert torch.allclose(features[0].x, features[1].x, atol=1e-3)


def train_in_bf16_and_resume(config: Config) -> None:
    """Train on the GPU with `compile: auto` and scores, and continue from the checkpoint."""
    config = changed(config, device="cuda", precision="bf16", eval_every=1, compile="auto")
    score = partial(score_1nn, precision="bf16")
    pretrain(config, score=score)
    more = changed(config, optim={"epochs": 3})
    state = read_checkpoint(pretrain(more, resume=True, score=score)).state
    assert (state["epoch"], len(state["random"])) == (3, 1)


def test_a_training_with_graphed_steps_resumes(
    small_config: Config, capsys: pytest.CaptureFixture[str]
):
    train_in_bf16_and_resume(small_config)
    log = capsys.readouterr().err
    assert log.count("compile: trying a step as one CUDA graph") == 2
    assert "falls back" not in log


@pytest.mark.usefixtures("single_rank")
def test_one_rank_of_nccl_trains_and_resumes(small_config: Config):
    train_in_bf16_and_resume(small_config)


def test_fine_tuning_and_linear_probe(small_config: Config):
    clips = load_clips(small_config.data, "joint", torch.device("cuda"))
    encoder, _ = load_encoder_or_baseline("random-init", small_config, NTU_25)
    features = extract_features(encoder, clips)
    probe = {"num_classes": 2, "seed": 0}
    splits = split_features(features, clips)
    on_cpu, on_gpu = (
        linear_probe(*splits, LinearConfig(), **probe, device=torch.device(d)).scores
        for d in DEVICES
    )
    assert torch.allclose(on_cpu, on_gpu, atol=1e-2)
    optim = {"epochs": 2, "milestones": (1,)}
    labeled = clips.split(train=True)
    config = FinetuneConfig(optim=optim)
    outcome = finetune(encoder, clips, labeled, config, precision="bf16", seed=0)
    assert outcome.scores.shape == (8, 2)


def test_retrieval(small_config: Config):
    encoder, _ = load_encoder_or_baseline("random-init", small_config, NTU_25)
    clips = load_clips(small_config.data, "joint", torch.device("cpu"))
    gallery, queries = split_features(extract_features(encoder, clips), clips)
    on_cpu, on_gpu = (
        retrieve(gallery, queries, num_classes=2, device=torch.device(device)).metrics
        for device in DEVICES
    )
    assert on_gpu == pytest.approx(on_cpu, abs=0.1)


def synthetic_views(config: Config, seed: int) -> tuple[torch.Tensor, ...]:
    """Return random inputs of a step on the GPU."""
    return tuple(x.cuda() for x in synthetic_inputs(config, seed=seed))


def trained(
    config: Config, *, mode: Mode = "graphed", steps: int = 8, optimizer: str = "sgd", **changes
) -> tuple[Training, list[float]]:
    """Return a training on the GPU after two epochs of synthetic views, and its losses.

    The learning rate changes between the epochs.
    """
    seed_everything(0)
    optim = {"epochs": 2, "milestones": (1,), "name": optimizer}
    config = changed(config, model={"dropout": 0.0, "queue_size": 10}, optim=optim, **changes)
    training = start_training(config, NTU_25, torch.device("cuda"), mode=mode)
    losses = []
    for training.epoch in range(2):
        training.set_learning_rate(training.epoch)
        losses += [
            training.step(*synthetic_views(config, step))[-1].item() for step in range(steps)
        ]
    return training, losses


@pytest.mark.parametrize(
    ("objective", "optimizer"),
    [
        ("scd", "sgd"),
        ("scd", "adamw"),
        ("hdc", "sgd"),
        ("scd+hdc", "sgd"),
        ("latent", "sgd"),
        ("scd+latent", "adamw"),
    ],
)
def test_a_graphed_step_is_the_eager_one(small_config: Config, objective: str, optimizer: str):
    config = changed(small_config, objective=objective)
    (plain, expected), (graphed, losses) = (
        trained(config, mode=mode, optimizer=optimizer) for mode in ("eager", "graphed")
    )
    assert isinstance(graphed.step, GraphedStep)
    # Rounding grows from step to step: relative noise of 1e-6 in the weights becomes 1e-3 in the
    # losses.
    assert losses[0] == pytest.approx(expected[0], rel=1e-5)
    assert losses[1:4] == pytest.approx(expected[1:4], rel=1e-3 if objective == "scd" else 5e-3)
    assert losses[4:] == pytest.approx(expected[4:], rel=0.02)
    assert plain.model.state_dict().keys() == graphed.model.state_dict().keys()
    for name, queue in plain.model.queues.items():
        assert graphed.model.queues[name].cursor == queue.cursor == 16 * 4 % 10, name
    averages = [training.model.loss_weights.invariance for training in (plain, graphed)]
    assert torch.allclose(*averages, atol=0.01)


@pytest.mark.parametrize("objective", ["hdc", "scd+hdc"])
def test_the_invariance_of_the_levels_moves_at_each_replay(small_config: Config, objective: str):
    config = changed(small_config, objective=objective)
    training, _ = trained(config, steps=WARM_UP + 1)
    weights = training.model.loss_weights
    names = [a for a, _ in training.model.objective.pairs][-8:]
    for seed in range(3):
        before = weights.invariance.clone()
        expected = weights()[-8:].tolist()
        values = training.step(*synthetic_views(config, seed)).tolist()
        metrics = dict(zip(training.metric_names, values, strict=True))
        assert [metrics[f"loss_weight/{name}"] for name in names] == pytest.approx(
            expected, rel=1e-5
        )
        # |q - k|^2 = 2 - 2 q k
        cosine = [1 - metrics[f"alignment/{name}"] / 2 for name in names]
        moved = before + 0.01 * (torch.tensor(cosine, device=before.device) - before)
        # Ten times the tolerance below.
        assert (moved - before).abs().max() > 1e-5
        assert torch.allclose(weights.invariance, moved, rtol=0, atol=1e-6)


def test_dropout_is_drawn_anew_at_each_replay(small_config: Config):
    seed_everything(0)
    training = start_training(small_config, NTU_25, torch.device("cuda"), mode="graphed")
    views = synthetic_views(small_config, 0)
    for group in training.optimizer.param_groups:
        group["lr"] = 0.0
    losses = [training.step(*views)[-1].item() for _ in range(WARM_UP + 4)]
    assert len(set(losses[WARM_UP:])) > 1


def test_after_a_capture_that_failed_steps_with_dropout_go_on(small_config: Config):
    training = start_training(small_config, NTU_25, torch.device("cuda"))
    views = synthetic_views(small_config, 0)

    def wait_in_the_middle(*inputs: torch.Tensor) -> torch.Tensor:
        metrics = training.step(*inputs)
        metrics.cpu()
        return metrics

    step = GraphedStep(wait_in_the_middle)
    for _ in range(WARM_UP):
        step(*views)
    with pytest.raises(ScdnetError, match="cannot be captured as a CUDA graph"):
        step(*views)
    assert training.step(*views).isfinite().all()


@pytest.mark.parametrize("objective", ["scd", "scd+hdc", "scd+latent"])
def test_bf16_is_near_fp32(small_config: Config, objective: str):
    _, expected = trained(small_config, objective=objective, mode="eager")
    for mode in ("eager", "graphed"):
        _, losses = trained(small_config, objective=objective, mode=mode, precision="bf16")
        assert losses[0] == pytest.approx(expected[0], rel=0.01)
        # The difference grows from step to step.
        assert losses == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_steps_do_not_wait_for_the_gpu(small_config: Config, objective: str):
    config = changed(small_config, objective=objective)
    training, _ = trained(config)
    views = synthetic_views(config, 0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            training.step(*views)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_empty_bodies_are_shared_with_the_same_features(small_config: Config):
    encoder = load_encoder_or_baseline("random-init", small_config, NTU_25)[0].cuda().eval()
    clips = torch.randn(6, 3, small_config.data.num_frames, 25, 2).cuda()
    clips[2:, ..., 1] = 0
    set_precision("fp32", clips.device)
    shared = encoder(clips)
    encoder.share_empty_bodies = False
    for own, expected in zip(shared, encoder(clips), strict=True):
        assert torch.allclose(own, expected, atol=1e-4)
