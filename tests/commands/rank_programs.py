"""How tests start whole programs of several ranks on the CPU. No test itself."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from torch.distributed import TCPStore

from scdnet.config import Config
from scdnet.config_file import dump_config
from tests.commands.train_with_a_death import count_events, die_at, run_train
from tests.engine.conftest import forget_ranks
from tests.faults import FORKING

ROOT = Path(__file__).parents[2]
TRAIN = "tools/train.py"
DEATH = "tests/commands/train_with_a_death.py"


def write_config(config: Config) -> Path:
    path = config.runs_dir.parent / f"{config.name}.yaml"
    path.write_text(yaml.safe_dump(dump_config(config)))
    return path


def be_rank(variables: dict[str, str], arguments: list[str], log: Path, death: int | None) -> None:
    """Turn a forked process into a rank of `scdnet train`, killed at its step `death`."""
    os.environ.update(variables)
    forget_ranks()
    sys.stderr = log.open("w", buffering=1)
    if death is not None:
        count_events(die_at(death), renames=False)
    run_train(arguments)


def run_forked(
    all_variables: Sequence[dict[str, str]],
    arguments: Sequence[str],
    folder: Path,
    *,
    death: int | None = None,
) -> list[tuple[int, str]]:
    """Run `scdnet train` in a process for each of the sets of environment variables.

    The second is killed at its step `death`. Returns status and stderr of each.
    """
    processes = []
    for number, variables in enumerate(all_variables):
        log = folder / f"{number}.log"
        own_death = death if number == 1 else None
        process = FORKING.Process(
            target=be_rank, args=(variables, list(arguments), log, own_death), daemon=True
        )
        process.start()
        processes.append((process, log))
    for process, _ in processes:
        process.join()
    return [(process.exitcode, log.read_text()) for process, log in processes]


class Agent:
    """What torchrun does for two ranks, without new interpreters: one store for all lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        self.num_lives = 0

    def run(self, arguments: Sequence[str], *, death: int | None = None) -> list[tuple[int, str]]:
        """Run both ranks, the second until its step `death`; return status and stderr of each."""
        all_variables = [
            {
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(self.store.port),
                "TORCHELASTIC_USE_AGENT_STORE": "True",
                "TORCHELASTIC_RESTART_COUNT": str(self.num_lives),
                "RANK": str(rank),
                "WORLD_SIZE": "2",
                "LOCAL_RANK": str(rank),
                "LOCAL_WORLD_SIZE": "2",
            }
            for rank in range(2)
        ]
        self.num_lives += 1
        return run_forked(all_variables, arguments, self.folder, death=death)


def slurm_tasks(hosts: Sequence[str], count: int) -> list[dict[str, str]]:
    """Return the environment variables of all tasks that `srun` starts, `count` on each host.

    The job, and so the port on which the tasks meet, differs from that of tests beside this one.
    """
    return [
        {
            "SLURM_JOB_ID": str(os.getpid()),
            "SLURM_STEP_ID": "0",
            "SLURM_NTASKS": str(count * len(hosts)),
            "SLURM_STEP_NUM_TASKS": str(count * len(hosts)),
            "SLURM_STEP_TASKS_PER_NODE": f"{count}(x{len(hosts)})",
            "SLURM_STEP_NODELIST": ",".join(hosts),
            "SLURM_PROCID": str(node * count + number),
            "SLURM_LOCALID": str(number),
            "SLURM_NODEID": str(node),
        }
        for node in range(len(hosts))
        for number in range(count)
    ]


def run_torchrun(
    config: Config,
    program: str,
    *arguments: object,
    options: Sequence[str] = (),
    **variables: int,
) -> tuple[int, str, str]:
    """Run `torchrun --nproc_per_node=2 OPTIONS PROGRAM -c CONFIG ARGUMENTS`.

    Returns its status, stdout and stderr.
    """
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        **{name: str(value) for name, value in variables.items()},
    }
    done = subprocess.run(
        [*launcher, *options, program, "-c", write_config(config), *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr
