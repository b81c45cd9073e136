"""Made-up recordings for the converters' tests."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from scdnet.data.store import SequenceStore, SkeletonSequence, open_sequences
from scdnet.data.store_writer import StoreWriter
from scdnet.raw.skeleton_file import Body, format_skeleton


@pytest.fixture(scope="session")
def skeleton_text() -> Callable[[Sequence[int]], str]:
    """Text of a recording of random joints, given the number of bodies in each frame."""

    def make(bodies_per_frame: Sequence[int] = (1, 1, 1), seed: int = 0) -> str:
        rng = np.random.default_rng(seed)
        return format_skeleton(
            [[Body(m, rng.normal(size=(25, 3))) for m in range(n)] for n in bodies_per_frame]
        )

    return make


class PkuVideo(NamedTuple):
    """A made-up video of PKU-MMD."""

    frames: np.ndarray  # (T, M, V, C)
    labels: Sequence[str]  # lines

    @classmethod
    def of(cls, bodies_per_frame: Sequence[int], *labels: str, seed: int = 0) -> "PkuVideo":
        """Random joints; a body that is not there is zero."""
        frames = np.random.default_rng(seed).normal(size=(len(bodies_per_frame), 2, 25, 3)).round(6)
        for frame, count in zip(frames, bodies_per_frame, strict=True):
            frame[count:] = 0
        return cls(frames, labels)

    @property
    def text(self) -> str:
        """As published: a line per frame."""
        return "".join(
            " ".join(f"{value:.6f}" for value in frame.ravel()) + " \n" for frame in self.frames
        )


class PkuTree(NamedTuple):
    """Where a made-up tree lies."""

    root: Path
    videos: Path  # folders
    labels: Path
    splits: Path

    @classmethod
    def below(
        cls, root: Path, videos: str = "skeleton", labels: str = "label", splits: str = "split"
    ) -> "PkuTree":
        """The folders, made."""
        tree = cls(root, root / videos, root / labels, root / splits)
        for folder in tree[1:]:
            folder.mkdir(parents=True, exist_ok=True)
        return tree

    def write(self, videos: Mapping[str, PkuVideo]) -> None:
        """The skeletons and labels of all videos."""
        for name, video in videos.items():
            (self.videos / f"{name}.txt").write_text(video.text)
            (self.labels / f"{name}.txt").write_text("".join(f"{line}\n" for line in video.labels))

    def write_split(self, file: str, train: Sequence[str], test: Sequence[str]) -> None:
        """A split file as published: names with commas between, also after the last."""
        lines = (
            "Training videos:",
            ", ".join(train) + ",",
            "Validataion videos:",
            ", ".join(test) + ", ",
        )
        (self.splits / file).write_text("\n".join(lines) + "\n")


PKU1 = {
    "0002-L": PkuVideo.of((1, 1, 2, 2, 2, 1, 1, 1), "1,1,3,2", "51,6,8,2", "14,3,5,1", seed=1),
    "0002-M": PkuVideo.of((1, 1, 2, 2, 2, 1, 1, 1), "1,1,3,2", "51,6,8,2", "14,3,5,1", seed=2),
    "0002-R": PkuVideo.of((1, 1, 2, 2, 2, 1, 1, 1), "1,1,3,2", "51,6,8,2", "14,3,5,1", seed=3),
    "0364-L": PkuVideo.of(
        (1,) * 12, *(f"{c},{c},{c},2" for c in range(1, 13)), seed=4
    ),  # indices 10 and 11
    "0364-R": PkuVideo.of((2,) * 5, "30,1,5,2", seed=5),
}
PKU2 = {
    "A01N01-L": PkuVideo.of((1, 2, 2), "4,1,2,1", "9,3,3,1", seed=6),
    "A01N12-M": PkuVideo.of((1, 1, 1), "9,2,3,2", seed=7),
    "A26N03-R": PkuVideo.of((2, 2, 2, 2), "14,1,4,1", seed=8),
}


@pytest.fixture
def pku1(tmp_path) -> PkuTree:
    """Part I, flat: all three cameras, two bodies, actions at the first and last frame, one of them longest."""
    tree = PkuTree.below(tmp_path / "pku1")
    tree.write(PKU1)
    tree.write_split("cross-subject.txt", ["0002-L", "0002-M", "0002-R"], ["0364-L", "0364-R"])
    tree.write_split("cross-view.txt", ["0002-L", "0002-M", "0364-L"], ["0002-R", "0364-R"])
    return tree


@pytest.fixture
def pku2(tmp_path) -> PkuTree:
    """Part II."""
    tree = PkuTree.below(tmp_path / "pku2")
    tree.write(PKU2)
    tree.write_split("cross_subject_v2.txt", ["A01N01-L", "A26N03-R"], ["A01N12-M"])
    tree.write_split("cross_view_v2.txt", ["A01N01-L", "A01N12-M"], ["A26N03-R"])
    return tree


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., SequenceStore]:
    """Writes a store of the given sequences, whose names rise, and opens it."""

    def make(
        sequences: Sequence[SkeletonSequence],
        class_names: Sequence[str],
        *,
        dataset: str = "made up",
        splits: Mapping[str, Sequence[bool]] | None = None,
    ) -> SequenceStore:
        path = tmp_path / "store.h5"
        with StoreWriter(
            path, dataset=dataset, class_names=tuple(class_names), created_by="a test"
        ) as writer:
            for sequence in sequences:
                writer.append(sequence)
            writer.finish({key: np.array(is_train) for key, is_train in (splits or {}).items()})
        return open_sequences(path)

    return make
