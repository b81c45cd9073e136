"""A run that was stopped, after whatever step, ends as the one that was not."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scdnet.config import Config
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.run.signals import StopRequest
from scdnet.engine.train import state as training
from scdnet.engine.train.pretrain import pretrain
from scdnet.eval.knn import score_1nn
from tests.engine.runs import assert_same_state, changed, metrics_of

STEPS = 4  # of an epoch: 8 sequences, 2 a batch
TIMES = {"seconds", "step_seconds", "clips_per_second", "data_time_fraction"}
StopAfter = Callable[[int], StopRequest]


@pytest.fixture
def short_config(small_config: Config) -> Config:
    """Two epochs of STEPS steps."""
    return changed(small_config, data={"batch_size": 2}, optim={"warmup_epochs": 1})


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> StopAfter:
    """`stop_after(n)`: a request that is made during the n-th step from now."""
    original, requests = training.train_step, {}

    def step(*args: object, **kwargs: object) -> torch.Tensor:
        requests["left"] -= 1
        if requests["left"] == 0:
            requests["stop"].signal = signal.SIGTERM
        return original(*args, **kwargs)

    def make(steps: int) -> StopRequest:
        requests.update(left=steps, stop=StopRequest())
        return requests["stop"]

    monkeypatch.setattr(training, "train_step", step)
    requests.update(left=-1)
    return make


def without_times(config: Config) -> list[dict]:
    return [
        {key: value for key, value in line.items() if key not in TIMES}
        for line in metrics_of(config)
    ]


@pytest.fixture
def whole(short_config: Config) -> tuple[Config, Path]:
    """The undisturbed run."""
    config = changed(short_config, name="whole", eval_every=1)
    return config, pretrain(config, score=score_1nn)


@pytest.mark.parametrize(("cache", "workers"), [("auto", 0), ("none", 0), ("none", 2)])
def test_stopped_after_every_single_step(whole, stop_after: StopAfter, cache: str, workers: int):
    config = changed(whole[0], name="stopped", data={"cache": cache, "num_workers": workers})
    places = []
    for resume in [False] + [True] * (2 * STEPS):
        path = pretrain(config, resume=resume, score=score_1nn, stop=stop_after(1))
        state = read_checkpoint(path).state
        places.append((state["epoch"], state["unfinished"].get("steps", 0)))
    # the last step is done, its epoch's end is not; then there is nothing left but that
    assert places == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (1, 2), (1, 3), (1, 4), (2, 0)]
    assert_same_state(path, whole[1])
    assert without_times(config) == without_times(whole[0])


@pytest.mark.parametrize("steps", [1, STEPS - 1, STEPS, STEPS + 1, 2 * STEPS])
def test_stopped_once(whole, stop_after: StopAfter, steps: int):
    config = changed(whole[0], name="stopped")
    pretrain(config, score=score_1nn, stop=stop_after(steps))
    path = pretrain(config, resume=True, score=score_1nn)
    assert_same_state(path, whole[1])
    assert without_times(config) == without_times(whole[0])


def test_the_loss_is_on_record_term_by_term(whole):
    for line in metrics_of(whole[0]):
        terms = [value for name, value in line.items() if name.startswith("loss/")]
        assert sum(terms) == pytest.approx(line["loss"])
        assert len(set(terms)) == 4


def test_where_a_run_stopped_is_said(
    short_config: Config, stop_after: StopAfter, capsys: pytest.CaptureFixture
):
    pretrain(short_config, stop=stop_after(STEPS + 3))
    assert (
        "stopped after step 3 of 4 of epoch 1 (from 0), saved; go on with --resume"
        in capsys.readouterr().err
    )
