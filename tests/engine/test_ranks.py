"""Two processes that train together find what one finds."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from scdnet.engine import ranks
from scdnet.errors import ScdnetError
from tests.conftest import write_made_up_store
from tests.engine import rank_checks

ROOT = Path(__file__).parents[2]
Found = dict[str, dict[str, Tensor]]


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """9 training and 9 test sequences."""
    return write_made_up_store(tmp_path_factory.mktemp("ranks") / "made_up.h5", per_split=9)


@pytest.fixture(scope="module")
def together(store: Path) -> list[Found]:
    """What two ranks found."""
    out, processes = store.parent / "together", []
    command = [sys.executable, "-m", "tests.engine.rank_checks", str(store), str(out)]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": "2", "PYTHONPATH": str(ROOT)}
    for rank in range(2):
        environment = {**os.environ, **meeting, "RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"}
        processes.append(subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True))
    for process in processes:
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 0, errors
    return [torch.load(out / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def alone(store: Path) -> Found:
    """What one process found."""
    out = store.parent / "alone"
    rank_checks.main(store, out)
    return torch.load(out / "0.pt")


def largest_difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    return max((a[name].float() - b[name].float()).abs().max().item() for name in a)


@pytest.mark.parametrize("case", ["frozen", "synced", "compiled"])
def test_two_ranks_of_16_have_the_gradients_and_statistics_of_one_of_32(together, alone, case: str):
    for found in together:
        print(case, largest_difference(found[case], alone[case]))
        assert largest_difference(found[case], alone[case]) < 1e-5
        assert found[case]["temporal_stem" if False else "loss"] > 1


def test_without_sync_each_rank_normalises_its_own_rows(together, alone):
    name = "query.encoder.temporal_stem.input_norm.running_mean"
    first, second = (found["apart"][name] for found in together)
    assert not torch.allclose(first, second, atol=1e-4)
    assert torch.allclose((first + second) / 2, alone["apart"][name], atol=1e-6)


@pytest.mark.parametrize("case", ["trained", "trained on shares"])
def test_after_twenty_steps_both_ranks_hold_the_same(together, case: str):
    first, second = (found[case] for found in together)
    assert largest_difference(first, second) == 0
    assert first["queues.instance.cursor"] == 20 * 4 % 10


def test_after_twenty_steps_two_ranks_hold_what_one_holds(together, alone):
    print(largest_difference(together[0]["trained"], alone["trained"]))
    assert largest_difference(together[0]["trained"], alone["trained"]) < 1e-3  # rounding grows from step to step
