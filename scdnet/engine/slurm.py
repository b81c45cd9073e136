"""The variables of SLURM, for ranks that `srun` starts without torchrun, and those of mpirun."""

import re
from collections.abc import Mapping

from scdnet.errors import ScdnetError

# The steps in which SLURM runs a batch script, the shell of salloc and its own daemons are numbered
# downwards from the largest number of 32 bits.
SPECIAL_STEPS = 0xFFFFFFF0
# Below the ports that the system gives to connections (32768 and above on Linux).
FIRST_PORT = 20000
NUM_PORTS = 12000
WAY_OUT = "for a single process set RANK=0 WORLD_SIZE=1, for several use torchrun"
# Number and count of the processes that mpirun starts: Open MPI's, and MPICH's and Intel MPI's.
MPI_VARIABLES = (("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"))


def is_task_of_several(environment: Mapping[str, str]) -> bool:
    """Check whether this process is one of several tasks of a job step, which `srun` starts.

    SLURM_NTASKS and SLURM_PROCID do not tell: a batch script and the shell of salloc have them too
    and are one process. Such a script has no step, and such a shell has a step of one task or a
    special one. RANK, which torchrun sets and a user can set, wins over SLURM.
    """
    if "RANK" in environment or "SLURM_STEP_ID" not in environment:
        return False
    step = _read_number(environment, "SLURM_STEP_ID")
    return step < SPECIAL_STEPS and _read_number(environment, "SLURM_STEP_NUM_TASKS") > 1


def refuse_mpirun(environment: Mapping[str, str]) -> None:
    """Raise ScdnetError if this is one of several processes that mpirun started.

    On SLURM mpirun starts a daemon on each machine as a task. All processes of the daemon inherit
    its SLURM_PROCID, and those on the first machine have none, so they would not be ranks of one
    run. `srun --mpi=pmi2` sets variables of MPI, too, and these agree with those of SLURM.
    """
    if "RANK" in environment:
        return
    task = (environment.get("SLURM_PROCID"), environment.get("SLURM_STEP_NUM_TASKS"))
    for rank, size in MPI_VARIABLES:
        found = (environment.get(rank, "0"), environment.get(size, "1"))
        if found[1] != "1" and found != task:
            raise ScdnetError(
                f"{size}={found[1]}: expected ranks that torchrun or srun started, found process "
                f"{found[0]} of {found[1]} of mpirun; {WAY_OUT} or srun"
            )


def torchrun_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that torchrun would set for this task of a job step.

    The ranks connect on the first machine of the step, or where MASTER_ADDR and MASTER_PORT say.
    Raises ScdnetError if a variable of SLURM is missing or has another form.
    """
    job = _read_number(environment, "SLURM_JOB_ID")
    step = _read_number(environment, "SLURM_STEP_ID")
    world_size = _read_number(environment, "SLURM_STEP_NUM_TASKS")
    tasks = _expand_counts(environment)
    if sum(tasks) != world_size:
        raise ScdnetError(
            f"SLURM_STEP_TASKS_PER_NODE={environment['SLURM_STEP_TASKS_PER_NODE']} are "
            f"{sum(tasks)} tasks, but SLURM_STEP_NUM_TASKS={world_size}; {WAY_OUT}"
        )
    node = _read_index(environment, "SLURM_NODEID", len(tasks), "machines of the step")
    if environment.get("WORLD_SIZE", str(world_size)) != str(world_size):
        raise ScdnetError(
            f"WORLD_SIZE={environment['WORLD_SIZE']}, but the SLURM step has {world_size} tasks; "
            f"unset WORLD_SIZE, or {WAY_OUT}"
        )
    # Several jobs may share a machine.
    port = FIRST_PORT + (job * 8 + step) % NUM_PORTS
    return {
        "RANK": str(_read_index(environment, "SLURM_PROCID", world_size, "tasks of the step")),
        "WORLD_SIZE": str(world_size),
        "LOCAL_RANK": str(_read_index(environment, "SLURM_LOCALID", tasks[node], "tasks there")),
        "LOCAL_WORLD_SIZE": str(tasks[node]),
        "MASTER_ADDR": environment.get("MASTER_ADDR") or _first_host(environment, len(tasks)),
        "MASTER_PORT": environment.get("MASTER_PORT") or str(port),
    }


def step_name(environment: Mapping[str, str]) -> str:
    """Return the name of this job step, as SLURM prints it: `<job>.<step>`."""
    return f"{environment['SLURM_JOB_ID']}.{environment['SLURM_STEP_ID']}"


def _read(environment: Mapping[str, str], name: str, pattern: str, expected: str) -> str:
    text = environment.get(name)
    if text is None or not re.fullmatch(pattern, text):
        found = "nothing" if text is None else repr(text)
        raise ScdnetError(
            f"{name}: expected {expected} in this environment variable, which srun sets, "
            f"found {found}; {WAY_OUT}"
        )
    return text


def _read_number(environment: Mapping[str, str], name: str) -> int:
    return int(_read(environment, name, r"\d+", "a number"))


def _read_index(environment: Mapping[str, str], name: str, count: int, what: str) -> int:
    index = _read_number(environment, name)
    if index >= count:
        raise ScdnetError(f"{name}={index} is out of range for the {count} {what}; {WAY_OUT}")
    return index


def _expand_counts(environment: Mapping[str, str]) -> list[int]:
    """Return the number of tasks on each machine of the step; `2(x3),1` is [2, 2, 2, 1]."""
    text = _read(
        environment,
        "SLURM_STEP_TASKS_PER_NODE",
        r"\d+(\(x\d+\))?(,\d+(\(x\d+\))?)*",
        "counts such as 2(x3),1",
    )
    counts = []
    for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", text):
        counts += [int(count)] * int(times or 1)
    return counts


def _first_host(environment: Mapping[str, str], num_nodes: int) -> str:
    """Return where the first machine of the step is found; of `gpu[03-05,9],login`, gpu03."""
    if num_nodes == 1:
        return "127.0.0.1"
    nodes = _read(environment, "SLURM_STEP_NODELIST", r"\S+", "names of machines")
    first = re.match(r"(\[[^\]]*\]|[^,\[])+", nodes)
    # The first number of each bracket.
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", first[0] if first else nodes)
