"""Checks before something is drawn, and what is drawn; importable without matplotlib."""

from collections.abc import Collection
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scdnet.data.store import SequenceStore
from scdnet.errors import ScdnetError
from scdnet.files import check_writable
from scdnet.skeleton import Skeleton


class Drawing(NamedTuple):
    """A sequence to draw."""

    name: str
    class_name: str
    # Normalized; absent bodies are zero. In 3-D z is up and body 0 first faces +y, in 2-D y is up.
    frames: np.ndarray  # (T, M, V, C)
    skeleton: Skeleton
    # Draw a border around it.
    is_marked: bool = False


def check_picture(path: Path, suffixes: Collection[str] = (".png", ".gif")) -> None:
    """Raise ScdnetError if a picture cannot be drawn into the file `path`.

    It needs one of `suffixes`, a directory that takes it, and matplotlib.
    """
    if find_spec("matplotlib") is None:
        raise ScdnetError("drawing needs matplotlib: pip install scdnet[plot]")
    if path.suffix.lower() not in suffixes:
        raise ScdnetError(f"{path}: expected a name that ends in {' or '.join(suffixes)}")
    check_writable(path)


def find_sequence(store: SequenceStore, name: str) -> int:
    """Return the index of the sequence called `name`.

    Raises ScdnetError, with the most similar names, if there is none.
    """
    found = np.flatnonzero(store.table.name == name)
    if not len(found):
        similar = get_close_matches(name, store.table.name.tolist(), n=3, cutoff=0)
        raise ScdnetError(
            f"{store.path}: no sequence {name!r}; most similar names: {', '.join(similar)}"
        )
    return int(found[0])
