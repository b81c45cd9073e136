"""Which mode a run with `compile: auto` chooses; graphs are fakes on the CPU."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from scdnet.config import Config
from scdnet.engine import doctor_gpu
from scdnet.engine.device import WARM_UP
from scdnet.engine.distributed import process_group
from scdnet.engine.doctor_gpu import compare_modes, examine_modes
from scdnet.engine.train import rehearsal as rehearsal_module
from scdnet.engine.train import start
from scdnet.engine.train.rehearsal import NUM_STEPS, ModeError, Rehearsal, choose_mode, rehearse
from scdnet.errors import ScdnetError
from scdnet.skeletons import NTU_25
from tests.engine.runs import changed

OUT_OF_MEMORY = torch.OutOfMemoryError(
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB of "
    "which 1.00 GiB is free."
)


class FakeGraph:
    """Stands for a GraphedStep: the same calls, the last of which come from a `graph`."""

    def __init__(self, function, graph=None) -> None:
        self._function = function
        self._graph = graph or (lambda metrics: metrics)
        self._calls = 0

    def __call__(self, *views):
        self._calls += 1
        metrics = self._function(*views)
        return metrics if self._calls <= WARM_UP else self._graph(metrics)


def refuse_to_capture(metrics):
    raise ScdnetError("a step cannot be captured as a CUDA graph (sync); use compile=off")


def run_out_of_memory(*_, **__):
    raise OUT_OF_MEMORY


def refuse_to_replay(_):
    # The text of torch has many lines.
    raise RuntimeError("CUDA error: invalid argument\nCUDA kernel errors might be reported later")


@pytest.fixture
def rehearsal(small_config: Config, monkeypatch: pytest.MonkeyPatch) -> Rehearsal:
    """A rehearsal in which capturing changes nothing."""
    monkeypatch.setattr(start, "GraphedStep", FakeGraph)
    config = changed(small_config, compile="auto")
    return Rehearsal(config, NTU_25, torch.device("cpu"))


def choose_as_on_a_gpu(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> str:
    """Choose a mode for a GPU, but rehearse on the CPU."""
    on_cpu = rehearse
    monkeypatch.setattr(rehearsal_module, "rehearse", lambda _, mode: on_cpu(rehearsal, mode))
    return choose_mode(replace(rehearsal, device=torch.device("cuda")))


def test_steps_are_eager_unless_something_else_is_asked_for(rehearsal: Rehearsal):
    assert Config().compile == "off"
    off = replace(
        rehearsal,
        config=changed(rehearsal.config, compile="off"),
        device=torch.device("cuda"),
    )
    # Nothing is tried: there is no GPU.
    assert choose_mode(off) == "eager"
    assert choose_mode(rehearsal) == "eager"


def test_what_works_and_agrees_is_chosen(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert choose_as_on_a_gpu(rehearsal, monkeypatch) == "graphed"
    assert capsys.readouterr().err == "compile: trying a step as one CUDA graph\n"


@pytest.mark.usefixtures("single_rank")
def test_steps_of_a_process_group_stay_eager(
    rehearsal: Rehearsal, capsys: pytest.CaptureFixture[str]
):
    on_gpu = replace(rehearsal, device=torch.device("cuda"))
    with process_group(torch.device("cpu")):
        # Nothing is tried: there is no GPU.
        assert choose_mode(on_gpu) == "eager"
    assert capsys.readouterr().err == "compile: auto leaves the steps of several ranks eager\n"


def test_steps_stay_eager_whose_learning_rate_changes_at_each_of_them(
    rehearsal: Rehearsal, capsys: pytest.CaptureFixture[str]
):
    config = changed(rehearsal.config, optim={"steps": 9, "schedule": "cosine"})
    assert choose_mode(replace(rehearsal, config=config, device=torch.device("cuda"))) == "eager"
    assert "leaves steps eager whose learning rate changes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("replay", "reason"),
    [
        (refuse_to_replay, "Capture: CUDA error: invalid argument"),
        (
            run_out_of_memory,
            "Memory: out of memory (GPU): 2.15 GB were asked for, 1.07 GB are free; "
            "lower data.batch_size",
        ),
        (
            refuse_to_capture,
            "Capture: a step cannot be captured as a CUDA graph (sync); use compile=off",
        ),
        (
            lambda metrics: 1.01 * metrics,
            "Disagreement: loss or grad_norm differs from that of eager steps by 1.0e-02, "
            "allowed with precision=fp32 are 1e-03",
        ),
        (
            lambda metrics: torch.nan * metrics,
            "Disagreement: loss or grad_norm differs from that of eager steps by nan, "
            "allowed with precision=fp32 are 1e-03",
        ),
    ],
)
def test_what_fails_is_one_warning_that_names_the_reason(
    rehearsal: Rehearsal,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    replay: Callable[[Tensor], Tensor],
    reason: str,
):
    monkeypatch.setattr(start, "GraphedStep", lambda step: FakeGraph(step, replay))
    assert choose_as_on_a_gpu(rehearsal, monkeypatch) == "eager"
    first, second = capsys.readouterr().err.splitlines()
    assert first == "compile: trying a step as one CUDA graph"
    assert second == f"warning: compile: auto falls back to eager steps. {reason}"


def test_a_wrong_backward_pass_is_a_disagreement(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
):
    def capture_badly(step: partial) -> FakeGraph:
        first = next(step.args[0].query.parameters())
        first.register_hook(lambda gradient: 3 * gradient)
        return FakeGraph(step)

    monkeypatch.setattr(start, "GraphedStep", capture_badly)
    with pytest.raises(ModeError, match="Disagreement"):
        rehearse(rehearsal, "graphed")


def test_dropout_is_captured_but_not_compared(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
):
    tried = []
    do_steps = Rehearsal.do_steps

    def record(self, mode, num_steps):
        tried.append((mode, num_steps, self.config.model.dropout))
        return do_steps(self, mode, num_steps)

    monkeypatch.setattr(Rehearsal, "do_steps", record)
    config = changed(rehearsal.config, model={"dropout": 0.5})
    rehearse(replace(rehearsal, config=config), "graphed")
    assert tried == [
        ("eager", NUM_STEPS, 0),
        ("graphed", NUM_STEPS, 0),
        ("graphed", WARM_UP + 1, 0.5),
    ]


def test_an_eager_step_that_fails_is_no_reason_to_fall_back(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rehearsal_module, "start_training", run_out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        rehearse(rehearsal, "graphed")


def test_the_doctor_compares_both_modes(rehearsal: Rehearsal):
    eager, graphed = compare_modes(rehearsal.without_dropout())
    assert [eager.name, graphed.name] == ["eager", "graphed"]
    assert "ms a step, ready after" in eager.text
    assert graphed.text.endswith("loss and grad_norm within 0e+00 of eager")
    assert not (eager.is_problem or graphed.is_problem)


def test_the_doctor_names_the_mode_that_fails(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(start, "GraphedStep", lambda step: FakeGraph(step, refuse_to_capture))
    findings = compare_modes(rehearsal.without_dropout())
    assert [finding.is_problem for finding in findings] == [False, True]
    assert findings[1].text.startswith("Capture: a step cannot be captured")


def test_the_doctor_stops_where_eager_steps_fail(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rehearsal_module, "start_training", run_out_of_memory)
    (finding,) = compare_modes(rehearsal)
    assert finding.is_problem
    assert finding.name == "eager"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_doctor_says_that_there_is_no_gpu(
    small_config: Config, monkeypatch: pytest.MonkeyPatch, device: str
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (finding,) = doctor_gpu.examine_modes(changed(small_config, device=device))
    assert finding.is_problem
    assert "torch finds no GPU" in finding.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_doctor_finds_both_modes_to_agree_on_a_gpu(small_config: Config):
    findings = examine_modes(changed(small_config, device="cuda"))
    assert not any(finding.is_problem for finding in findings), findings
