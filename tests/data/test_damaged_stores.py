"""A store that lacks bytes at any place gives an error that names the file."""

from pathlib import Path

import numpy as np
import pytest

from scdnet.data.store import StoreError, open_sequences
from tests.conftest import write_synthetic_store

PLACES = 50


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a store of several chunks of frames."""
    return write_synthetic_store(tmp_path_factory.mktemp("whole") / "store.h5", per_split=4)


def assert_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError) as error:
        read_all(path)
    assert str(error.value).startswith(f"{path}: ")


def read_all(path: Path) -> None:
    with open_sequences(path) as store:
        for sequence in store:
            assert sequence.frames.size


def test_a_missing_byte_at_a_random_place_is_found(whole: Path, tmp_path: Path):
    content = whole.read_bytes()
    # The front of the file states its length.
    head = range(0, 4096, 97)
    for place in [*np.random.default_rng(0).integers(len(content), size=PLACES).tolist(), *head]:
        assert_refused(tmp_path / "damaged.h5", content[:place] + content[place + 1 :])


def test_a_missing_end_is_found(whole: Path, tmp_path: Path):
    content = whole.read_bytes()
    sizes = np.random.default_rng(1).integers(len(content), size=PLACES).tolist()
    for size in [len(content) - 1, 0, *sizes]:
        assert_refused(tmp_path / "damaged.h5", content[:size])
