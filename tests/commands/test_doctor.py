"""The doctor as a command: a line for each finding, the first problem named, and its exit status."""

from pathlib import Path

ROW = ("device", "versions", "model", "store", "frames", "batch", "disk")


def test_a_run_that_can_start(run, config_path: Path):
    result = run("tools/doctor.py", "-c", config_path)
    assert result.status == 0
    lines = result.out.splitlines()
    assert tuple(line.split()[0] for line in lines) == ROW
    assert all(line.endswith("  ok") for line in lines)
    assert len({len(line) for line in lines}) == 1  # aligned


def test_the_first_problem_is_named_at_the_end(run, config_path: Path):
    result = run("tools/doctor.py", "-c", config_path, "model.queue_size=5", "data.cache=gpu")
    assert result.status == 1
    lines = result.out.splitlines()
    assert tuple(line.split()[0] for line in lines[:-1]) == ROW
    assert [line.split()[0] for line in lines if "  problem: " in line] == ["frames", "batch"]
    assert lines[-1].startswith("first problem: frames: data.cache: gpu was asked for")
    assert result.err == ""


def test_bad_input_is_status_2(run, config_path: Path):
    result = run("tools/doctor.py", "-c", config_path, "optim.epoch=3")
    assert result.status == 2
    assert "did you mean 'optim.epochs'?" in result.err
    assert result.out == ""
