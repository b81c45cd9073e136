"""A run that was stopped, after whatever step, ends as the undisturbed one."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from scdnet.config import Config
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.run.checkpoints import progress_of
from scdnet.engine.run.signals import StopRequest
from scdnet.engine.train.pretrain import pretrain
from scdnet.eval.knn import score_1nn
from tests.conftest import make_small_config, write_synthetic_store
from tests.engine.runs import assert_same_state, call_before_each_step, changed, metrics_of

# Steps of an epoch: 8 sequences, 2 a batch.
STEPS = 4
TIMES = {"seconds", "step_seconds", "clips_per_second", "data_time_fraction"}
StopAfter = Callable[[int], StopRequest]


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> StopAfter:
    """`stop_after(n)` returns a request that is made during the n-th step from then on."""
    remaining = 0
    request = StopRequest()

    def hook(step: int) -> None:
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            request.signal = signal.SIGTERM

    def make(steps: int) -> StopRequest:
        nonlocal remaining, request
        remaining = steps
        request = StopRequest()
        return request

    call_before_each_step(monkeypatch, hook)
    return make


def without_times(config: Config) -> list[dict]:
    return [
        {key: value for key, value in line.items() if key not in TIMES}
        for line in metrics_of(config)
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """The undisturbed run: two epochs of STEPS steps."""
    folder = tmp_path_factory.mktemp("whole")
    small = make_small_config(write_synthetic_store(folder / "synthetic.h5"), folder / "runs")
    config = changed(
        small, name="whole", data={"batch_size": 2}, optim={"warmup_epochs": 1}, eval_every=1
    )
    return config, pretrain(config, score=score_1nn)


@pytest.mark.parametrize(
    ("cache", "num_workers", "stops"),
    [
        ("auto", 0, (1, 3)),
        ("none", 0, (STEPS - 1, 2)),
        ("none", 2, (STEPS,)),
    ],
)
def test_a_run_stopped_again_and_again_ends_as_the_undisturbed_one(
    whole,
    tmp_path: Path,
    stop_after: StopAfter,
    capsys: pytest.CaptureFixture,
    cache: str,
    num_workers: int,
    stops: tuple[int, ...],
):
    undisturbed, last = whole
    data = {"cache": cache, "num_workers": num_workers}
    config = changed(undisturbed, runs_dir=tmp_path, data=data)
    num_steps = 0
    for steps in stops:
        path = pretrain(config, resume=num_steps > 0, score=score_1nn, stop=stop_after(steps))
        num_steps += steps
        # A stop at the last step of an epoch comes before what is due after the epoch.
        epoch = (num_steps - 1) // STEPS
        step = (num_steps - 1) % STEPS + 1
        assert progress_of(read_checkpoint(path).state) == (epoch, step)
        message = (
            f"Stopped at epoch {epoch}, step {step}/4. Checkpoint saved; continue with --resume."
        )
        assert message in capsys.readouterr().err
    path = pretrain(config, resume=True, score=score_1nn)
    message = f"Resuming from epoch {epoch}/2, step {step}. Checkpoint: {path}"
    assert message in capsys.readouterr().err
    assert progress_of(read_checkpoint(path).state) == (2, 0)
    assert_same_state(path, last)
    assert without_times(config) == without_times(undisturbed)


def test_the_loss_is_on_record_term_by_term(whole):
    for line in metrics_of(whole[0]):
        terms = [value for name, value in line.items() if name.startswith("loss/")]
        assert sum(terms) == pytest.approx(line["loss"])
        assert len(set(terms)) == 4
