"""Whole programs of two ranks on the CPU, as torchrun starts them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from scdnet.config import Config
from scdnet.engine.build import encoder_sizes
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.locate import hash_weights
from scdnet.engine.train.pretrain import pretrain
from scdnet.results.results_file import read_results
from tests.commands.rank_programs import DEATH, ROOT, TRAIN, Agent, run_torchrun, write_config
from tests.engine.exports import export, make_encoder
from tests.engine.runs import assert_same_state, changed, metrics_of
from tests.stores import write_named_store

pytestmark = pytest.mark.end_to_end
slow = pytest.mark.slow


@pytest.fixture
def config(small_config: Config) -> Config:
    """Two epochs of two steps, each saved, with dropout."""
    return changed(small_config, name="run", save_every=1)


def test_a_job_that_lost_a_rank_resumes_and_ends_as_the_undisturbed_one(
    config: Config, tmp_path: Path, capfd: pytest.CaptureFixture
):
    start = export(tmp_path / "start", make_encoder(encoder_sizes(config)))
    config = changed(config, init=str(start))
    agent = Agent(tmp_path)
    path = str(write_config(config))
    (first, said), (second, _) = agent.run(["-c", path, "--resume"], death=3)
    assert (first, second) == (2, -9)
    assert "nothing to resume, starting a new run" in said
    assert "error on rank 0: Lost connection to another rank; see its log." in said
    for status, said in agent.run(["-c", path, "--resume"]):
        assert status == 0, said
        # Only the first rank logs.
    assert said == ""
    whole = changed(config, name="whole")
    for status, said in Agent(tmp_path).run(["-c", str(write_config(whole))]):
        assert status == 0, said
    assert capfd.readouterr().out.count("last checkpoint") == 2
    last = config.run_dir / "last.pt"
    assert_same_state(last, whole.run_dir / "last.pt")
    state = read_checkpoint(last).state
    assert state["init_sha256"] == hash_weights(start)
    assert (state["epoch"], len(state["random"])) == (2, 2)
    assert not torch.equal(*(rank["cpu"] for rank in state["random"]))
    assert [line["epoch"] for line in metrics_of(config)] == [0, 1]
    # Another number of ranks can resume, too.
    pretrain(changed(config, optim={"epochs": 3}), resume=True)
    message = "written by 2 ranks, resuming with 1: dropout will differ"
    assert message in capfd.readouterr().err
    assert len(read_checkpoint(last).state["random"]) == 1


@slow
def test_a_rank_that_dies_ends_the_job(config: Config):
    status, out, err = run_torchrun(config, DEATH, DIE_AT=2)
    assert status == 1
    assert "exitcode" in err
    assert "last checkpoint" not in out


@slow
@pytest.mark.parametrize("data", [{}, {"cache": "none", "num_workers": 1}])
def test_torchrun_restarts_a_job_that_lost_a_rank(config: Config, data: dict):
    whole = changed(config, name="whole", data=data, sync_batchnorm=False)
    part = changed(whole, name="part")
    assert run_torchrun(whole, TRAIN)[0] == 0
    restart = ("--max-restarts=1",)
    status, out, err = run_torchrun(part, DEATH, "--resume", options=restart, DIE_AT=3)
    assert status == 0, err
    # Only the first rank logs.
    assert err.count("nothing to resume, starting a new run") == 1
    assert err.count("Resuming from epoch 1/2. Checkpoint: ") == 1
    assert out.count("last checkpoint") == 1
    assert_same_state(whole.run_dir / "last.pt", part.run_dir / "last.pt")


@slow
def test_both_ranks_stop_after_the_same_step_and_resume(config: Config):
    config = changed(config, optim={"epochs": 40}, save_every=1000)
    whole = changed(config, name="whole")
    part = changed(config, name="part")
    assert run_torchrun(whole, TRAIN)[0] == 0
    status, _, err = run_torchrun(part, DEATH, STOP_AT=7)
    assert status != 0
    assert err.count("Stopped at epoch 3, step 1/2.") == 1
    assert read_checkpoint(part.run_dir / "last.pt").state["epoch"] == 3
    assert run_torchrun(part, TRAIN, "--resume")[0] == 0
    assert_same_state(whole.run_dir / "last.pt", part.run_dir / "last.pt")


@slow
def test_features_and_scores_are_those_of_one_process(config: Config, tmp_path: Path):
    together = tmp_path / "together.h5"
    alone = tmp_path / "alone.h5"
    arguments = ("--baseline", "random-init", "--out")
    status, out, err = run_torchrun(config, "tools/extract_features.py", *arguments, together)
    assert status == 0, err
    assert out.lower().count("wrote") == 1
    subprocess.run(
        [
            sys.executable,
            "tools/extract_features.py",
            "-c",
            write_config(config),
            *arguments,
            alone,
        ],
        cwd=ROOT,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with h5py.File(together) as a, h5py.File(alone) as b:
        assert np.allclose(a["features"], b["features"], atol=1e-6)
    baselines = ("--baseline", "random-init", "--baseline", "raw-pca", "--baseline", "raw")
    status, out, err = run_torchrun(config, "tools/eval_knn.py", *baselines)
    assert status == 0, err
    assert out.count("results.jsonl") == 1
    # The first rank alone fits.
    assert err.count("fitted to 8 training sequences") == 1


@slow
def test_the_first_rank_evaluates_the_baselines_beside_a_checkpoint(config: Config):
    checkpoint = pretrain(config)
    quick = ("--checkpoint", checkpoint, "protocols=[knn]")
    status, _, err = run_torchrun(config, "tools/evaluate.py", *quick)
    assert status == 0, err
    together = read_results(config.run_dir / "results.jsonl")
    assert len({result.baseline for result in together}) == 4
    alone = changed(config, name="alone")
    for baseline in ("raw", "raw-pca", "random-init"):
        command = [sys.executable, "tools/eval_knn.py", "-c", write_config(alone)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([*command, "--baseline", baseline], cwd=ROOT, check=True, env=environment)
    found = {(r.baseline, r.metric): r.value for r in together if r.baseline}
    expected = read_results(alone.run_dir / "results.jsonl")
    assert found == pytest.approx({(r.baseline, r.metric): r.value for r in expected})


@slow
def test_two_ranks_train_and_evaluate_on_several_stores(config: Config, tmp_path: Path):
    other = write_named_store(tmp_path / "other.h5", [f"{i}" for i in range(8)], ["t", "u"])
    data = {"store": (config.data.store, other), "sampling": "equal"}
    config = changed(config, data=data, eval_every=1)
    status, _, err = run_torchrun(config, TRAIN)
    assert status == 0, err
    lines = metrics_of(config)
    assert all({"knn@1", "knn@1/synthetic", "knn@1/other"} <= line.keys() for line in lines)
    quick = ("--checkpoint", config.run_dir / "last.pt", "protocols=[knn]")
    status, out, err = run_torchrun(config, "tools/evaluate.py", *quick)
    assert status == 0, err
    assert out.count("results.jsonl") == 2
    found = read_results(config.run_dir / "results.jsonl")
    assert len({(result.store, result.baseline) for result in found}) == 2 * 4
    # The command of one protocol gives the same numbers.
    alone = changed(config, name="alone")
    status, _, err = run_torchrun(alone, "tools/eval_knn.py", *quick)
    assert status == 0, err
    values = {(r.store, r.metric): r.value for r in found if r.baseline is None}
    again = read_results(alone.run_dir / "results.jsonl")
    assert values == pytest.approx({(r.store, r.metric): r.value for r in again})


@slow
def test_what_does_not_go_together_is_refused_in_a_line(config: Config):
    odd = changed(config, data={"batch_size": 3}, model={"queue_size": 3})
    status, _, err = run_torchrun(odd, TRAIN)
    assert status == 1
    # Both ranks report it, unless torchrun ends one before.
    message = r"error on rank [01]: data\.batch_size 3 \(over all ranks\) is not a multiple of"
    assert re.search(message, err)
    status, _, err = run_torchrun(config, "tools/eval_finetune.py", "--baseline", "random-init")
    assert status == 1
    message = (
        r"error on rank [01]: fine-tuning runs in a single process; start it without torchrun, "
    )
    assert re.search(message, err)
