"""Names, paths and addresses of encoders, and the weights that ship."""

import importlib.resources
import shutil
import zipfile
from pathlib import Path

import pytest

from scdnet import load_encoder
from scdnet.engine import locate
from scdnet.engine.checkpoint import CheckpointError
from scdnet.engine.exported import WEIGHTS, open_exported
from scdnet.engine.locate import (
    SHIPPED,
    find_path,
    hash_weights,
    locate_encoder,
    shipped_names,
    state_anywhere,
)
from scdnet.files import file_sha256
from tests.engine.exports import export, ship

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of weights that ship as scdnet-small; the test runs in an empty directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return ship(monkeypatch, tmp_path / "room")


def test_the_names_are_those_of_the_directories(shipped: Path):
    export(shipped.with_name("another.v2"))
    shipped.with_name("__pycache__").mkdir()
    assert shipped_names() == ["another.v2", "scdnet-small"]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_name_is_enough(shipped: Path, kind: type):
    assert locate_encoder(kind("scdnet-small")) == shipped
    assert open_exported(kind("scdnet-small")).sha256 == file_sha256(shipped / WEIGHTS)
    assert load_encoder(kind("scdnet-small")).sizes.embed_dim == 16


def test_only_what_is_an_encoder_here_comes_before_weights_that_ship(shipped: Path):
    here = Path("scdnet-small")
    here.mkdir()
    (here / "notes.txt").touch()
    assert locate_encoder("scdnet-small") == shipped
    (here / "config.json").touch()
    assert locate_encoder("scdnet-small") == here
    shutil.rmtree(here)
    here.touch()
    assert locate_encoder("scdnet-small") == here


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("scdnet-smal", "ship with scdnet; did you mean 'scdnet-small'?"),
        ("qq", "ship with scdnet; known names: another, scdnet-small"),
    ],
)
def test_an_unknown_name_is_one_line_with_the_names_that_exist(
    shipped: Path, source: str, message: str
):
    export(shipped.with_name("another"))
    for load in (load_encoder, open_exported):
        with pytest.raises(CheckpointError) as caught:
            load(source)
        assert str(caught.value).startswith(f"{source}: no such checkpoint or directory, and no")
        assert str(caught.value).endswith(message)


def test_a_path_that_is_missing_is_no_unknown_name(shipped: Path):
    with pytest.raises(CheckpointError) as caught:
        load_encoder("runs/scdnet-smal")
    assert str(caught.value) == "runs/scdnet-smal: no such checkpoint or directory"


def test_an_unknown_name_is_told_if_nothing_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(locate, "SHIPPED", tmp_path)
    with pytest.raises(CheckpointError, match="none ship with this version"):
        load_encoder("scdnet-small")


def test_what_is_stated_means_the_same_in_another_directory(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
):
    export(Path("mine"))
    stated = [state_anywhere(source) for source in ("scdnet-small", Path("mine"))]
    expected = [hash_weights("scdnet-small"), hash_weights("mine")]
    assert stated[0] == "scdnet-small"
    monkeypatch.chdir(shipped.parent)
    assert [hash_weights(source) for source in stated] == expected
    assert state_anywhere(Path("hf://owner/name@v1")) == "hf://owner/name@v1"


def test_the_hash_is_that_of_the_weights(shipped: Path):
    expected = file_sha256(shipped / WEIGHTS)
    assert hash_weights("scdnet-small") == hash_weights(shipped) == expected
    Path("a.pt").write_bytes(b"any")
    assert hash_weights("a.pt") == file_sha256(Path("a.pt"))
    (shipped / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"contains no model\.safetensors"):
        hash_weights("scdnet-small")


def test_an_address_of_the_hub_is_not_looked_for_here(shipped: Path):
    assert find_path("hf://owner/name") is None


def test_the_weights_lie_in_the_package():
    assert Path(str(importlib.resources.files("scdnet.pretrained"))) == SHIPPED


@pytest.mark.parametrize("name", shipped_names())
def test_weights_that_ship_can_be_loaded_and_are_small(name: str):
    assert open_exported(name).skeleton.num_joints > 0
    assert (SHIPPED / name / "README.md").is_file()
    assert sum(path.stat().st_size for path in (SHIPPED / name).iterdir()) < 8e6


@pytest.mark.slow
def test_weights_that_ship_are_in_the_wheel_and_in_the_sdist(tmp_path: Path):
    hatchling = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling")
    from hatchling.builders.sdist import SdistBuilder

    copy = tmp_path / "scdnet"
    ignored = shutil.ignore_patterns(".*", "site", "runs", "node_modules", "__pycache__", "dist")
    shutil.copytree(ROOT, copy, ignore=ignored)
    shutil.copy(ROOT / ".gitignore", copy)
    export(copy / "scdnet/pretrained/tiny")
    (wheel,) = hatchling.WheelBuilder(str(copy)).build(
        directory=str(tmp_path / "dist"), versions=["standard"]
    )
    names = zipfile.ZipFile(wheel).namelist()
    expected = {f"scdnet/pretrained/tiny/{file.name}" for file in copy.glob("**/tiny/*")}
    assert len(expected) == 3 and expected <= set(names)
    (sdist,) = SdistBuilder(str(copy)).build(directory=str(tmp_path / "dist"))
    shutil.unpack_archive(sdist, tmp_path / "sdist", filter="data")
    assert len(list((tmp_path / "sdist").glob("*/scdnet/pretrained/tiny/*"))) == 3
