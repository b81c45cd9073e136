"""Mistakes with devices, found without a GPU: the four parts of a run on a pretended one.

What it cannot find, as all numbers are computed on the CPU: kernels that a GPU lacks or that round
in another way, the memory that they take, the CUDA graph, which needs a driver, and whether pinned
memory is pinned. Those need a GPU (test_gpu.py).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from scdnet.config import Config, FinetuneConfig, LinearConfig
from scdnet.config_file import dump_config, load_config
from scdnet.data import clips as clips_module
from scdnet.data import views as views_module
from scdnet.data.clips import SINGLE_PROCESS, Clips, load_clips
from scdnet.engine.build import build_objective
from scdnet.engine.checkpoint import read_checkpoint, save_checkpoint
from scdnet.engine.device import seed_everything
from scdnet.engine.train import state as state_module
from scdnet.engine.train import step as step_module
from scdnet.engine.train.pretrain import pretrain
from scdnet.engine.train.start import start_training
from scdnet.engine.train.state import Training
from scdnet.eval import knn as knn_module
from scdnet.eval.features import extract_features, load_encoder_or_baseline
from scdnet.eval.finetune import finetune
from scdnet.eval.knn import retrieve, score_1nn, split_features
from scdnet.eval.linear import linear_probe
from scdnet.models import encoder as encoder_module
from scdnet.models.components import Components
from scdnet.models.heads import ClassifiedEncoder, LinearClassifier
from scdnet.models.objective import LossWeights
from scdnet.models.scdnet import KeyQueue
from scdnet.results.scores import Outcome
from scdnet.skeletons import NTU_25
from tests.conftest import write_synthetic_store
from tests.engine.pretended_gpu import (
    CPU,
    GPU,
    DeviceMistakeError,
    GpuTensor,
    PretendedGpu,
    pretend_gpu,
)
from tests.engine.runs import assert_same_weights, changed, flatten, synthetic_inputs

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


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Config]:
    """`preset(name)` returns a preset, as small as a test needs it, on a synthetic store."""
    folder = tmp_path_factory.mktemp("presets")
    store = write_synthetic_store(folder / "synthetic.h5")
    sizes = {
        "base_channels": 8, "embed_dim": 16, "num_heads": 2, "projection_dim": 8,
        "queue_size": 8, "dropout": 0.0,
    }  # fmt: skip

    def make(name: str) -> Config:
        return changed(
            load_config(Path(name)),
            name=name,
            runs_dir=folder / "runs",
            data={"store": store, "batch_size": 8, "num_frames": 16},
            model=sizes,
        )

    return make


@pytest.fixture(scope="module")
def checkpoint(preset) -> Path:
    """A checkpoint of the preset `small`, whose encoder has components and aligns sides."""
    return pretrain(in_epochs(preset("small"), 1))


def in_epochs(config: Config, epochs: int) -> Config:
    optim = {"steps": None, "epochs": epochs, "warmup_epochs": 0, "schedule": "multistep"}
    return changed(config, optim={**optim, "milestones": ()})


def make_views(config: Config, clips: Clips) -> list[Tensor]:
    """Make the inputs of training steps, views for fine-tuning and evaluation views."""
    batches = torch.tensor([[0, 5, 9], [4, 1, 2]])
    chance = torch.Generator().manual_seed(1)
    objective = build_objective(config)
    steps = clips.training_views(batches, chance, objective.tasks, latent=objective.hiding)
    views = [view for inputs in steps for view in inputs]
    views += clips.augmented_views(batches, chance)
    return [*views, *clips.evaluation_views(batches)]


def make_again(config: Config, gpu: PretendedGpu) -> None:
    """Make views on the GPU twice, the second time without waiting for it."""
    clips = load_clips(config.data, config.stream, GPU)
    # What is copied once is copied for the first views.
    make_views(config, clips)
    with gpu.no_waiting():
        make_views(config, clips)


def start(config: Config, device: torch.device) -> tuple[Training, tuple[Tensor, ...]]:
    """Return a training at its start, and random inputs for its steps."""
    seed_everything(0)
    training = start_training(config, NTU_25, device)
    training.set_learning_rate(0)
    return training, tuple(x.to(device) for x in synthetic_inputs(config))


def train(config: Config, gpu: PretendedGpu | None = None) -> Tensor:
    """Do two steps, the second without waiting for the GPU; return their metrics (2, R)."""
    training, views = start(config, CPU if gpu is None else GPU)
    first = training.step(*views)
    with nullcontext() if gpu is None else gpu.no_waiting():
        return torch.stack([first, training.step(*views)])


def save(config: Config, path: Path) -> tuple[Training, tuple[Tensor, ...]]:
    """Save a training after a step; return it, and the views for its steps."""
    training, views = start(config, GPU)
    training.step(*views)
    origin = {"config": dump_config(config), "skeleton": NTU_25.to_dict(), "store_sha256": ""}
    save_checkpoint(path, {**origin, **training.state_dict()})
    return training, views


def load(config: Config, path: Path) -> Training:
    """Load what `save` has saved into a new training."""
    training, _ = start(config, GPU)
    training.load_checkpoint(read_checkpoint(path), seed=0, ranks=SINGLE_PROCESS)
    return training


def save_and_load(config: Config, path: Path) -> Tensor:
    """Do a step, save, load and do another one."""
    _, views = save(config, path)
    return load(config, path).step(*views)


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
        make_again(changed(config, stream="bone", objective="scd+latent"), gpu)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ntu60_xsub_hdc", {}),
        ("small", {}),
        ("small", {"objective": "latent", "latent": {"hide": "motion"}}),
        ("small", {"objective": "scd+latent", "latent": {"target_norm": "tokens"}}),
    ],
)
def test_a_step_on_a_gpu_does_not_wait_and_is_that_of_the_cpu(
    name: str, values: dict, preset, gpu: PretendedGpu
):
    config = changed(preset(name), **values)
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


def test_a_training_on_a_gpu_continues_from_its_checkpoint(
    preset, tmp_path: Path, gpu: PretendedGpu
):
    # Dropout draws from the random state, which is saved too.
    config = changed(preset("small"), model={"dropout": 0.1})
    with gpu:
        training, views = save(config, tmp_path / "saved.pt")
        following = training.step(*views)
        assert torch.equal(load(config, tmp_path / "saved.pt").step(*views), following)
    # A machine without a GPU reads it too.
    state = read_checkpoint(tmp_path / "saved.pt").state
    assert {type(x) for x in flatten(state).values() if isinstance(x, Tensor)} == {Tensor}


@pytest.mark.slow
def test_a_whole_run_on_a_gpu_resumes_to_the_same_weights(preset, gpu: PretendedGpu):
    config = changed(preset("small"), device="cuda", model={"dropout": 0.1})
    resumed = changed(config, name="resumed", eval_every=1)
    with gpu:
        whole = pretrain(in_epochs(changed(config, name="whole"), 2))
        pretrain(in_epochs(resumed, 1), score=score_1nn)
        path = pretrain(in_epochs(resumed, 2), resume=True, score=score_1nn)
    assert_same_weights(whole, path)


def to_cpu(x: Any) -> Any:
    """Move a value to the CPU, or what a training or an optimizer consists of."""
    if isinstance(x, Tensor | nn.Module):
        return x.cpu()
    if isinstance(x, dict):
        return {key: to_cpu(value) for key, value in x.items()}
    if isinstance(x, tuple):
        return type(x)(*map(to_cpu, x))
    if isinstance(x, Optimizer):
        x.state.update(to_cpu(dict(x.state)))
    if isinstance(x, Training):
        to_cpu(x.model)
    return x


def plant(patch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    """Plant a `.cpu()` on what a function returns, or on its first argument if it is nothing."""
    original = getattr(owner, name)

    @wraps(original)
    def with_cpu(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        return to_cpu(args[0] if result is None else result)

    patch.setattr(owner, name, with_cpu)


PLANTS = [
    ("views", clips_module, "training_crop"),
    ("views", clips_module, "resample"),
    ("views", clips_module, "augment"),
    ("views", views_module, "joint_index"),
    ("step", step_module, "contrast_losses"),
    ("step", step_module, "step_diagnostics"),
    ("step", LossWeights, "forward"),
    ("step", KeyQueue, "push"),
    ("evaluation", encoder_module, "side_balance"),
    ("evaluation", Components, "forward"),
    ("evaluation", knn_module, "vote"),
    ("evaluation", LinearClassifier, "forward"),
    ("evaluation", ClassifiedEncoder, "forward"),
    ("checkpoint", state_module, "load_optimizer"),
    ("checkpoint", Training, "load_checkpoint"),
]


@pytest.mark.parametrize(
    ("part", "owner", "name"),
    PLANTS,
    ids=[f"{part}-{owner.__name__.split('.')[-1]}.{name}" for part, owner, name in PLANTS],
)
def test_a_planted_cpu_is_found(
    part: str, owner: object, name: str, preset, checkpoint: Path, tmp_path: Path,
    gpu: PretendedGpu, monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    config = preset("small")
    parts = {
        "views": lambda: make_again(config, gpu),
        "step": lambda: train(config, gpu),
        "evaluation": lambda: evaluate(config, checkpoint, GPU),
        "checkpoint": lambda: save_and_load(config, tmp_path / "saved.pt"),
    }
    plant(monkeypatch, owner, name)
    with gpu, pytest.raises(DeviceMistakeError):
        parts[part]()
