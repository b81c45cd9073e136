"""Which processes SLURM's variables make ranks of one run, and which run alone."""

import multiprocessing
import os
import sys
from pathlib import Path

import pytest
import torch

from scdnet.engine import distributed, slurm
from scdnet.engine.device import resolve_device
from scdnet.errors import ScdnetError
from tests.engine.conftest import forget_ranks
from tests.engine.runs import free_port

# A job of two machines, as a batch script sees it: it is one process.
BATCH = {
    "SLURM_JOB_ID": "123",
    "SLURM_JOB_NODELIST": "gpu[03-04]",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}
# The last of the four tasks that `srun` starts there.
TASK = BATCH | {
    "SLURM_STEP_ID": "2",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "SLURM_STEP_NODELIST": "gpu[03-04]",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
}
# The tasks of a step on one machine, apart from what tells them apart.
ONE_MACHINE = TASK | {
    "SLURM_STEP_TASKS_PER_NODE": "4",
    "SLURM_STEP_NODELIST": "gpu03",
    "SLURM_NODEID": "0",
}


def test_a_task_of_a_step_gets_what_torchrun_would_have_set():
    assert slurm.is_task_of_several(TASK)
    assert slurm.torchrun_variables(TASK) == {
        "RANK": "3",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "gpu03",
        "MASTER_PORT": "20986",
    }


@pytest.mark.parametrize(
    "environment",
    [
        {},
        BATCH,
        # The shell of salloc, on the login node and as an interactive step.
        {"SLURM_JOB_ID": "123", "SLURM_NTASKS": "4"},
        BATCH | {"SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1"},
        BATCH | {"SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "4"},
        # srun --pty bash
        BATCH | {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"},
        # srun torchrun, and a user who wants four runs.
        TASK | {"RANK": "0", "WORLD_SIZE": "1"},
    ],
)
def test_what_is_no_task_of_several_runs_by_other_variables(environment: dict[str, str]):
    assert not slurm.is_task_of_several(environment)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu03,login", "gpu03"),
        ("gpu[03-05,9],login", "gpu03"),
        ("gpu[7,9],login", "gpu7"),
        ("rack[1-2]-gpu[03,5].site", "rack1-gpu03.site"),
        ("[10-12].site,b", "10.site"),
    ],
)
def test_ranks_meet_on_the_first_machine_of_the_step(nodes: str, first: str):
    variables = slurm.torchrun_variables(TASK | {"SLURM_STEP_NODELIST": nodes})
    assert variables["MASTER_ADDR"] == first


def test_ranks_on_one_machine_need_no_name_to_meet():
    assert slurm.torchrun_variables(ONE_MACHINE)["MASTER_ADDR"] == "127.0.0.1"


def test_a_user_chooses_where_ranks_meet():
    chosen = {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
    assert chosen.items() <= slurm.torchrun_variables(TASK | chosen).items()


@pytest.mark.parametrize(("node", "count"), [("0", "2"), ("2", "2"), ("3", "1")])
def test_each_machine_has_its_number_of_ranks(node: str, count: str):
    uneven = {"SLURM_STEP_TASKS_PER_NODE": "2(x3),1", "SLURM_STEP_NUM_TASKS": "7"}
    first = {"SLURM_NODEID": node, "SLURM_LOCALID": "0"}
    variables = slurm.torchrun_variables(TASK | uneven | first)
    assert variables["LOCAL_WORLD_SIZE"] == count


@pytest.mark.parametrize("restarted", [{}, {"SLURM_STEP_ID": "3"}, {"SLURM_JOB_ID": "124"}])
def test_ports_differ_between_steps_and_jobs_next_to_each_other(restarted: dict[str, str]):
    port = slurm.torchrun_variables(TASK | restarted)["MASTER_PORT"]
    assert (port == slurm.torchrun_variables(TASK)["MASTER_PORT"]) == (not restarted)
    largest = TASK | {"SLURM_JOB_ID": "67108863"}
    assert 20000 <= int(slurm.torchrun_variables(largest)["MASTER_PORT"]) < 32000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SLURM_PROCID": "x"}, "SLURM_PROCID: expected a number .*found 'x'; for a single"),
        ({"SLURM_LOCALID": None}, "SLURM_LOCALID: expected a number .*found nothing; for a"),
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x2"}, r"expected counts such as 2\(x3\),1 .*'2\(x2'"),
        ({"SLURM_NODEID": "2"}, "SLURM_NODEID=2 is out of range for the 2 machines"),
        ({"SLURM_PROCID": "4"}, "SLURM_PROCID=4 is out of range for the 4 tasks of the step"),
        ({"SLURM_LOCALID": "2"}, "SLURM_LOCALID=2 is out of range for the 2 tasks there"),
        ({"SLURM_STEP_TASKS_PER_NODE": "2,1"}, "NODE=2,1 are 3 tasks, but .*NUM_TASKS=4; for a"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2, but the SLURM step has 4 tasks; unset WORLD_SIZE"),
    ],
)
def test_variables_that_do_not_fit_end_with_a_line(changes: dict[str, str | None], message: str):
    environment = {name: text for name, text in (TASK | changes).items() if text is not None}
    with pytest.raises(ScdnetError, match=message):
        slurm.torchrun_variables(environment)


OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4"}
MPICH = {"PMI_RANK": "1", "PMI_SIZE": "4"}


@pytest.mark.parametrize("environment", [{}, BATCH, TASK], ids=["no SLURM", "batch", "task"])
@pytest.mark.parametrize("mpi", [OPEN_MPI, MPICH], ids=["Open MPI", "MPICH"])
def test_processes_of_mpirun_are_refused_in_a_line(ranks_of, environment, mpi: dict[str, str]):
    ranks_of(**environment, **mpi)
    message = "_SIZE=4: expected ranks that .* found process 1 of 4 of mpirun; for a single process"
    with pytest.raises(ScdnetError, match=message):
        distributed.rank_info()


@pytest.mark.parametrize(
    ("environment", "ranks"),
    [
        # srun --mpi=pmi2
        (TASK | {"PMI_RANK": "3", "PMI_SIZE": "4"}, (3, 4)),
        # mpirun -n 1
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"}, (0, 1)),
        # mpirun torchrun, and a user who wants four runs.
        (OPEN_MPI | {"RANK": "0", "WORLD_SIZE": "1"}, (0, 1)),
    ],
)
def test_variables_of_mpi_that_fit_are_no_error(ranks_of, environment, ranks: tuple[int, int]):
    ranks_of(**environment)
    assert distributed.rank_info() == ranks


def test_a_task_is_the_rank_that_slurm_numbers(ranks_of):
    ranks_of(**TASK)
    assert distributed.local_rank_info() == (1, 2)
    assert distributed.rank_info() == (3, 4)
    # The message of an error names the rank by this variable.
    assert os.environ["RANK"] == "3"


def test_a_batch_script_is_a_single_rank_without_a_group(ranks_of):
    ranks_of(**BATCH)
    assert distributed.rank_info() == (0, 1)
    with distributed.process_group(torch.device("cpu")):
        assert not distributed.is_initialized()


@pytest.mark.parametrize(("gpus_on_node", "is_enough"), [("2", True), ("1", False)])
def test_a_task_uses_the_only_gpu_that_it_sees_if_there_is_one_for_each(
    ranks_of, monkeypatch: pytest.MonkeyPatch, gpus_on_node: str, is_enough: bool
):
    ranks_of(**TASK, SLURM_GPUS_ON_NODE=gpus_on_node)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    if is_enough:
        assert resolve_device("cuda") == torch.device("cuda")
        return
    with pytest.raises(ScdnetError, match="2 ranks on a machine with 1 GPUs"):
        resolve_device("cuda")


def be_task(number: int, variables: dict[str, str], arguments: list[str], out: Path) -> None:
    """Turn a forked process into a task that writes what the ranks exchanged, or the error."""
    torch.set_num_threads(1)
    own = {"SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)}
    os.environ.update(ONE_MACHINE | variables | own)
    sys.argv = ["scdnet", *arguments]
    forget_ranks()
    try:
        with distributed.process_group(torch.device("cpu")):
            text = str(distributed.all_gather_object(number))
    except ScdnetError as error:
        text = str(error)
    (out / str(number)).write_text(text)
    # An ordinary exit could wait for other ranks.
    os._exit(0)


def run_tasks(out: Path, all_arguments: list[list[str]], **variables: str) -> list[str]:
    """Run a task for each list of arguments, and return what they wrote."""
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=be_task, args=(number, variables, arguments, out), daemon=True)
        for number, arguments in enumerate(all_arguments)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [(out / str(number)).read_text() for number in range(len(processes))]


def test_four_tasks_of_a_step_form_a_group(tmp_path: Path):
    found = run_tasks(tmp_path, [["train"]] * 4, MASTER_PORT=free_port())
    assert found == ["[0, 1, 2, 3]"] * 4


def test_tasks_of_different_programs_are_no_ranks_of_one_run(tmp_path: Path):
    different = [["train", f"seed={number // 2}"] for number in range(4)]
    found = run_tasks(tmp_path, different, MASTER_PORT=free_port())
    assert len(set(found)) == 1
    assert found[0].startswith(
        "the tasks of SLURM step 123.2 have different arguments, task 0 'train seed=0', "
        "task 2 'train seed=1'; "
    )


def test_tasks_that_are_to_run_alone_do(tmp_path: Path):
    alone = {"RANK": "0", "WORLD_SIZE": "1"}
    assert run_tasks(tmp_path, [["train"]] * 2, **alone) == ["[0]", "[1]"]
