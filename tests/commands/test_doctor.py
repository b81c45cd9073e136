"""The doctor as a command: a row for each check, the first problem named, and its exit status."""

from pathlib import Path

CHECKS = ["device", "versions", "model", "store", "frames", "batch", "disk"]


def test_a_run_that_can_start(run, config_path: Path):
    result = run("tools/doctor.py", "-c", config_path)
    assert result.status == 0
    header, _, *rows = result.out.splitlines()
    assert header.split() == ["check", "result", "details"]
    assert [row.split()[:2] for row in rows] == [[check, "ok"] for check in CHECKS]
    # The details are aligned.
    assert {row.rstrip()[header.index("details") - 1] for row in rows} == {" "}


def test_the_first_problem_is_named_at_the_end(run, config_path: Path):
    result = run("tools/doctor.py", "-c", config_path, "model.queue_size=5", "data.cache=gpu")
    assert result.status == 1
    _, _, *rows, empty, last = result.out.splitlines()
    assert [row.split()[0] for row in rows] == CHECKS
    assert [row.split()[0] for row in rows if row.split()[1] == "problem"] == ["frames", "batch"]
    assert empty == ""
    assert last.startswith("first problem: frames: data.cache: gpu needs a run on a GPU")
    assert result.err == ""


def test_bad_input_is_status_2(run, config_path: Path):
    result = run("tools/doctor.py", "-c", config_path, "optim.epoch=3")
    assert result.status == 2
    assert "did you mean 'optim.epochs'?" in result.err
    assert result.out == ""
