"""Mistakes with devices, found without a GPU: the four parts of a run on a pretended one.

What it cannot find, as all numbers are computed on the CPU: kernels that a GPU lacks or that round
in another way, the memory that they take, torch.compile and the CUDA graph, which need a driver,
and whether pinned memory is pinned. Those need a GPU (test_gpu.py).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from scdnet.config import Config, FinetuneConfig, LinearConfig
from scdnet.config_file import load_config
from scdnet.data.clips import Clips, load_clips
from scdnet.engine.build import build_objective
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.device import seed_everything
from scdnet.engine.train.pretrain import pretrain, start_training
from scdnet.engine.train.state import Training
from scdnet.eval.features import extract_features, load_encoder_or_baseline
from scdnet.eval.finetune import finetune
from scdnet.eval.knn import retrieve, score_1nn, split_features
from scdnet.eval.linear import linear_probe
from scdnet.results.scores import Outcome
from scdnet.skeletons import NTU_25
from tests.engine.pretended_gpu import (
    CPU,
    GPU,
    DeviceMistakeError,
    GpuTensor,
    PretendedGpu,
    pretend_gpu,
)
from tests.engine.runs import assert_same_weights, changed, flatten

PRESETS = ("ntu60_xsub", "ntu60_xsub_hdc", "ntu60_xsub_scd_hdc", "small")
# What a CPU reads back at the end of a step or an evaluation differs by the order of additions.
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedGpu]:
    """A pretended GPU for one test, to be used in `with gpu`."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU: see test_gpu.py")
    with pretend_gpu(monkeypatch) as mode:
        yield mode


@pytest.fixture
def inside(gpu: PretendedGpu) -> Iterator[PretendedGpu]:
    with gpu:
        yield gpu


@pytest.fixture
def preset(store_path: Path, tmp_path: Path) -> Callable[[str], Config]:
    """`preset(name)` returns a preset, as small as a test needs it, on `store_path`."""

    def make(name: str) -> Config:
        sizes = {
            "base_channels": 8, "embed_dim": 16, "num_heads": 2, "projection_dim": 8,
            "queue_size": 8, "dropout": 0.0,
        }  # fmt: skip
        return changed(
            load_config(Path(name)),
            name=name,
            runs_dir=tmp_path / "runs",
            compile="off",
            data={"store": store_path, "batch_size": 8, "num_frames": 16},
            model=sizes,
        )

    return make


def make_views(config: Config, clips: Clips) -> list[Tensor]:
    """Make training views for each task, views for fine-tuning and evaluation views."""
    batches = torch.tensor([[0, 5, 9], [4, 1, 2]])
    chance = torch.Generator().manual_seed(1)
    tasks = build_objective(config.objective, config.scd, config.hdc).tasks
    views = [view for pair in clips.training_views(batches, chance, tasks) for view in pair]
    views += clips.augmented_views(batches, chance)
    return [*views, *clips.evaluation_views(batches)]


def train(config: Config, gpu: PretendedGpu | None = None) -> Tensor:
    """Do two steps on random views, without waiting for the GPU; return their metrics (2, R)."""
    device = CPU if gpu is None else GPU
    seed_everything(0)
    training = start_training(config, NTU_25, device)
    num_views = 2 * len(training.model.objective.tasks)
    data = config.data
    views = torch.randn(num_views, data.batch_size, 3, data.num_frames, 25, data.num_bodies)
    views = views.to(device).unbind()
    training.set_learning_rate(0)
    first = training.step(*views)
    # Only the first step copies what is copied once.
    with nullcontext() if gpu is None else gpu.no_waiting():
        return torch.stack([first, training.step(*views)])


def evaluate(config: Config, checkpoint: Path, device: torch.device) -> list[Outcome]:
    """Evaluate by kNN, both probes and fine-tuning."""
    clips = load_clips(config.data, config.stream, device)
    encoder, _ = load_encoder_or_baseline(checkpoint, config, NTU_25)
    features = split_features(extract_features(encoder, clips, config.precision), clips)
    outcomes = [retrieve(*features, num_classes=2, device=device)]
    for probe in ("sgd", "logistic"):
        linear = LinearConfig(probe=probe, optim={"epochs": 2, "milestones": (1,)})
        outcomes.append(linear_probe(*features, linear, num_classes=2, seed=0, device=device))
    tuning = FinetuneConfig(optim={"epochs": 1, "milestones": ()})
    labeled = clips.split(train=True)
    return [*outcomes, finetune(encoder, clips, labeled, tuning, precision="fp32", seed=0)]


def train_and_resume(config: Config) -> Path:
    """Train for one epoch of one step, then resume for another one; return the checkpoint."""
    config = changed(config, device="cuda", eval_every=1)
    pretrain(in_epochs(config, 1), score=score_1nn)
    return pretrain(in_epochs(config, 2), resume=True, score=score_1nn)


def in_epochs(config: Config, epochs: int) -> Config:
    optim = {"steps": None, "epochs": epochs, "warmup_epochs": 0, "schedule": "multistep"}
    return changed(config, optim={**optim, "milestones": ()})


@pytest.fixture
def checkpoint(preset) -> Path:
    """A checkpoint of the preset `small`, whose encoder has components and aligns sides."""
    return pretrain(in_epochs(preset("small"), 1))


def assert_close(found: Iterable[Tensor], expected: Iterable[Tensor]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a.cpu(), b, **TOLERANCE)


def test_tensors_of_the_pretended_gpu_meet_those_of_the_cpu_only_as_on_a_gpu(inside: PretendedGpu):
    x = torch.arange(6.0).view(2, 3).to("cuda")
    assert (x.device, x.is_cuda, x.cpu().device) == (GPU, True, CPU)
    for meet in (
        lambda: x + torch.ones(3),
        lambda: torch.cat([x, torch.ones(2, 3)]),
        lambda: x @ torch.ones(3, 2),
        lambda: torch.ones(6)[x.long()],
        lambda: torch._foreach_add([x], [torch.tensor(1.0)]),
    ):
        with pytest.raises(DeviceMistakeError, match="CPU"):
            meet()
    with pytest.raises(RuntimeError, match="numpy"):
        x.numpy()
    # A single number and indices may be on the CPU.
    assert (x + torch.tensor(1.0))[torch.tensor([1])].tolist() == [[4, 5, 6]]
    assert x.clone().copy_(torch.ones(3)).sum().item() == 6


def test_the_pretended_gpu_tells_what_the_host_would_wait_for(inside: PretendedGpu):
    x = torch.arange(3.0).to("cuda")
    for wait in (
        x.cpu,
        x.tolist,
        x.sum().item,
        x.nonzero,
        lambda: x[x > 0],
        lambda: x[[0, 1]],
        lambda: torch.ones(3).to("cuda"),
        lambda: torch.tensor([1.0], device="cuda"),
        lambda: x.copy_(torch.ones(3)),
    ):
        with inside.no_waiting(), pytest.raises(DeviceMistakeError, match="the host would wait"):
            wait()
        wait()
    with inside.no_waiting():
        x.copy_(torch.ones(3), non_blocking=True)
        assert torch.ones(3).to("cuda", non_blocking=True).add_(x)[:2].is_cuda


@pytest.mark.parametrize("name", PRESETS)
def test_views_on_a_gpu_are_those_of_the_cpu(name: str, preset, gpu: PretendedGpu):
    config = preset(name)
    expected = make_views(config, load_clips(config.data, config.stream, CPU))
    with gpu:
        views = make_views(config, load_clips(config.data, config.stream, GPU))
        assert all(isinstance(view, GpuTensor) for view in views)
        assert_close(views, expected)


@pytest.mark.parametrize("cache_dtype", ["float32", "float16"])
@pytest.mark.parametrize("cache", ["gpu", "cpu", "none"])
def test_views_are_made_without_waiting_wherever_the_frames_lie(
    cache: str, cache_dtype: str, preset, gpu: PretendedGpu
):
    data = {"cache": cache, "cache_dtype": cache_dtype, "num_workers": 0}
    config = changed(preset("ntu60_xsub"), data=data)
    with gpu:
        clips = load_clips(config.data, "bone", GPU)
        # Only the first views copy what is copied once.
        make_views(config, clips)
        with gpu.no_waiting():
            make_views(config, clips)


@pytest.mark.parametrize("name", PRESETS[2:])
def test_a_step_on_a_gpu_does_not_wait_and_is_that_of_the_cpu(
    name: str, preset, gpu: PretendedGpu
):
    config = preset(name)
    expected = train(config)
    with gpu:
        assert_close(train(config, gpu), expected)


def test_a_step_in_bf16_keeps_to_the_gpu(preset, gpu: PretendedGpu):
    config = preset("ntu60_xsub")
    expected = train(config)[0, -1]
    with gpu:
        loss = train(changed(config, precision="bf16"), gpu).cpu()[0, -1]
    assert 0 < abs(loss - expected) < 0.01 * expected


def test_evaluations_on_a_gpu_are_those_of_the_cpu(preset, checkpoint: Path, gpu: PretendedGpu):
    config = preset("small")
    on_cpu = evaluate(config, checkpoint, CPU)
    with gpu:
        on_gpu = evaluate(config, checkpoint, GPU)
    for found, expected in zip(on_gpu, on_cpu, strict=True):
        assert found.metrics == pytest.approx(expected.metrics)
        assert type(found.scores) is Tensor
        assert_close([found.scores], [expected.scores])


def test_a_run_on_a_gpu_resumes_to_the_same_weights(preset, gpu: PretendedGpu):
    config = changed(preset("small"), model={"dropout": 0.1})
    with gpu:
        whole = pretrain(in_epochs(changed(config, name="whole", device="cuda"), 2))
        resumed = train_and_resume(config)
    assert_same_weights(whole, resumed)
    # A machine without a GPU reads it too.
    tensors = [x for x in flatten(read_checkpoint(resumed).state).values() if isinstance(x, Tensor)]
    assert {type(x) for x in tensors} == {Tensor}


def to_cpu(x: Any) -> Any:
    """Move a value to the CPU, or what a training or optimizer consists of."""
    if isinstance(x, Tensor | nn.Module):
        return x.cpu()
    if isinstance(x, dict):
        return {key: to_cpu(value) for key, value in x.items()}
    if isinstance(x, torch.optim.Optimizer):
        x.state.update({key: to_cpu(value) for key, value in x.state.items()})
    if isinstance(x, Training):
        to_cpu(x.model)
    return x


def plant(patch: pytest.MonkeyPatch, target: str) -> None:
    """Plant a `.cpu()` on what a function returns, or on its first argument if it is nothing."""
    owner, name = target.rsplit(".", 1)
    original = getattr(pytest.importorskip(owner), name)

    @wraps(original)
    def with_cpu(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if result is None:
            to_cpu(args[0])
        return to_cpu(result)

    patch.setattr(target, with_cpu)
