"""Numbers of numpy in checkpoints are read, and nothing else of numpy."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from scdnet import load_encoder
from scdnet.engine.checkpoint import CheckpointError, read_checkpoint
from scdnet.engine.numpy_scalars import build_scalar

NUMBERS_OF_NUMPY = [
    np.float64(86.6),
    np.float32(0.5),
    np.float16(0.25),
    np.int64(-3),
    np.int32(7),
    np.uint8(200),
    np.bool_(True),
]


@pytest.mark.parametrize("number", NUMBERS_OF_NUMPY, ids=lambda number: number.dtype.name)
@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_numbers_of_numpy_are_read(tmp_path: Path, number: np.generic, module: bytes):
    """As files contain them in which somebody kept a best accuracy; in torch's older format."""
    path = tmp_path / "best.pth"
    state = {"epoch": number, "state_dict": {"x": torch.ones(2)}}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    written = path.read_bytes()
    found = next(m for m in (b"numpy._core.multiarray", b"numpy.core.multiarray") if m in written)
    path.write_bytes(written.replace(found, module))
    read = read_checkpoint(path).state
    assert read["epoch"] == number and read["epoch"].dtype == number.dtype
    assert torch.equal(read["state_dict"]["x"], torch.ones(2))


def test_the_epoch_is_a_plain_number(tmp_path: Path):
    torch.save({"epoch": np.int64(451)}, tmp_path / "a.pth")
    assert type(read_checkpoint(tmp_path / "a.pth").epoch) is int
    torch.save({"epoch": "last"}, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").epoch is None


class Attack:
    def __reduce__(self) -> tuple:
        return (print, ("run",))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (np.arange(3), "numpy._core.multiarray._reconstruct"),
        ({"a": np.array([Attack()], dtype=object)}, "numpy._core.multiarray._reconstruct"),
        ({"best": np.float64(1), "hook": Attack()}, "builtins.print"),
        ({"day": np.datetime64("2026-01-01")}, ""),
    ],
)
def test_other_content_is_refused_by_its_name(tmp_path: Path, content: object, name: str):
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError) as error:
        load_encoder(tmp_path / "bad.pth", num_heads=2)
    assert name in str(error.value) and "weights_only" not in str(error.value)
    assert "safe checkpoint" in str(error.value) or "not a readable checkpoint" in str(error.value)


def test_admitting_numbers_of_numpy_is_over_after_reading(tmp_path: Path):
    torch.save({"epoch": np.float64(1)}, tmp_path / "a.pth")
    read_checkpoint(tmp_path / "a.pth")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "a.pth", weights_only=True)


@pytest.mark.parametrize(
    ("dtype", "content"),
    [("O", b"12345678"), ("V8", b"12345678"), ("M8[s]", b"12345678"), ("f8", "text"), ("f8", b"1")],
)
def test_what_is_no_number_is_refused(dtype: str, content: object):
    with pytest.raises(ValueError, match=r"expected a number|buffer"):
        build_scalar(np.dtype(dtype), content)
