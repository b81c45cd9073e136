import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scdnet.engine.device import (
    disable_malloc_trim,
    gpu_memory_gb,
    random_states,
    resolve_device,
    restore_random_states,
    seed_everything,
)
from scdnet.errors import ScdnetError


def test_auto_is_a_gpu_where_there_is_one():
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu").type == "cpu"


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ScdnetError, match="cuda was requested, but torch finds no GPU"):
        resolve_device("cuda")


def test_seed_reaches_every_source_of_chance():
    drawn = []
    for _ in range(2):
        seed_everything(3)
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]


def test_random_states_can_be_restored():
    states = random_states()
    first = torch.rand(4)
    restore_random_states(states)
    assert torch.equal(torch.rand(4), first)


def test_malloc_is_told_to_keep_memory(monkeypatch: pytest.MonkeyPatch):
    calls = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(
        "ctypes.CDLL", lambda name: SimpleNamespace(mallopt=lambda *call: calls.append(call))
    )
    disable_malloc_trim()
    # M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD of malloc.h.
    assert calls == [(-4, 0), (-1, -1), (-2, 64 * 2**20)]


def test_a_c_library_without_mallopt_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    disable_malloc_trim()


def test_memory_of_a_gpu_is_the_peak_since_the_last_look(monkeypatch: pytest.MonkeyPatch):
    held = [3e9]
    monkeypatch.setattr(torch.accelerator, "max_memory_reserved", lambda device: max(held))
    monkeypatch.setattr(torch.accelerator, "reset_peak_memory_stats", lambda device: held.clear())
    assert gpu_memory_gb(torch.device("cpu")) is None
    assert gpu_memory_gb(torch.device("cuda")) == 3
    held.append(1e9)
    assert gpu_memory_gb(torch.device("cuda")) == 1


def test_more_ranks_than_gpus_are_an_error(monkeypatch: pytest.MonkeyPatch, ranks_of):
    ranks_of(LOCAL_RANK="0", LOCAL_WORLD_SIZE="2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ScdnetError, match="2 ranks on a machine with 1 GPUs"):
        resolve_device("auto")
