"""The training step: its precision, and that it can be captured and restored."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from scdnet.config import Config
from scdnet.engine import device as engine_device
from scdnet.engine.build import build_model, build_objective
from scdnet.engine.device import WARM_UP, GraphedStep, seed_everything, set_precision
from scdnet.engine.optim import load_optimizer, make_optimizer
from scdnet.engine.train.start import start_training
from scdnet.engine.train.state import Training
from scdnet.engine.train.step import metric_names, train_step
from scdnet.skeletons import NTU_25
from tests.engine.runs import changed, synthetic_inputs

CPU = torch.device("cpu")


def views_of(config: Config, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return two synthetic views of a batch with empty second bodies."""
    shape = (2, config.data.batch_size, 3, config.data.num_frames, 25, 2)
    views = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    views[:, 1:, ..., 1] = 0
    return tuple(views)


def start(config: Config, **changes: object) -> Training:
    seed_everything(0)
    return start_training(config.model_copy(update=changes), NTU_25, CPU)


@pytest.mark.parametrize("objective", ["scd", "latent", "scd+latent"])
def test_bf16_is_near_fp32_and_leaves_weights_queues_and_statistics_in_float32(
    small_config: Config, objective: str
):
    losses = {}
    config = changed(small_config, objective=objective)
    for precision in ("fp32", "tf32", "bf16"):
        training = start(config, precision=precision)
        losses[precision] = [
            training.step(*synthetic_inputs(config, seed=step))[-1].item() for step in range(2)
        ]
    assert losses["bf16"][0] == pytest.approx(losses["fp32"][0], rel=0.01)
    # The difference grows from step to step.
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.1)
    assert losses["bf16"] != losses["fp32"]
    # A CPU has no tf32.
    assert losses["tf32"] == losses["fp32"]
    state = training.model.state_dict()
    assert {x.dtype for x in state.values() if x.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize(
    "objective",
    ["scd", "latent", pytest.param("scd+hdc+latent", marks=pytest.mark.slow)],
)
def test_a_step_reads_nothing_back(small_config: Config, objective: str):
    """On the device `meta` nothing has a value, so whatever waited for one would raise."""
    config = changed(small_config, objective=objective, latent={"hide": "motion"})
    model = build_model(config, build_objective(config), skeleton=NTU_25).to("meta").train()
    model.query.encoder.share_empty_bodies = False
    model.key.encoder.share_empty_bodies = False
    optimizer = torch.optim.SGD(model.trained_parameters(), lr=0.1, momentum=0.9, foreach=True)
    views = [x.to("meta") for x in synthetic_inputs(config)]
    precision = set_precision("fp32", torch.device("meta"))
    for _ in range(2):
        metrics = train_step(model, optimizer, *views, temperature=0.2, precision=precision)
    assert metrics.shape == (len(metric_names(model.objective)),)


class FakeGraph:
    """Stands for a CUDA graph and counts its replays."""

    def __init__(self) -> None:
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1


@pytest.fixture
def _no_cuda_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def within(*_: object, **__: object):
        yield

    stream = SimpleNamespace(wait_stream=lambda other: None)
    fakes = {
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": within,
        "graph": within,
        "CUDAGraph": FakeGraph,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(engine_device.torch.cuda, name, fake)


@pytest.mark.usefixtures("_no_cuda_needed")
def test_a_graphed_step_warms_up_captures_and_replays():
    seen = []
    step = GraphedStep(lambda x: seen.append(x) or x)
    inputs = [torch.tensor([float(value)]) for value in range(WARM_UP + 3)]
    # Each is a step like any other.
    for x in inputs[:WARM_UP]:
        assert step(x) is x
    for x in inputs[WARM_UP : WARM_UP + 2]:
        step(x)
    # Called once more, to be captured.
    assert len(seen) == WARM_UP + 1
    # The graph's own input has the latest values.
    assert torch.equal(seen[-1], inputs[WARM_UP + 1])
    assert step._graph.replays == 2
    step.invalidate()
    # An ordinary step comes first.
    assert step(inputs[-1]) is inputs[-1]
    step(inputs[-1])
    assert len(seen) == WARM_UP + 3
    assert step._graph.replays == 1


@pytest.mark.usefixtures("_no_cuda_needed")
def test_the_graph_is_invalidated_when_the_learning_rate_changes(small_config: Config):
    optim = small_config.optim.model_copy(update={"milestones": (2,), "epochs": 4})
    training = start(small_config, optim=optim)
    training.step = GraphedStep(training.step)
    invalidated = []
    training.step.invalidate = lambda: invalidated.append(training.epoch)
    for training.epoch in range(4):
        training.set_learning_rate(training.epoch)
    assert invalidated == [2]


def test_an_optimizer_state_of_a_cpu_follows_its_parameters():
    on_cpu = torch.nn.Parameter(torch.ones(3))
    elsewhere = torch.nn.Parameter(torch.ones(3, device="meta"))
    optimizer = torch.optim.AdamW([on_cpu])
    on_cpu.grad = torch.ones(3)
    optimizer.step()
    there = torch.optim.AdamW([elsewhere], capturable=True)
    load_optimizer(there, optimizer.state_dict())
    assert there.state[elsewhere]["step"].device.type == "meta"
    assert there.param_groups[0]["capturable"]


def test_an_optimizer_state_of_a_gpu_is_loaded_on_a_cpu(small_config: Config):
    optim = small_config.optim.model_copy(update={"name": "adamw"})
    parameters = [torch.nn.Parameter(torch.ones(3))]
    optimizer = make_optimizer(parameters, optim)
    parameters[0].grad = torch.ones(3)
    optimizer.step()
    state = optimizer.state_dict()
    state["param_groups"][0] |= {"fused": False, "capturable": True}
    load_optimizer(optimizer, state)
    # This device computes as it did before.
    assert optimizer.param_groups[0]["fused"]
    assert not optimizer.param_groups[0]["capturable"]
    optimizer.step()
