"""Which mode a run with `compile: auto` chooses; compilation and graphs are fakes on the CPU."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from scdnet.config import Config
from scdnet.engine import doctor_gpu
from scdnet.engine.device import WARM_UP
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


def refuse_to_compile(*_):
    # The text of torch has many lines.
    raise RuntimeError("Failed to find C compiler.\n\nYou can suppress this exception")


@pytest.fixture
def rehearsal(small_config: Config, monkeypatch: pytest.MonkeyPatch) -> Rehearsal:
    """A rehearsal in which compiling and capturing change nothing."""
    monkeypatch.setattr(start, "compile_in_place", lambda *modules: None)
    monkeypatch.setattr(start, "GraphedStep", FakeGraph)
    config = changed(small_config, compile="auto")
    return Rehearsal(config, NTU_25, torch.device("cpu"))


def choose_as_on_a_gpu(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> str:
    """Choose a mode for a GPU, but rehearse on the CPU."""
    on_cpu = rehearse
    monkeypatch.setattr(
        rehearsal_module, "rehearse", lambda _, mode: on_cpu(rehearsal, mode), raising=True
    )
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
    assert choose_as_on_a_gpu(rehearsal, monkeypatch) == "captured"
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "fake", "reason"),
    [
        ("compile_in_place", refuse_to_compile, "Compilation: Failed to find C compiler."),
        (
            "compile_in_place",
            run_out_of_memory,
            "Memory: out of memory (GPU): 2.15 GB were asked for, 1.07 GB are free; "
            "lower data.batch_size",
        ),
        (
            "GraphedStep",
            lambda step: FakeGraph(step, refuse_to_capture),
            "Capture: a step cannot be captured as a CUDA graph (sync); use compile=off",
        ),
        (
            "GraphedStep",
            lambda step: FakeGraph(step, lambda metrics: 1.01 * metrics),
            "Disagreement: loss or grad_norm differs from that of eager steps by 1.0e-02, "
            "allowed with precision=fp32 are 1e-03",
        ),
        (
            "GraphedStep",
            lambda step: FakeGraph(step, lambda metrics: torch.nan * metrics),
            "Disagreement: loss or grad_norm differs from that of eager steps by nan, "
            "allowed with precision=fp32 are 1e-03",
        ),
    ],
)
def test_what_fails_is_one_warning_that_names_the_reason(
    rehearsal: Rehearsal,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
    fake: object,
    reason: str,
):
    monkeypatch.setattr(start, place, fake)
    assert choose_as_on_a_gpu(rehearsal, monkeypatch) == "eager"
    first, second = capsys.readouterr().err.splitlines()
    assert first == "compile: trying captured steps, which may take minutes"
    assert second == f"warning: compile: auto falls back to eager steps. {reason}"


def test_a_wrong_backward_pass_is_a_disagreement(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
):
    def compile_badly(query: nn.Module, key: nn.Module) -> None:
        first = next(query.parameters())
        first.register_hook(lambda gradient: 3 * gradient)

    monkeypatch.setattr(start, "compile_in_place", compile_badly)
    with pytest.raises(ModeError, match="Disagreement"):
        rehearse(rehearsal, "compiled")


def test_dropout_is_compiled_but_not_compared(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
):
    tried = []
    do_steps = Rehearsal.do_steps

    def record(self, mode, num_steps):
        tried.append((mode, num_steps, self.config.model.dropout))
        return do_steps(self, mode, num_steps)

    monkeypatch.setattr(Rehearsal, "do_steps", record)
    config = changed(rehearsal.config, model={"dropout": 0.5})
    rehearse(replace(rehearsal, config=config), "captured")
    assert tried == [
        ("eager", NUM_STEPS, 0),
        ("captured", NUM_STEPS, 0),
        ("captured", WARM_UP + 1, 0.5),
    ]


def test_an_eager_step_that_fails_is_no_reason_to_fall_back(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rehearsal_module, "start_training", run_out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        rehearse(rehearsal, "captured")


def test_one_of_several_ranks_that_cannot_compile_stops_the_run(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(start, "compile_in_place", refuse_to_compile)
    two = replace(rehearsal, ranks=rehearsal.ranks._replace(world_size=2))
    with pytest.raises(ScdnetError, match=r"compile: Compilation: .*; use compile=off") as caught:
        two.try_steps("compiled", 1)
    assert not isinstance(caught.value, ModeError)


def test_the_doctor_compares_all_modes(rehearsal: Rehearsal):
    eager, compiled, captured = compare_modes(rehearsal.without_dropout())
    assert [eager.name, compiled.name, captured.name] == ["eager", "compiled", "captured"]
    assert "ms a step, ready after" in eager.text
    assert captured.text.endswith("loss and grad_norm within 0e+00 of eager")
    assert not (eager.is_problem or compiled.is_problem or captured.is_problem)


def test_the_doctor_names_the_mode_that_fails(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(start, "GraphedStep", lambda step: FakeGraph(step, refuse_to_capture))
    findings = compare_modes(rehearsal.without_dropout())
    assert [finding.is_problem for finding in findings] == [False, False, True]
    assert findings[2].text.startswith("Capture: a step cannot be captured")


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
def test_the_doctor_finds_all_modes_to_agree_on_a_gpu(small_config: Config):
    findings = examine_modes(changed(small_config, device="cuda"))
    assert not any(finding.is_problem for finding in findings), findings
