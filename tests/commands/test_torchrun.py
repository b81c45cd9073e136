"""Whole programs as torchrun starts them, two ranks on the CPU."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.train.pretrain import pretrain
from tests.engine.runs import assert_same_state, changed, metrics_of

ROOT = Path(__file__).parents[2]
DEATH = "tests/commands/train_with_a_death.py"
pytestmark = pytest.mark.end_to_end
slow = pytest.mark.slow


def started(
    config: Config, *arguments: object, options: tuple[str, ...] = (), die_at: int = 0
) -> subprocess.Popen:
    """`torchrun --nproc_per_node=2 OPTIONS PROGRAM -c CONFIG ARGUMENTS`; the program is the first of `arguments`."""
    path = config.runs_dir.parent / f"{config.name}.yaml"
    path.write_text(yaml.safe_dump(dump_config(config)))
    program, *arguments = map(str, arguments)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        *options,
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "DIE_AT": str(die_at),
    }
    return subprocess.Popen(
        [*command, program, "-c", str(path), *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(config: Config, *arguments: object, **how: object) -> tuple[int, str, str]:
    """Status, stdout and stderr of a program that is given time enough, should it hang, to be seen doing so."""
    process = started(config, *arguments, **how)
    try:
        out, err = process.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


@pytest.fixture
def config(small_config: Config) -> Config:
    """Two epochs of two steps, each saved, with dropout."""
    return changed(small_config, name="run", save_every=1)


def test_a_rank_that_dies_is_started_again_and_the_run_resumed(
    config: Config, capsys: pytest.CaptureFixture
):
    status, out, err = finished(config, DEATH, "--resume", options=("--max-restarts=1",), die_at=4)
    assert status == 0, err
    assert err.count("nothing to resume, starting afresh") == 1  # only the first rank speaks
    assert err.count("last.pt: going on after 1 epochs") == 1
    assert out.count("last checkpoint") == 1
    state = read_checkpoint(config.run_dir / "last.pt").state
    assert (state["epoch"], len(state["random"])) == (2, 2)
    assert not torch.equal(*(rank["cpu"] for rank in state["random"]))
    assert [line["epoch"] for line in metrics_of(config)] == [0, 1]
    path = pretrain(
        changed(config, optim={"epochs": 3}), resume=True
    )  # with another number of ranks
    assert (
        "the checkpoint is of 2 ranks, going on with 1: dropout will differ"
        in capsys.readouterr().err
    )
    assert len(read_checkpoint(path).state["random"]) == 1


@slow
def test_a_rank_that_dies_ends_the_job(config: Config):
    status, out, err = finished(config, DEATH, die_at=2)
    assert status == 1
    assert "exitcode" in err and "last checkpoint" not in out


@slow
@pytest.mark.parametrize("data", [{}, {"cache": "none", "num_workers": 1}])
def test_a_run_that_lost_a_rank_ends_as_the_undisturbed_one(config: Config, data: dict):
    whole, part = (
        changed(config, name=name, data=data, sync_batchnorm=False) for name in ("whole", "part")
    )
    assert finished(whole, "tools/train.py")[0] == 0
    assert finished(part, DEATH, "--resume", options=("--max-restarts=1",), die_at=3)[0] == 0
    assert_same_state(whole.run_dir / "last.pt", part.run_dir / "last.pt")


@slow
def test_both_ranks_stop_after_the_same_step_and_go_on(config: Config):
    config = changed(config, optim={"epochs": 40}, save_every=1000)
    whole, part = (changed(config, name=name) for name in ("whole", "part"))
    assert finished(whole, "tools/train.py")[0] == 0
    process = started(part, "tools/train.py")
    metrics = part.run_dir / "metrics.jsonl"
    while process.poll() is None and not (
        metrics.is_file() and metrics.read_text().count("\n") > 2
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)  # torchrun hands it on
    err = process.communicate(timeout=180)[1]
    assert process.returncode != 0
    assert err.count("stopped after step") == 1
    assert 2 < read_checkpoint(part.run_dir / "last.pt").state["epoch"] < 40
    assert finished(part, "tools/train.py", "--resume")[0] == 0
    assert_same_state(whole.run_dir / "last.pt", part.run_dir / "last.pt")


@slow
def test_features_and_scores_are_those_of_one_process(config: Config, tmp_path: Path):
    together, alone = tmp_path / "together.h5", tmp_path / "alone.h5"
    path = tmp_path / "run.yaml"
    arguments = ("--checkpoint", "none", "--out")
    status, out, err = finished(config, "tools/extract_features.py", *arguments, together)
    assert status == 0, err
    assert out.count("wrote") == 1
    subprocess.run(
        [sys.executable, "tools/extract_features.py", "-c", path, *arguments, alone],
        cwd=ROOT,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with h5py.File(together) as a, h5py.File(alone) as b:
        assert np.allclose(a["features"], b["features"], atol=1e-6)
    status, out, err = finished(
        config, "tools/eval_knn.py", "--checkpoint", "none", "--checkpoint", "raw"
    )
    assert status == 0, err
    assert out.count("recorded in") == 1


@slow
def test_what_does_not_go_together_is_refused_in_a_line(config: Config):
    odd = changed(config, data={"batch_size": 3}, model={"queue_size": 3})
    status, _, err = finished(odd, "tools/train.py")
    assert status == 1
    # both say it, unless torchrun ends one before
    assert re.search(
        r"error on rank [01]: data\.batch_size 3 is that of all ranks together; 2 ranks do not", err
    )
    status, _, err = finished(config, "tools/eval_finetune.py", "--checkpoint", "none")
    assert status == 1
    assert re.search(
        r"error on rank [01]: fine-tuning runs in one process; start it without torchrun", err
    )
