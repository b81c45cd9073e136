"""The training step: its precision, and that it can be compiled and captured."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from scdnet.config import Config
from scdnet.engine import device as runtime
from scdnet.engine.build import build_model
from scdnet.engine.device import WARM_UP, GraphedStep, is_compiled, seed_everything, set_precision
from scdnet.engine.optim import load_optimizer, make_optimizer
from scdnet.engine.train.state import Training, metric_names, start_training, train_step
from scdnet.models.scdnet import SCDNet

CPU = torch.device("cpu")


def views_of(config: Config, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two made-up views of a batch with empty second bodies."""
    shape = (2, config.data.batch_size, 3, config.data.num_frames, 25, 2)
    views = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    views[:, 1:, ..., 1] = 0
    return tuple(views)


def started(config: Config, **changes: object) -> Training:
    seed_everything(0)
    return start_training(config.model_copy(update=changes), CPU)


def test_bf16_is_near_fp32_and_leaves_weights_queues_and_statistics_in_float32(
    small_config: Config,
):
    losses = {}
    for precision in ("fp32", "tf32", "bf16"):
        training = started(small_config, precision=precision)
        losses[precision] = [
            training.step(*views_of(small_config, seed=step))[-1].item() for step in range(3)
        ]
    assert losses["bf16"][0] == pytest.approx(losses["fp32"][0], rel=0.01)
    assert losses["bf16"] == pytest.approx(
        losses["fp32"], rel=0.1
    )  # the difference grows from step to step
    assert losses["bf16"] != losses["fp32"]
    assert losses["tf32"] == losses["fp32"]  # there is no such thing on a CPU
    assert {x.dtype for x in training.model.state_dict().values() if x.is_floating_point()} == {
        torch.float32
    }


def test_a_step_reads_nothing_back(small_config: Config):
    """On the device `meta` nothing has a value, so whatever waited for one would raise."""
    model = build_model(small_config).to("meta").train()
    model.query.encoder.share_empty_bodies = model.key.encoder.share_empty_bodies = False
    optimizer = torch.optim.SGD(model.query.parameters(), lr=0.1, momentum=0.9, foreach=True)
    views = [x.to("meta") for x in views_of(small_config)]
    precision = set_precision("fp32", torch.device("meta"))
    for _ in range(2):
        report = train_step(model, optimizer, *views, temperature=0.2, precision=precision)
    assert report.shape == (len(metric_names(model.objective)),)


def forward_and_gradient(model: SCDNet, views: tuple[Tensor, Tensor]) -> list[Tensor]:
    query, key = model(*views)
    sum((q * k).sum() for q, k in zip(query.values(), key.values(), strict=True)).backward()
    return [*query.values(), *key.values(), *(p.grad for p in model.query.parameters())]


@pytest.mark.parametrize("backend", ["eager", pytest.param("aot_eager", marks=pytest.mark.slow)])
def test_both_encoders_compile_without_a_break_to_the_same_numbers(
    small_config: Config, backend: str
):
    torch.compiler.reset()
    small = small_config.model.model_copy(update={"dropout": 0.0})
    results = []
    for compiled in (False, True):
        seed_everything(0)
        model = build_model(small_config.model_copy(update={"model": small})).train()
        for side in (model.query, model.key):
            side.encoder.share_empty_bodies = False
            if compiled:
                side.compile(dynamic=False, fullgraph=True, backend=backend)
        results.append(forward_and_gradient(model, views_of(small_config)))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*results, strict=True))
    assert model.state_dict().keys() == build_model(small_config).state_dict().keys()


def test_compilation_is_for_gpus():
    assert is_compiled("auto", torch.device("cuda"))
    assert not is_compiled("off", torch.device("cuda"))
    assert not is_compiled("auto", CPU)


class FakeGraph:
    """Stands for a CUDA graph, and counts."""

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
    }
    for name, fake in {**fakes, "CUDAGraph": FakeGraph}.items():
        monkeypatch.setattr(runtime.torch.cuda, name, fake)


@pytest.mark.usefixtures("_no_cuda_needed")
def test_a_graphed_step_warms_up_captures_and_replays():
    seen = []
    step = GraphedStep(lambda x: seen.append(x) or x)
    inputs = [torch.tensor([float(value)]) for value in range(WARM_UP + 3)]
    for x in inputs[:WARM_UP]:
        assert step(x) is x  # a step like any other
    for x in inputs[WARM_UP : WARM_UP + 2]:
        step(x)
    assert len(seen) == WARM_UP + 1  # called once more, to be captured
    assert torch.equal(seen[-1], inputs[WARM_UP + 1])  # the graph's own input has the latest values
    assert step._graph.replays == 2
    step.invalidate()
    assert step(inputs[-1]) is inputs[-1]  # an ordinary step first
    step(inputs[-1])
    assert len(seen) == WARM_UP + 3
    assert step._graph.replays == 1


@pytest.mark.usefixtures("_no_cuda_needed")
def test_the_graph_is_forgotten_when_the_learning_rate_changes(small_config: Config):
    optim = small_config.optim.model_copy(update={"milestones": (2,), "epochs": 4})
    training, forgotten = started(small_config, optim=optim), []
    training.step = GraphedStep(training.step)
    training.step.forget = lambda: forgotten.append(training.epoch)
    for training.epoch in range(4):
        training.start_epoch()
    assert forgotten == [2]


def test_an_optimiser_state_of_a_cpu_follows_its_parameters():
    on_cpu, elsewhere = (
        torch.nn.Parameter(torch.ones(3)),
        torch.nn.Parameter(torch.ones(3, device="meta")),
    )
    optimizer = torch.optim.AdamW([on_cpu])
    on_cpu.grad = torch.ones(3)
    optimizer.step()
    there = torch.optim.AdamW([elsewhere], capturable=True)
    load_optimizer(there, optimizer.state_dict())
    assert there.state[elsewhere]["step"].device.type == "meta"
    assert there.param_groups[0]["capturable"]


def test_an_optimiser_state_of_a_gpu_is_taken_up_on_a_cpu(small_config: Config):
    optim = small_config.optim.model_copy(update={"name": "adamw"})
    parameters = [torch.nn.Parameter(torch.ones(3))]
    optimizer = make_optimizer(parameters, optim)
    parameters[0].grad = torch.ones(3)
    optimizer.step()
    state = optimizer.state_dict()
    state["param_groups"][0] |= {"fused": True, "capturable": True}
    load_optimizer(optimizer, state)
    assert not optimizer.param_groups[0]["fused"]
    assert not optimizer.param_groups[0]["capturable"]
    optimizer.step()
