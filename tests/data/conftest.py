"""Small stores for the tests of their reader and writer."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from scdnet.data.store import SkeletonSequence
from scdnet.data.store_writer import StoreWriter
from scdnet.skeletons import NTU_25


@pytest.fixture(scope="session")
def make_sequences() -> Callable[..., list[SkeletonSequence]]:
    """Return a function that makes sequences of random joints of given lengths in frames."""

    def make(lengths: Sequence[int] = (3, 1, 5)) -> list[SkeletonSequence]:
        rng = np.random.default_rng(0)
        return [
            SkeletonSequence(
                frames=rng.normal(size=(length, 2, 25, 3)).astype(np.float32),
                name=f"seq{i:04}",
                label=i % 3,
                subject=10 + i,
                camera=i,
            )
            for i, length in enumerate(lengths)
        ]

    return make


@pytest.fixture
def path(tmp_path: Path, make_sequences) -> Path:
    """Write a store of three sequences; the training split of x-sub is the first two."""
    path = tmp_path / "store.h5"
    with StoreWriter(
        path, skeleton=NTU_25, dataset="synthetic", class_names=("a", "b", "ü"), created_by="a test"
    ) as writer:
        for sequence in make_sequences():
            writer.append(sequence)
        writer.finish({"xsub": writer.table().subject < 12})
    return path
