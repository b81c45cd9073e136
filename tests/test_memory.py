"""Memory that is free, and what a user is told when it ran out."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scdnet import memory
from scdnet.errors import ScdnetError
from scdnet.memory import describe_out_of_memory, free_main_memory, is_out_of_memory, memory_advice

ROOT = Path(__file__).parents[1]
# The text of torch 2.11 and newer.
ON_A_GPU = torch.OutOfMemoryError(
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of "
    "which 512.00 MiB is free."
)


def fail(allocate) -> Exception:
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        allocate()
    return caught.value


# Bytes that no machine has.
TOO_MUCH = 40 * 10**12
ON_A_CPU = {
    "torch": lambda: torch.empty(TOO_MUCH // 4),
    "numpy": lambda: np.empty(TOO_MUCH // 8),
}


@pytest.fixture
def _two_gigabytes_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_main_memory", lambda: 2e9)


# The system reports 3 kB of 1024 bytes.
@pytest.mark.parametrize(
    ("limit", "free"), [("max\n", 3072), ("2048\n", 2048), ("9999\n", 3072), (None, 3072)]
)
def test_main_memory_is_what_system_and_container_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, free: int
):
    (tmp_path / "meminfo").write_text("MemTotal:       9 kB\nMemAvailable:       3 kB\n")
    if limit is not None:
        (tmp_path / "limit").write_text(limit)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CONTAINER_LIMIT", tmp_path / "limit")
    monkeypatch.setattr(memory, "CONTAINER_USE", tmp_path / "none")
    assert free_main_memory() == free


def test_a_system_that_reports_no_memory_is_taken_to_have_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "CONTAINER_LIMIT", tmp_path / "none")
    assert free_main_memory() == math.inf
    assert describe_out_of_memory(MemoryError(), "wait") == "out of memory (main memory): wait"


@pytest.mark.usefixtures("_two_gigabytes_are_free")
@pytest.mark.parametrize("library", ON_A_CPU)
def test_main_memory_that_ran_out_is_one_line(library: str):
    text = describe_out_of_memory(fail(ON_A_CPU[library]), "lower data.batch_size")
    asked = text.removeprefix("out of memory (main memory): ").partition(" GB were asked for, ")
    # NumPy rounds.
    assert float(asked[0]) == pytest.approx(40_000, rel=1e-3)
    assert asked[2] == "2.00 GB are free; lower data.batch_size"


def test_memory_of_a_gpu_that_ran_out_is_one_line():
    assert describe_out_of_memory(ON_A_GPU, "lower data.batch_size") == (
        "out of memory (GPU): 2.15 GB were asked for, 0.54 GB are free; lower data.batch_size"
    )


@pytest.mark.parametrize(
    "text", ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"]
)
def test_libraries_of_a_gpu_say_neither_what_they_asked_for_nor_what_is_free(text: str):
    error = RuntimeError(f"{text}\nCompile with TORCH_USE_CUDA_DSA")
    assert is_out_of_memory(error)
    assert describe_out_of_memory(error, "wait") == "out of memory (GPU): wait"


def test_what_a_container_uses_is_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "limit").write_text("8000\n")
    (tmp_path / "use").write_text("7900\n")
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "CONTAINER_LIMIT", tmp_path / "limit")
    monkeypatch.setattr(memory, "CONTAINER_USE", tmp_path / "use")
    assert free_main_memory() == 100


def test_other_errors_are_not_taken_for_it():
    assert is_out_of_memory(ON_A_GPU)
    assert not is_out_of_memory(RuntimeError("cannot allocate a name"))
    with pytest.raises(RuntimeError, match="shapes"), memory_advice("lower data.batch_size"):
        raise RuntimeError("shapes")


@pytest.mark.parametrize("library", ON_A_CPU)
def test_advice_makes_it_an_error_that_a_user_can_fix(library: str):
    with (
        pytest.raises(ScdnetError, match=r"asked for, .*; lower data\.batch_size$"),
        memory_advice("lower data.batch_size"),
    ):
        ON_A_CPU[library]()


def test_a_command_that_runs_out_of_memory_ends_with_one_line():
    program = (
        "import numpy as np\nfrom scdnet.cli import run_command\n"
        f"run_command(lambda: np.empty({TOO_MUCH // 8}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, text=True, capture_output=True, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: out of memory (main memory): ")
    assert line.endswith("lower the batch size or workers, or free memory")
