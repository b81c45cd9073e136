"""Synthetic recordings in the file formats of NTU RGB+D and PKU-MMD; a plugin of fixtures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from scdnet.data.store import SequenceStore, SkeletonSequence, open_sequences
from scdnet.data.store_writer import StoreWriter
from scdnet.raw.ntu import Body, format_skeleton
from scdnet.skeletons import NTU_25


@pytest.fixture(scope="session")
def skeleton_text() -> Callable[..., str]:
    """Formats a recording of random joints, given the number of bodies in each frame."""

    def make(bodies_per_frame: Sequence[int] = (1, 1, 1), seed: int = 0) -> str:
        rng = np.random.default_rng(seed)
        return format_skeleton(
            [[Body(m, rng.normal(size=(25, 3))) for m in range(n)] for n in bodies_per_frame]
        )

    return make


class PkuVideo(NamedTuple):
    """A synthetic video of PKU-MMD; the labels are lines of text."""

    frames: np.ndarray  # (T, M, V, C)
    labels: Sequence[str]

    @classmethod
    def of(cls, bodies_per_frame: Sequence[int], *labels: str, seed: int = 0) -> "PkuVideo":
        """Draw random joints; absent bodies are zero."""
        frames = np.random.default_rng(seed).normal(size=(len(bodies_per_frame), 2, 25, 3)).round(6)
        for frame, count in zip(frames, bodies_per_frame, strict=True):
            frame[count:] = 0
        return cls(frames, labels)

    @property
    def text(self) -> str:
        """Format the skeletons as published, one frame per line."""
        line = " ".join(["%.6f"] * 150) + " \n"
        return "".join(line % tuple(frame) for frame in self.frames.reshape(-1, 150).tolist())


class PkuTree(NamedTuple):
    """The folders of a synthetic PKU-MMD."""

    root: Path
    videos: Path
    labels: Path
    splits: Path

    @classmethod
    def below(
        cls, root: Path, videos: str = "skeleton", labels: str = "label", splits: str = "split"
    ) -> "PkuTree":
        """Make the folders."""
        tree = cls(root, root / videos, root / labels, root / splits)
        for folder in tree[1:]:
            folder.mkdir(parents=True, exist_ok=True)
        return tree

    def write(self, videos: Mapping[str, PkuVideo]) -> None:
        """Write the skeletons and labels of all videos."""
        for name, video in videos.items():
            (self.videos / f"{name}.txt").write_text(video.text)
            (self.labels / f"{name}.txt").write_text("".join(f"{line}\n" for line in video.labels))

    def write_split(self, file: str, train: Sequence[str], test: Sequence[str]) -> None:
        """Write a split file as published: comma-separated names, and a comma after the last."""
        lines = (
            "Training videos:",
            ", ".join(train) + ",",
            "Validataion videos:",
            ", ".join(test) + ", ",
        )
        (self.splits / file).write_text("\n".join(lines) + "\n")


EIGHT_FRAMES = (1, 1, 2, 2, 2, 1, 1, 1)
THREE_LABELS = ("1,1,3,2", "51,6,8,2", "14,3,5,1")
# With twelve labels there are indices of two digits.
TWELVE_LABELS = tuple(f"{number},{number},{number},2" for number in range(1, 13))
PKU1 = {
    "0002-L": PkuVideo.of(EIGHT_FRAMES, *THREE_LABELS, seed=1),
    "0002-M": PkuVideo.of(EIGHT_FRAMES, *THREE_LABELS, seed=2),
    "0002-R": PkuVideo.of(EIGHT_FRAMES, *THREE_LABELS, seed=3),
    "0364-L": PkuVideo.of((1,) * 12, *TWELVE_LABELS, seed=4),
    "0364-R": PkuVideo.of((2,) * 5, "30,1,5,2", seed=5),
}
PKU2 = {
    "A01N01-L": PkuVideo.of((1, 2, 2), "4,1,2,1", "9,3,3,1", seed=6),
    "A01N12-M": PkuVideo.of((1, 1, 1), "9,2,3,2", seed=7),
    "A26N03-R": PkuVideo.of((2, 2, 2, 2), "14,1,4,1", seed=8),
}


@pytest.fixture
def pku1(tmp_path: Path) -> PkuTree:
    """Part I: all three cameras, two bodies, actions at the first and the last frame."""
    tree = PkuTree.below(tmp_path / "pku1")
    tree.write(PKU1)
    tree.write_split("cross-subject.txt", ["0002-L", "0002-M", "0002-R"], ["0364-L", "0364-R"])
    tree.write_split("cross-view.txt", ["0002-L", "0002-M", "0364-L"], ["0002-R", "0364-R"])
    return tree


@pytest.fixture
def pku2(tmp_path: Path) -> PkuTree:
    """Part II."""
    tree = PkuTree.below(tmp_path / "pku2")
    tree.write(PKU2)
    tree.write_split("cross_subject_v2.txt", ["A01N01-L", "A26N03-R"], ["A01N12-M"])
    tree.write_split("cross_view_v2.txt", ["A01N01-L", "A01N12-M"], ["A26N03-R"])
    return tree


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., SequenceStore]:
    """Writes a store of the given sequences, sorted by name, and opens it."""

    def make(
        sequences: Sequence[SkeletonSequence],
        class_names: Sequence[str],
        *,
        dataset: str = "synthetic",
        splits: Mapping[str, Sequence[bool]] | None = None,
    ) -> SequenceStore:
        path = tmp_path / "store.h5"
        with StoreWriter(
            path,
            skeleton=NTU_25,
            dataset=dataset,
            class_names=tuple(class_names),
            created_by="a test",
        ) as writer:
            for sequence in sequences:
                writer.append(sequence)
            writer.finish({key: np.array(is_train) for key, is_train in (splits or {}).items()})
        return open_sequences(path)

    return make
