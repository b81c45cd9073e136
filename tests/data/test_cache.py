import math
from pathlib import Path

import pytest
import torch

from scdnet.data import cache as memory
from scdnet.data.cache import choose_cache, free_memory
from scdnet.errors import ScdnetError

NTU60 = 2_800_000_000


@pytest.mark.parametrize(
    ("free", "place"),
    [
        ({"gpu": 2 * NTU60, "cpu": 0}, "gpu"),  # half of it, exactly
        ({"gpu": 2 * NTU60 - 1, "cpu": 2 * NTU60}, "cpu"),
        ({"gpu": NTU60, "cpu": NTU60}, "none"),
        ({"cpu": 2 * NTU60}, "cpu"),
        ({"cpu": NTU60}, "none"),
        ({"cpu": math.inf}, "cpu"),  # a system that does not say
    ],
)
def test_auto_is_the_first_memory_of_which_the_frames_take_at_most_half(
    free: dict[str, float], place: str
):
    assert choose_cache("auto", NTU60, free) == place


def test_what_is_asked_for_may_fill_the_memory():
    free = {"gpu": NTU60, "cpu": NTU60}
    assert [choose_cache(wanted, NTU60, free) for wanted in ("gpu", "cpu", "none")] == [
        "gpu",
        "cpu",
        "none",
    ]


@pytest.mark.parametrize("wanted", ["gpu", "cpu"])
def test_frames_that_do_not_fit_are_refused(wanted: str):
    with pytest.raises(
        ScdnetError,
        match=f"the frames take 2.80 GB, on the {wanted} 2.00 GB are free; use auto or none",
    ):
        choose_cache(wanted, NTU60, {"gpu": 2e9, "cpu": 2e9})


@pytest.mark.parametrize(
    ("limit", "free"), [("max\n", 3072), ("2048\n", 2048), ("9999\n", 3072), (None, 3072)]
)  # 3 kB of 1024 bytes
def test_main_memory_is_what_system_and_container_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, free: int
):
    (tmp_path / "meminfo").write_text("MemTotal:       9 kB\nMemAvailable:       3 kB\n")
    if limit is not None:
        (tmp_path / "limit").write_text(limit)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CONTAINER_LIMIT", tmp_path / "limit")
    assert free_memory(torch.device("cpu")) == {"cpu": free}


def test_a_system_that_does_not_say_is_taken_to_have_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "CONTAINER_LIMIT", tmp_path / "none")
    assert free_memory(torch.device("cpu")) == {"cpu": math.inf}
