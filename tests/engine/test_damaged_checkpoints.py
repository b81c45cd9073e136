"""Whatever happened to the bytes of a checkpoint: a named error, never another number."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scdnet.engine.checkpoint import CONTENT, CheckpointError, read_checkpoint, save_checkpoint
from tests.engine.runs import flatten, is_same

# The distance of the places that are tried; the claims hold for 1 too.
STRIDE = 7


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint."""
    path = tmp_path_factory.mktemp("whole") / "some.pt"
    model = {
        "weight": torch.randn(7, 13, generator=torch.Generator().manual_seed(0)),
        "count": torch.arange(5),
    }
    save_checkpoint(
        path, {**{key: kind() for key, kind in CONTENT.items()}, "epoch": 3, "model": model}
    )
    return path


@pytest.fixture
def outcome(whole: Path, tmp_path: Path) -> Callable[[bytes], str]:
    """`outcome(content)` of reading bytes: "refused", "same" or "other"."""
    path = tmp_path / "damaged.pt"
    expected = flatten(read_checkpoint(whole).state)

    def read(content: bytes) -> str:
        path.write_bytes(content)
        try:
            found = flatten(read_checkpoint(path).state)
        except CheckpointError as error:
            refusals = (f"{path}: not a readable checkpoint", f"{path}: expected a checkpoint")
            return "refused" if str(error).startswith(refusals) else str(error)
        are_same = found.keys() == expected.keys() and all(
            is_same(x, expected[key]) for key, x in found.items()
        )
        return "same" if are_same else "other"

    return read


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]


def test_a_flipped_bit_in_a_tensor_is_found(whole: Path, outcome: Callable[[bytes], str]):
    content = whole.read_bytes()
    with zipfile.ZipFile(whole) as archive:
        (data,) = (archive.read(name) for name in archive.namelist() if name.endswith("data/0"))
    assert len(data) == 7 * 13 * 4
    places = range(content.index(data), content.index(data) + len(data))
    assert {outcome(flipped(content, place)) for place in places} == {"refused"}


def test_a_flipped_bit_elsewhere_is_found_or_of_no_weight(
    whole: Path, outcome: Callable[[bytes], str]
):
    content = whole.read_bytes()
    assert {outcome(flipped(content, place)) for place in range(0, len(content), STRIDE)} == {
        "refused",
        "same",
    }


def test_a_record_that_is_marked_as_a_directory_is_found(
    whole: Path, outcome: Callable[[bytes], str]
):
    content = whole.read_bytes()
    with zipfile.ZipFile(whole) as archive:
        names = archive.namelist()
    # The name follows after the attributes and the place of the record, 4 bytes each.
    places = [content.rindex(name.encode()) - 8 for name in names]
    for place in places:
        marked = content[:place] + b"\x10" + content[place + 1 :]
        assert outcome(marked) == "refused", place


def test_a_file_that_was_zipped_again_with_its_folder_is_read(
    whole: Path, tmp_path: Path, outcome: Callable[[bytes], str]
):
    path = tmp_path / "again.zip"
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(path, "w") as again:
        again.mkdir("archive")
        for name in archive.namelist():
            again.writestr(name, archive.read(name))
    assert outcome(path.read_bytes()) == "same"


def test_a_torn_file_is_found(whole: Path, outcome: Callable[[bytes], str]):
    content = whole.read_bytes()
    sizes = [*range(0, len(content), STRIDE), len(content) - 1]
    assert {outcome(content[:size]) for size in sizes} == {"refused"}


def test_a_missing_byte_is_found(whole: Path, outcome: Callable[[bytes], str]):
    content = whole.read_bytes()
    assert {
        outcome(content[:place] + content[place + 1 :]) for place in range(0, len(content), STRIDE)
    } == {"refused"}
