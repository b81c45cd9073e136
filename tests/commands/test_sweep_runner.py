"""The jobs of a sweep: when one is complete, and what becomes of those that fail."""

import sys
from typing import ClassVar

import pytest

from scdnet.commands.sweep_runner import Job, Runner
from scdnet.config import Config
from scdnet.errors import ScdnetError
from scdnet.results.results_file import RESULTS


def test_what_is_done_is_known_by_its_results_and_its_config(sweep, jobs_of):
    path = sweep(seeds=[0])
    job, other = jobs_of(path)
    job.run_dir.mkdir(parents=True)
    job.mark_done()
    # Its results are missing.
    assert not job.is_done()
    (job.run_dir / RESULTS).touch()
    assert job.is_done() and not other.is_done()
    assert not jobs_of(sweep(seeds=[0], protocols=["knn", "linear"]))[0].is_done()


def test_a_run_whose_disk_is_full_does_not_stop_the_others(
    sweep, jobs_of, monkeypatch: pytest.MonkeyPatch, capsys
):
    jobs = jobs_of(sweep(seeds=[0, 1]))
    for job in jobs:
        job.run_dir.mkdir(parents=True)
    mark_done = Job.mark_done

    def mark(job: Job) -> None:
        if job.config.seed == 0:
            raise OSError(28, "No space left on device")
        mark_done(job)

    monkeypatch.setattr(Job, "commands", lambda job: [[sys.executable, "-Sc", ""]])
    monkeypatch.setattr(Job, "mark_done", mark)
    assert Runner([None, None]).run(jobs) == [False, False, True, True]
    assert "runs/tiny/MoCo_seed0: [Errno 28] No space left" in capsys.readouterr().err


def test_a_run_that_fails_is_named_with_its_last_line(
    sweep, jobs_of, monkeypatch: pytest.MonkeyPatch, capsys
):
    failing = [sys.executable, "-Sc", "import sys; sys.exit('error: too cold')"]
    monkeypatch.setattr(Job, "commands", lambda job: [failing])
    assert Runner(["0"]).run(jobs_of(sweep(seeds=[0], rows={"MoCo": []}))) == [False]
    err = capsys.readouterr().err
    assert "runs/tiny/MoCo_seed0: status 1; error: too cold (full log: runs/tiny/" in err


def test_what_is_complete_is_kept_and_a_run_that_cannot_be_does_not_stop_the_others(
    sweep, jobs_of, monkeypatch: pytest.MonkeyPatch, capsys
):
    class Kept:
        names: ClassVar[list[str]] = []

        def keep(self, config: Config) -> None:
            if config.name == "MoCo_seed0":
                raise ScdnetError("kept.jsonl: cannot be written (No space left on device)")
            self.names.append(config.name)

    (first, *others) = jobs = jobs_of(sweep(seeds=[0, 1]))
    for job in jobs:
        job.run_dir.mkdir(parents=True)
    # The results of the first are complete already.
    (first.run_dir / RESULTS).touch()
    first.mark_done()
    monkeypatch.setattr(Job, "commands", lambda job: [[sys.executable, "-Sc", ""]])
    assert Runner([None], Kept()).run(jobs) == [job.config.name != "MoCo_seed0" for job in jobs]
    assert Kept.names == [job.config.name for job in jobs if job.config.name != "MoCo_seed0"]
    assert len(others) == 3
    assert "MoCo_seed0: kept.jsonl: cannot be written" in capsys.readouterr().err
