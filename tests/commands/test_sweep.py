"""A sweep: every row with every seed, once, and one table."""

import os
import re
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Self

import pytest
import torch
import yaml

from scdnet.commands import evaluate, train
from scdnet.commands.sweep import check_runs, make_jobs, read_sweep
from scdnet.config import Config
from scdnet.config_file import load_config
from scdnet.data.store import open_sequences
from scdnet.engine.build import build_objective, open_clips
from scdnet.engine.device import seed_everything
from scdnet.engine.run.directory import prepare_run_dir
from scdnet.engine.train.start import start_training
from scdnet.errors import ScdnetError
from scdnet.results.record import BASELINES
from scdnet.results.results_file import RESULTS, read_results
from scdnet.skeletons import NTU_25
from tests.commands.conftest import ROWS
from tests.conftest import write_synthetic_store
from tests.engine.runs import changed

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "configs/sweeps").glob("*.yaml"))


class InlinePool:
    """A pool that works in the calling thread, in which commands may set signal handlers."""

    def __init__(self, num_threads: int) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    map = staticmethod(map)


class InlineProcess:
    """A command `python -m scdnet ...` that runs in this process."""

    def __init__(self, command: list[str], **_: object) -> None:
        assert command[:3] == [sys.executable, "-m", "scdnet"]
        main = {"train": train.main, "evaluate": evaluate.main}[command[3]]
        self.status = main(command[4:]) or 0

    def wait(self) -> int:
        return self.status


@pytest.mark.end_to_end
def test_a_row_is_trained_evaluated_and_shown_under_its_name(
    run, sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("scdnet.commands.sweep_runner.ThreadPoolExecutor", InlinePool)
    monkeypatch.setattr("scdnet.commands.sweep_runner.subprocess.Popen", InlineProcess)
    name = """MoCo's "one" head"""
    path = sweep(seeds=[0], rows={name: ROWS["MoCo"]})
    done = run("tools/sweep.py", path, "--format", "markdown")
    assert done.status == 0, done.err
    folder = tmp_path / "runs/tiny/MoCo-s-one-head_seed0"
    assert {result.protocol for result in read_results(folder / RESULTS)} == {"knn"}
    row = [cell.strip() for cell in done.out.splitlines()[-4].split("|")]
    # One epoch, one seed.
    assert row[1:6] == ["knn", "joint", name, "1", "1"]
    assert re.search(rf"mean over its seeds: {name} \d+\.$", done.out)
    again = run("tools/sweep.py", path, "--format", "markdown")
    assert done.out.endswith(again.out) and again.err == ""


@pytest.mark.slow
@pytest.mark.end_to_end
def test_kept_runs_of_several_stores_give_the_same_tables_in_a_fresh_clone(
    run, sweep, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("scdnet.commands.sweep_runner.ThreadPoolExecutor", InlinePool)
    monkeypatch.setattr("scdnet.commands.sweep_runner.subprocess.Popen", InlineProcess)
    other = write_synthetic_store(tmp_path / "other.h5", per_split=6, seed=7)
    rows = {"one": [], "two": [f"data.store={other}"], "three": ["optim.lr=0.02"]}
    path = sweep(seeds=[0], rows=rows)
    kept = tmp_path / "kept/tiny.jsonl"
    command = ("tools/sweep.py", path, "--format", "markdown")
    done = run(*command, "--keep", kept)
    assert done.status == 0, done.err
    assert [line for line in done.out.splitlines() if line.startswith("#")] == [
        "### ntu60 xsub, 6 test sequences",
        "### ntu60 xsub, 8 test sequences",
    ]
    # Evaluations of baselines are the same in the first and the third run.
    assert done.err.count("Already evaluated by another run, copied.") == len(BASELINES)
    assert kept.read_text().count('"kind":"baseline"') == 2 * len(BASELINES)
    assert str(tmp_path) not in kept.read_text()
    # The tables of the runs themselves, recorded again with --keep.
    assert done.out.endswith(run(*command).out)
    content = kept.read_bytes()
    assert run(*command, "--keep", kept).status == 0 and kept.read_bytes() == content

    clone = tmp_path / "clone"
    clone.mkdir()
    monkeypatch.chdir(clone)
    again = run(*command, "--keep", kept, "device=auto")
    assert again.status == 0 and done.out.endswith(again.out)
    assert again.err == f"{kept}: contains 3 of 3 runs, skipping them.\n"
    assert list(clone.iterdir()) == [] and kept.read_bytes() == content
    # One row of two is not there.
    rows = {"first": [], "changed": ["optim.lr=0.03"]}
    third = run("tools/sweep.py", sweep(seeds=[0], rows=rows), "--keep", kept)
    assert third.status == 0, third.err
    assert [p.name for p in (clone / "runs/tiny").glob("*_seed0")] == ["changed_seed0"]
    # A row has the name that it has now.
    assert "first" in third.out and "one" not in third.out and "changed" in third.out
    assert kept.read_bytes().startswith(content)


@pytest.mark.slow
@pytest.mark.end_to_end
def test_nothing_is_done_twice_and_a_row_that_fails_does_not_stop_the_others(
    run, sweep, tmp_path: Path
):
    folder = tmp_path / "runs/tiny"
    assert run("tools/sweep.py", sweep(seeds=[0])).status == 0
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/last.pt")}
    path = sweep(seeds=[0], rows={"MoCo": ROWS["MoCo"]})
    assert run("tools/sweep.py", path, "feature_level=2").status == 0
    rows = {"diverges": ["optim.lr=1e30"], **ROWS}
    done = run("tools/sweep.py", sweep(rows=rows), "--format", "markdown", "--jobs", 2)
    assert done.status == 1
    assert "runs/tiny/diverges_seed0: status 2; error: " in done.err
    assert before == {path: path.stat().st_mtime_ns for path in before}
    # One epoch, two seeds.
    for name in ROWS:
        assert re.search(rf"\| knn +\| joint +\| {name} +\| +1 \| +2 \|", done.out)
    assert "diverges" not in done.out
    for path in folder.glob("*/results.jsonl"):
        path.write_text("torn")
    # The status is that of results.py.
    assert run("tools/sweep.py", sweep(seeds=[0])).status == 2


def test_the_file_may_set_the_directory_of_the_runs(sweep, jobs_of):
    (first, *_) = jobs_of(
        sweep(overrides=["runs_dir=elsewhere", "protocols=[linear]"], rows={"Ü 🤸": []})
    )
    assert (first.run_dir, first.config.protocols) == (Path("elsewhere/Ü_seed0"), ("linear",))
    assert first.config.display_name == "Ü 🤸"


@pytest.mark.parametrize("content", ["a: [", "", "[1]"])
def test_a_config_that_is_torn_is_named(run, sweep, tmp_path: Path, content: str):
    path = tmp_path / "runs/tiny/MoCo_seed0/config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    done = run("tools/sweep.py", sweep())
    assert done.status == 2 and "runs/tiny/MoCo_seed0/config.yaml: not a config" in done.err


def test_a_row_that_is_not_that_of_its_run_is_refused(run, sweep, tmp_path: Path):
    folder = tmp_path / "runs/tiny/MoCo_seed0"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text((tmp_path / "small.yaml").read_text())
    done = run("tools/sweep.py", sweep())
    assert done.status == 2 and "cannot resume: " in done.err and "scd.pairs" in done.err


def test_runs_on_other_data_are_not_taken_for_complete(
    sweep, jobs_of, small_config: Config, tmp_path: Path
):
    path = sweep(seeds=[0])
    (job, _) = jobs_of(path)
    with open_sequences(small_config.data.store) as store:
        prepare_run_dir(job.config, store.content_sha256, fresh=True)
    copied = tmp_path / "copied.h5"
    shutil.copy(small_config.data.store, copied)
    check_runs(jobs_of(sweep(seeds=[0], overrides=[f"data.store={copied}", "optim.epochs=1"])))
    write_synthetic_store(copied, seed=7)
    with pytest.raises(ScdnetError, match=r"copied\.h5 has another content than the store that"):
        check_runs(jobs_of(path))
    # What is complete needs no data.
    copied.unlink()
    check_runs(jobs_of(path))


def test_a_later_layer_replaces_the_length_of_an_earlier_one(sweep, tmp_path: Path):
    rows = {"a": ["optim.epochs=2"], "b": ["optim={epochs: 9, lr: 0.5}"], "c": []}
    path = sweep(seeds=[0], overrides=["optim.steps=5"], rows=rows)

    def lengths(*overrides: str) -> list[tuple[int | None, int | None, float]]:
        jobs = make_jobs(read_sweep(path), "tiny", overrides)
        for job in jobs:
            # Its commands resolve to the same.
            assert load_config(Path(job.arguments[1]), job.arguments[2:]) == job.config
        return [(o.steps, o.epochs, o.lr) for o in (job.config.optim for job in jobs)]

    assert lengths() == [(None, 2, 0.01), (None, 9, 0.5), (5, None, 0.01)]
    assert lengths("optim.steps=7") == [(7, None, 0.01), (7, None, 0.5), (7, None, 0.01)]
    assert lengths("optim.epochs=3") == [(None, 3, 0.01), (None, 3, 0.5), (None, 3, 0.01)]
    with pytest.raises(ScdnetError, match="found both"):
        lengths("optim.steps=7", "optim.epochs=3")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": {"a": ["optim.lrr=1"]}}, "did you mean 'optim.lr'?"),
        ({"rows": {"a b": [], "a-b": []}}, "two rows map to the same run name"),
        ({"row": {}}, "row: Extra inputs are not permitted, found {}"),
        ({"rows": {}}, "rows: Dictionary should have at least 1 item"),
        ({"rows": {"a": "x=1"}}, "rows.a: Input should be a valid tuple, found 'x=1'"),
        ({"seeds": [0, 0]}, "seeds: Value error, expected one or more distinct values"),
        ({"protocols": []}, "protocols: Tuple should have at least 1 item"),
        ({"config": "gone.yaml"}, "gone.yaml: no such config file"),
        (
            {"overrides": ["seed=5"]},
            "seed=5: rows and seeds of a sweep determine the seed, name, display_name of its runs",
        ),
        ({"rows": {"a": ["name=b"]}}, "name=b: rows and seeds"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_does(
    run, sweep, tmp_path: Path, changes: dict, message: str
):
    done = run("tools/sweep.py", sweep(**changes))
    assert done.status == 2 and message in done.err and not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["display_name=a"], "display_name=a: rows and seeds"),
        (["--gpus", "0,,1"], "expected comma-separated numbers, found '0,,1'"),
        (["--jobs", 0], "expected 1 or more"),
    ],
)
def test_arguments_that_cannot_be_are_refused(
    run, sweep, tmp_path: Path, arguments: list, message: str
):
    done = run("tools/sweep.py", sweep(), *arguments)
    assert done.status == 2 and message in done.err and not (tmp_path / "runs").exists()


def test_shipped_sweeps_are_found_by_name(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    done = run("tools/sweep.py", "method")
    assert done.status == 2 and "did you mean 'methods'?" in done.err
    done = run("tools/sweep.py", "methods", "optim.lrr=1")
    assert done.status == 2 and "did you mean 'optim.lr'?" in done.err


def take_a_step(config: Config) -> float:
    """Return the loss of the first step of a run, and check its masks and the terms of the loss."""
    objective = build_objective(config)
    seed_everything(config.seed)
    training = start_training(config, NTU_25, CPU)
    clips = open_clips(config.data, config.stream, CPU)
    generator = torch.Generator().manual_seed(0)
    views = next(
        clips.training_views([torch.arange(2)], generator, objective.tasks, latent=objective.hiding)
    )
    metrics = dict(zip(training.metric_names, training.step(*views).tolist(), strict=True))
    assert len([name for name in metrics if name.startswith("loss/")]) == len(objective.pairs)
    masks = config.data.views
    if masks.frame_mask_prob and masks.temporal_mask == "segments":
        # Otherwise segments were single frames, which is another row.
        assert masks.num_segments < config.data.num_frames
    return metrics["loss"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_row_of_a_shipped_sweep_takes_a_step_of_its_own(
    jobs_of, small_config: Config, path: Path
):
    """Take a step of each recipe, on fewer sequences and with a narrower encoder."""
    jobs = jobs_of(path)
    small = {
        "name": "any",
        "display_name": "",
        "device": "cpu",
        "data": {"batch_size": 2, "store": small_config.data.store, "benchmark": "xsub"},
        "model": {"base_channels": 8, "embed_dim": 16, "queue_size": 4},
    }
    # Rows that differ in their store alone take the same step.
    loss_of = cache(take_a_step)
    losses = {}
    for job in (job for job in jobs if job.config.seed == 0):
        config = job.config
        loss = loss_of(changed(config, **small))
        losses[config.display_name] = loss, config.optim.epochs, config.data.store
    sweep = yaml.safe_load(path.read_text())
    assert list(losses) == list(sweep["rows"])
    assert len(jobs) == len(sweep.get("seeds", [0, 1, 2])) * len(losses)
    # No two rows are the same training.
    assert len(set(losses.values())) == len(losses)


@pytest.mark.slow
@pytest.mark.end_to_end
def test_a_sweep_that_is_told_to_stop_leaves_no_run_behind(sweep, tmp_path: Path):
    path = sweep(overrides=["optim.epochs=100000"], rows={"MoCo": ROWS["MoCo"]})
    command = [sys.executable, str(ROOT / "tools/sweep.py"), str(path)]
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    log = tmp_path / "runs/tiny/MoCo_seed0.log"
    while not (log.is_file() and "training sequences" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait() == 130
    assert "Checkpoint saved" in log.read_text()
    assert (tmp_path / "runs/tiny/MoCo_seed0/last.pt").is_file()
    assert not (tmp_path / "runs/tiny/MoCo_seed1").exists()


def test_a_file_that_cannot_keep_runs_is_refused_before_anything_runs(run, sweep, tmp_path: Path):
    kept = tmp_path / "kept.jsonl"
    kept.write_text("torn\n")
    (tmp_path / "full").touch()
    for path, message in {
        kept: "kept.jsonl:1: not a line of `scdnet sweep --keep`",
        tmp_path: "is a directory",
        tmp_path / "full/kept.jsonl": "full",
    }.items():
        done = run("tools/sweep.py", sweep(), "--keep", path)
        assert done.status == 2 and message in done.err and done.err.count("\n") == 1
    assert kept.read_text() == "torn\n" and not (tmp_path / "runs").exists()
