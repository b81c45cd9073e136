"""The features of windows of recordings as a file (docs/data/features.md)."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from torch import Tensor

from scdnet.data.checked_file import CHUNK_BYTES, LIBVER, seal_texts, write_dataset
from scdnet.eval.feature_file import (
    FeatureFileError,
    open_features,
    read_attributes,
    reading,
)
from scdnet.files import PatientFile, atomic_write
from scdnet.skeleton import Skeleton

FORMAT = "scdnet-embedding"
VERSION = 1
# Each error over damage ends with what to do.
CURE = "restore a copy, or embed the recordings with `scdnet embed` again"
OTHER_FEATURES = "features of scdnet extract are searched by scdnet classify"
# A file takes at least as much as this many windows, since it does not know how many will come.
CHUNK_ROWS = 64
# Bytes of features that are read at a time.
READ_BYTES = 2**26


@dataclass(frozen=True)
class EmbeddingOrigin:
    """Origin of the features of windows: the encoder, the recordings and the windows."""

    # A path, and the hash of the weights.
    encoder: str
    encoder_sha256: str
    stream: str
    skeleton: Skeleton
    # The file, folder or zip of the recordings.
    root: str
    # These describe them, as the options of the command: layout, unit, ...
    capture: dict[str, Any]
    # Frames of a second of the recordings.
    fps: float
    # The length of a window and the distance of two, in frames; 0: each recording is one row.
    window: int
    stride: int


class Block(NamedTuple):
    """Features of successive windows of one recording."""

    source: str
    # The length of the whole recording.
    num_frames: int
    # The first and the last frame of each window, counted from 0.
    first: np.ndarray  # (n,) int64
    last: np.ndarray  # (n,) int64
    x: np.ndarray  # (n, D) float32


@dataclass
class Rows:
    """The windows of a file, without their features; a recording is an index of `source`."""

    source: list[str] = field(default_factory=list)
    num_frames: list[int] = field(default_factory=list)
    recording: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)

    def add(self, block: Block) -> None:
        """Append the windows of a block; those of one recording come one after the other."""
        if not self.source or self.source[-1] != block.source:
            self.source.append(block.source)
            self.num_frames.append(block.num_frames)
        self.recording += [len(self.source) - 1] * len(block.first)
        self.first += block.first.tolist()
        self.last += block.last.tolist()

    def seconds(self, fps: float) -> dict[str, np.ndarray]:
        """Return the seconds (N,) at which windows begin and end."""
        return {
            "start_seconds": np.array(self.first) / fps,
            "end_seconds": (np.array(self.last) + 1) / fps,
        }


class WriteSummary(NamedTuple):
    """Size of a file that has been written."""

    num_rows: int
    width: int
    num_recordings: int


def write_embedding(
    path: Path, origin: EmbeddingOrigin, blocks: Iterable[Block]
) -> WriteSummary | None:
    """Write the blocks in the format of the suffix of `path`, whole or not at all.

    HDF5 and CSV are written block by block, so that memory does not grow with the features.
    Without a block nothing is written and the result is None.
    """
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None:
        return None
    rows = Rows()
    width = first.x.shape[1]
    with atomic_write(path) as disk:
        WRITERS[path.suffix.lower()](
            disk, origin, _gather(chain([first], blocks), rows, disk), rows
        )
    return WriteSummary(len(rows.first), width, len(rows.source))


def _gather(blocks: Iterable[Block], rows: Rows, disk: PatientFile) -> Iterator[Block]:
    """Yield the blocks, after their rows have been noted, as long as the disk takes them."""
    for block in blocks:
        rows.add(block)
        yield block
        disk.check()


def _write_h5(
    disk: PatientFile, origin: EmbeddingOrigin, blocks: Iterable[Block], rows: Rows
) -> None:
    with h5py.File(disk, "w", libver=LIBVER) as file:
        features = None
        for block in blocks:
            num, width = block.x.shape
            if features is None:
                features = file.create_dataset(
                    "features",
                    shape=(0, width),
                    maxshape=(None, width),
                    chunks=(min(CHUNK_ROWS, max(1, CHUNK_BYTES // block.x[0].nbytes)), width),
                    dtype=np.float32,
                    fletcher32=True,
                )
            features.resize(len(features) + num, axis=0)
            features[-num:] = block.x
        # The texts of attributes come after the features, which need not be read to find them.
        file.flush()
        end_of_features = file.id.get_filesize()
        write_dataset(file, "source", np.array(rows.source))
        write_dataset(file, "num_frames", np.array(rows.num_frames))
        write_dataset(file, "recording", np.array(rows.recording))
        write_dataset(file, "first_frame", np.array(rows.first))
        write_dataset(file, "last_frame", np.array(rows.last))
        for key, seconds in rows.seconds(origin.fps).items():
            write_dataset(file, key, seconds)
        facts = vars(origin) | {
            "skeleton": json.dumps(origin.skeleton.to_dict()),
            "capture": json.dumps(origin.capture),
        }
        file.attrs.update(facts, format=FORMAT, version=VERSION)
        file.flush()
        disk.check()
        seal_texts(file, disk.path, first=end_of_features)


def _write_npz(
    disk: PatientFile, origin: EmbeddingOrigin, blocks: Iterable[Block], rows: Rows
) -> None:
    features = np.concatenate([block.x for block in blocks])
    arrays: dict[str, Any] = {
        "features": features,
        "source": np.array(rows.source)[rows.recording],
        "first_frame": np.array(rows.first),
        "last_frame": np.array(rows.last),
        **rows.seconds(origin.fps),
        "origin": json.dumps(asdict(origin)),
    }
    np.savez(disk, **arrays)


def _write_csv(
    disk: PatientFile, origin: EmbeddingOrigin, blocks: Iterable[Block], rows: Rows
) -> None:
    is_first = True
    for block in blocks:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if is_first:
            columns = [f"feature_{number}" for number in range(block.x.shape[1])]
            times = ["first_frame", "last_frame", "start_seconds", "end_seconds"]
            writer.writerow(["source", *times, *columns])
            is_first = False
        for first, last, x in zip(block.first, block.last, block.x.tolist(), strict=True):
            times = [first, last, first / origin.fps, (last + 1) / origin.fps]
            # Nine digits tell any two float32 apart.
            writer.writerow([block.source, *times, *(f"{value:.9g}" for value in x)])
        disk.write(text.getvalue().encode())


WRITERS: dict[str, Callable[[PatientFile, EmbeddingOrigin, Iterable[Block], Rows], None]] = {
    ".h5": _write_h5,
    ".npz": _write_npz,
    ".csv": _write_csv,
}


@dataclass(frozen=True)
class Embedding:
    """The windows of a file; their features are read in parts by `read_chunks`."""

    path: Path
    origin: EmbeddingOrigin
    source: np.ndarray  # (F,) str
    num_frames: np.ndarray  # (F,) int64
    # A window belongs to one of the recordings 0..F-1.
    recording: np.ndarray  # (N,) int64
    first: np.ndarray  # (N,) int64
    last: np.ndarray  # (N,) int64
    width: int

    def __len__(self) -> int:
        return len(self.recording)


def read_embedding(path: Path) -> Embedding:
    """Read everything of an HDF5 file but its features. Raises FeatureFileError."""
    with open_features(path, command="scdnet embed", cure=CURE) as file:
        attrs = read_attributes(
            path, file, expected=FORMAT, versions=(VERSION,), advice=f"; {OTHER_FEATURES}"
        )
        attrs["skeleton"] = Skeleton.from_dict(json.loads(attrs["skeleton"]))
        attrs["capture"] = dict(json.loads(attrs["capture"]))
        keys = EmbeddingOrigin.__dataclass_fields__
        with reading("source"):
            source = np.array(file["source"].asstr()[:], dtype=str)
        with reading("features"):
            num_rows, width = file["features"].shape
        embedding = Embedding(
            path=path,
            origin=EmbeddingOrigin(**{key: attrs[key] for key in keys}),
            source=source,
            num_frames=_read(file, "num_frames"),
            recording=_read(file, "recording"),
            first=_read(file, "first_frame"),
            last=_read(file, "last_frame"),
            width=width,
        )
    _check(embedding, num_rows)
    return embedding


def _read(file: h5py.File, key: str) -> np.ndarray:
    with reading(key):
        return file[key][:]


def _check(embedding: Embedding, num_rows: int) -> None:
    path = embedding.path
    num_files = len(embedding.source)
    rows = dict.fromkeys(("recording", "first", "last"), num_rows)
    for key, expected in (rows | {"num_frames": num_files}).items():
        found = getattr(embedding, key)
        if found.shape != (expected,) or found.dtype != np.int64:
            raise FeatureFileError(
                f"{path}: expected {key} of {expected} int64, found {found.dtype} {found.shape}"
            )
    if not num_rows or not ((embedding.recording >= 0) & (embedding.recording < num_files)).all():
        raise FeatureFileError(f"{path}: expected rows of the recordings 0..{num_files - 1}")
    ends = embedding.num_frames[embedding.recording]
    is_within = (embedding.first >= 0) & (embedding.first <= embedding.last)
    if not (is_within & (embedding.last < ends)).all():
        raise FeatureFileError(f"{path}: expected windows within their recordings")


def read_chunks(embedding: Embedding) -> Iterator[Tensor]:
    """Yield the features (n, D) of an embedding, in its order. Raises FeatureFileError."""
    rows = max(1, READ_BYTES // (4 * embedding.width))
    for start in range(0, len(embedding), rows):
        yield read_rows(embedding, slice(start, start + rows))


def read_rows(embedding: Embedding, rows: slice | np.ndarray) -> Tensor:
    """Return the features (n, D) of ascending rows. Raises FeatureFileError."""
    with (
        open_features(embedding.path, command="scdnet embed", cure=CURE) as file,
        reading("features"),
    ):
        x = torch.from_numpy(file["features"][rows])
    if x.dtype != torch.float32 or not x.isfinite().all():
        raise FeatureFileError(f"{embedding.path}: expected finite float32 features")
    return x
