"""Whole programs on two machines, which are namespaces of this one, over TCP."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from scdnet.config import Config
from tests.commands.machines import ADDRESSES, Machine, require_machines, two_machines
from tests.commands.rank_programs import DEATH, ROOT, TRAIN, slurm_tasks, write_config
from tests.commands.train_with_a_death import WAITING
from tests.conftest import make_small_config, write_synthetic_store
from tests.engine.runs import assert_same_state, changed

TORCHRUN = (
    *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1"),
    *("--rdzv_backend=c10d", f"--rdzv_endpoint={ADDRESSES[0]}:29500", "--rdzv_id=job"),
)
pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Two epochs of two steps, each saved, with dropout."""
    require_machines()
    folder = tmp_path_factory.mktemp("machines")
    config = make_small_config(write_synthetic_store(folder / "synthetic.h5"), folder / "runs")
    return changed(config, name="whole", save_every=1)


@pytest.fixture(scope="module")
def whole(config: Config) -> Path:
    """The last checkpoint of a run on two machines that nothing disturbed."""
    with two_machines() as machines:
        finish([start_node(machine, config) for machine in machines])
    return config.run_dir / "last.pt"


def start(machine: Machine, command: Sequence[str | Path], **variables: str) -> subprocess.Popen:
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    return machine.start(
        command,
        environment=environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_node(machine: Machine, config: Config, **variables: str) -> subprocess.Popen:
    """Start the torchrun of a machine, with a rank that waits to be killed at its step $WAIT_AT."""
    # Both machines have the name of this one, which tells torchrun nothing.
    is_host = machine.address == ADDRESSES[0]
    own = (
        f"--local_addr={machine.address}",
        f"--rdzv_conf=is_host={is_host}",
        DEATH,
    )
    return start(machine, [*TORCHRUN, *own, "-c", write_config(config), "--resume"], **variables)


def finish(nodes: Sequence[subprocess.Popen]) -> str:
    """Wait for the programs, which must succeed, and return what they wrote to stderr."""
    said = [node.communicate()[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0] * len(nodes), "\n".join(said)
    return "".join(said)


def start_and_lose(machines: Sequence[Machine], config: Config, lost: int) -> subprocess.Popen:
    """Start a job, and kill a machine in the middle of it; return the program of the other one."""
    waits = [{"WAIT_AT": "3"} if number == lost else {} for number in range(2)]
    nodes = [
        start_node(machine, config, **wait) for machine, wait in zip(machines, waits, strict=True)
    ]
    lines = []
    for line in nodes[lost].stderr:
        lines.append(line)
        if WAITING in line:
            break
    else:
        pytest.fail("".join(lines))
    machines[lost].kill()
    assert nodes[lost].wait() == -9
    return nodes[1 - lost]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_run_that_lost_a_machine_ends_and_resumes_as_the_undisturbed_one(
    config: Config, whole: Path, lost: int
):
    config = changed(config, name=f"lost-{lost}")
    with two_machines() as machines:
        survivor = start_and_lose(machines, config, lost)
        _, said = survivor.communicate()
        assert survivor.returncode == 1
        line = f"error on rank {1 - lost}: Lost connection to another rank; see its log. ("
        assert said.count(f"\n{line}") == 1
        machines[lost].boot()
        said = finish([start_node(machine, config) for machine in machines])
    assert said.count("Resuming from epoch 1/2.") == 1
    assert_same_state(config.run_dir / "last.pt", whole)


def test_tasks_of_srun_on_two_machines_train_as_ranks_of_torchrun(config: Config, whole: Path):
    config = changed(config, name="tasks")
    tasks = slurm_tasks(ADDRESSES, 1)
    with two_machines() as machines:
        nodes = [
            start(machine, [sys.executable, TRAIN, "-c", write_config(config)], **task)
            for machine, task in zip(machines, tasks, strict=True)
        ]
        finish(nodes)
    assert_same_state(config.run_dir / "last.pt", whole)
