"""Whole programs as `srun` starts them: processes with SLURM's variables. There is no SLURM."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scdnet.config import Config
from tests.commands.rank_programs import (
    ROOT,
    TRAIN,
    Agent,
    run_forked,
    run_torchrun,
    slurm_tasks,
    write_config,
)
from tests.engine.runs import assert_same_state, changed

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def config(small_config: Config) -> Config:
    """One epoch of two steps, with dropout."""
    return changed(small_config, name="tasks", optim={"epochs": 1})


def test_two_tasks_train_as_two_ranks_of_torchrun(config: Config, tmp_path: Path):
    # Two machines, as far as SLURM's variables tell.
    tasks = slurm_tasks(["localhost", "other"], 1)
    for status, said in run_forked(tasks, ["-c", str(write_config(config))], tmp_path):
        assert status == 0, said
    ranks = changed(config, name="ranks")
    for status, said in Agent(tmp_path).run(["-c", str(write_config(ranks))]):
        assert status == 0, said
    assert_same_state(config.run_dir / "last.pt", ranks.run_dir / "last.pt")


@pytest.mark.slow
def test_four_tasks_of_new_interpreters_train_as_four_ranks_of_torchrun(config: Config):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "scdnet", "train", "-c", write_config(config)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment | task, stderr=subprocess.PIPE)
        for task in slurm_tasks(["gpu03"], 4)
    ]
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0, err
    ranks = changed(config, name="ranks")
    status, _, err = run_torchrun(ranks, TRAIN, options=("--nproc_per_node=4",))
    assert status == 0, err
    assert_same_state(config.run_dir / "last.pt", ranks.run_dir / "last.pt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"SLURM_STEP_TASKS_PER_NODE": "3"},
            "SLURM_STEP_TASKS_PER_NODE=3 are 3 tasks, but SLURM_STEP_NUM_TASKS=4; ",
        ),
        (
            {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "8"},
            "OMPI_COMM_WORLD_SIZE=8: expected ranks that torchrun or srun started, found process "
            "0 of 8 of mpirun; ",
        ),
    ],
)
def test_tasks_whose_variables_do_not_fit_all_stop_with_a_line(
    config: Config, tmp_path: Path, changes: dict[str, str], message: str
):
    tasks = [task | changes for task in slurm_tasks(["gpu03"], 4)]
    for status, said in run_forked(tasks, ["-c", str(write_config(config))], tmp_path):
        assert status == 2
        assert said.startswith(f"error: {message}")
        assert said.count("\n") == 1
    assert not config.run_dir.exists()
