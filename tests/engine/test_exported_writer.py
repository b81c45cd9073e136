from pathlib import Path

import pytest
import torch

from scdnet.engine.exported import ExportedError, read_exported
from scdnet.engine.exported_writer import check_target
from scdnet.errors import ScdnetError
from tests.engine.exports import export, make_encoder
from tests.faults import largest_file


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_weights_that_are_not_finite_are_not_exported(tmp_path: Path, dtype: str):
    encoder = make_encoder()
    encoder.temporal_stem.units[0].gcn.alpha.data.fill_(torch.nan)
    with pytest.raises(ExportedError, match="NaN or Inf: the training has diverged"):
        export(tmp_path / "e", encoder, dtype=dtype)


def test_weights_beyond_float16_are_not_rounded_to_infinity(tmp_path: Path):
    encoder = make_encoder()
    encoder.spatial_path.project[0].bias.data.fill_(1e5)
    with pytest.raises(ExportedError, match=r"1e\+05 is too large for float16; export float32"):
        export(tmp_path / "e", encoder, dtype="float16")


def test_a_write_that_fails_leaves_the_earlier_export(tmp_path: Path):
    folder = export(tmp_path / "e")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    encoder = make_encoder()
    encoder.spatial_path.project[0].bias.data.fill_(1)
    with largest_file(1000), pytest.raises(ScdnetError, match="cannot be written"):
        export(folder, encoder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]


def test_a_first_write_that_fails_leaves_nothing(tmp_path: Path):
    with largest_file(1000), pytest.raises(ScdnetError, match="cannot be written"):
        export(tmp_path / "e")
    assert not list(tmp_path.iterdir())


def test_an_earlier_export_is_replaced_with_all_its_files(tmp_path: Path):
    folder = export(tmp_path / "e")
    (folder / "head.safetensors").write_text("of the earlier one")
    export(folder)
    read_exported(folder)
    assert not (folder / "head.safetensors").exists()
    assert list(tmp_path.iterdir()) == [folder]


def test_a_directory_that_exists_is_refused_unless_it_may_be_replaced(tmp_path: Path):
    folder = export(tmp_path / "e")
    with pytest.raises(ScdnetError, match="exists; choose another --out"):
        check_target(folder, overwrite=False)
    check_target(folder, overwrite=True)


@pytest.mark.parametrize("place", ["e", "e.tmp", "e.old.tmp"])
def test_a_directory_with_anything_else_is_never_replaced(tmp_path: Path, place: str):
    (tmp_path / place).mkdir()
    (tmp_path / place / "thesis.tex").write_text("mine")
    with pytest.raises(ScdnetError, match=r"is replaced, found thesis\.tex"):
        check_target(tmp_path / "e", overwrite=True)


def test_a_file_is_not_replaced_by_a_directory(tmp_path: Path):
    (tmp_path / "e").write_text("mine")
    with pytest.raises(ScdnetError, match="is a file"):
        check_target(tmp_path / "e", overwrite=True)
