"""Fixtures of tests that train: finished runs, and ranks in one process."""

import shutil
import signal
from collections.abc import Callable, Iterator

import pytest
import torch

from scdnet.config import Config
from scdnet.engine import distributed
from scdnet.engine.run.signals import StopRequest
from scdnet.engine.train import start as starting
from scdnet.engine.train.pretrain import pretrain
from scdnet.engine.train.step import metric_names
from scdnet.models.objective import Objective
from tests.conftest import make_small_config, write_synthetic_store
from tests.engine.runs import call_before_each_step, free_port

# Those that tasks of SLURM get as well.
TORCHRUN_VARIABLES = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
)  # fmt: skip


@pytest.fixture(scope="session")
def _first_run(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("first_run")
    config = make_small_config(write_synthetic_store(folder / "synthetic.h5"), folder / "runs")
    pretrain(config)
    return config


@pytest.fixture
def finished(_first_run: Config, tmp_path) -> Config:
    """The small config, with a finished run in its run directory."""
    config = _first_run.model_copy(update={"runs_dir": tmp_path / "runs"})
    shutil.copytree(_first_run.run_dir, config.run_dir)
    return config


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training steps that do nothing, for tests of what is around them."""
    metrics = torch.ones(len(metric_names(Objective())))
    monkeypatch.setattr(starting, "train_step", lambda *args, **kwargs: metrics)


def forget_ranks() -> None:
    """Let the next look at the ranks read the environment again."""
    distributed.rank_info.cache_clear()
    distributed.local_rank_info.cache_clear()
    distributed.is_slurm_task.cache_clear()


@pytest.fixture
def ranks_of(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """`ranks_of(RANK="0", ...)` sets environment variables of torchrun or SLURM for one test."""
    for name in TORCHRUN_VARIABLES:
        # Setting it first lets it be restored, too, after the tested code has set it.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    def set_variables(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        forget_ranks()

    yield set_variables
    monkeypatch.undo()
    forget_ranks()


@pytest.fixture
def single_rank(ranks_of) -> None:
    """The environment of a single rank under torchrun."""
    ranks_of(RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT=free_port())


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], StopRequest]:
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
