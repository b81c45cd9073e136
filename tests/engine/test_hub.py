import shutil
import sys
from pathlib import Path

import pytest
import torch

from scdnet import load_encoder
from scdnet.engine.hub import HubError, find_hub_name
from tests.engine.exports import export, make_encoder

hub = pytest.importorskip("huggingface_hub", reason="needs the extra hub")
COMMIT = 40 * "a"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("hf://owner/name", "owner/name"),
        ("hf://owner/na.me-2@v1.0", "owner/na.me-2@v1.0"),
        (Path("hf://owner/name"), "owner/name"),
        ("runs/demo/last.pt", None),
        (Path("hf/owner"), None),
    ],
)
def test_the_name_of_an_encoder_is_told_from_a_path(source: str | Path, name: str | None):
    assert find_hub_name(source) == name


@pytest.mark.parametrize("source", ["hf://name", "hf://a/b/c", "hf://../..?x/y", "hf://"])
def test_a_name_without_an_owner_is_an_error(source: str):
    with pytest.raises(HubError, match="expected hf://OWNER/NAME"):
        load_encoder(source)


def test_an_encoder_is_loaded_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = export(tmp_path / "e")
    asked = []

    def download(repository: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repository, revision, allow_patterns))
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", download)
    files = ["config.json", "model.safetensors", "head.safetensors"]
    expected = make_encoder().state_dict()
    for source in ("hf://owner/name", "hf://owner/name@v1"):
        found = load_encoder(source).state_dict()
        assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert asked == [("owner/name", None, files), ("owner/name", "v1", files)]


@pytest.mark.parametrize(
    "error",
    [
        hub.errors.OfflineModeIsEnabled("offline"),
        hub.errors.LocalEntryNotFoundError("no network\nand more lines"),
        hub.errors.HFValidationError("bad name"),
        OSError("disk"),
    ],
)
def test_what_cannot_be_downloaded_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception):
    def download(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(hub, "snapshot_download", download)
    with pytest.raises(HubError) as caught:
        load_encoder("hf://owner/name")
    assert str(caught.value).startswith("hf://owner/name: cannot be downloaded")
    assert "more lines" not in str(caught.value)


def test_the_cache_is_enough_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Uses huggingface_hub itself, on a cache as a download leaves it."""
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(HubError, match="cannot be downloaded, and is not in the cache"):
        load_encoder("hf://owner/name")
    repository = tmp_path / "cache" / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    shutil.copytree(export(tmp_path / "e"), repository / "snapshots" / COMMIT)
    found = load_encoder("hf://owner/name").state_dict()
    assert all(torch.equal(x, found[name]) for name, x in make_encoder().state_dict().items())


def test_without_huggingface_hub_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(HubError, match=r"pip install 'scdnet\[hub\]'"):
        load_encoder("hf://owner/name")
