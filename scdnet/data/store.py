"""The sequence store: one HDF5 file per data set, all its benchmarks inside (docs/data.md)."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import h5py
import numpy as np

from scdnet.errors import ScdnetError
from scdnet.skeleton import NTU_25

FORMAT, VERSION = "scdnet-sequences", 1
MAX_BODIES = 2
FRAME_SHAPE = (MAX_BODIES, NTU_25.num_joints, 3)  # M, V, C
CHUNK_FRAMES = 512  # 300 kB a chunk: whole sequences are read with few seeks, and little is read in vain
WRITE_FRAMES = 16 * CHUNK_FRAMES  # 5 MB written at a time: a write per sequence costs more than it holds
NUMBERS = ("label", "subject", "camera", "setup", "replication")  # the int64 columns, one value a sequence


class StoreError(ScdnetError):
    """A sequence store that is missing, damaged or of another kind."""


@dataclass(frozen=True)
class SkeletonSequence:
    """One recording, normalised."""

    frames: np.ndarray  # float32 (T, M, V, C), metres
    name: str
    label: int  # class, from 0
    subject: int = -1  # as in the name; -1 where unknown, so for the next three
    camera: int = -1
    setup: int = -1
    replication: int = -1


class SequenceTable(NamedTuple):
    """What is known of all sequences besides their frames; one row each."""

    name: np.ndarray  # (N,) str
    label: np.ndarray  # (N,) int64, and so on
    subject: np.ndarray
    camera: np.ndarray
    setup: np.ndarray
    replication: np.ndarray


class StoreWriter:
    """Writes a store sequence by sequence, aside (`<path>.tmp`), and renames it in `finish`.

    Use as a context manager: what is not finished is removed. Sequences come in rising order of name.
    """

    def __init__(self, path: Path, *, dataset: str, class_names: tuple[str, ...], created_by: str) -> None:
        self.path, self._partial = path, path.with_name(path.name + ".tmp")
        self._attributes = {
            "format": FORMAT,
            "version": VERSION,
            "dataset": dataset,
            "skeleton": NTU_25.name,
            "class_names": list(class_names),
            "normalisation": "two bodies of largest energy; centred on the spine of body 0 in each frame; "
            "spine of frame 0 along +z, shoulders along +x (docs/method.md 1)",
            "created_by": created_by,
        }
        self._rows: list[tuple] = []
        self._offsets = [0]
        self._waiting: list[np.ndarray] = []  # frames of the last sequences, not yet in the file

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = h5py.File(self._partial, "w", rdcc_nbytes=0)  # no cache: on a full disk HDF5 crashes over it
        self._frames = self._file.create_dataset(
            "frames", (0, *FRAME_SHAPE), "float32", maxshape=(None, *FRAME_SHAPE), chunks=(CHUNK_FRAMES, *FRAME_SHAPE)
        )
        return self

    def append(self, sequence: SkeletonSequence) -> None:
        """Add one sequence of at least one frame."""
        assert sequence.frames.shape[1:] == FRAME_SHAPE and len(sequence.frames) > 0, sequence.frames.shape
        assert not self._rows or self._rows[-1][0] < sequence.name, "sequences must come in rising order of name"
        self._offsets.append(self._offsets[-1] + len(sequence.frames))
        self._rows.append((sequence.name, *(getattr(sequence, column) for column in NUMBERS)))
        self._waiting.append(sequence.frames)
        if self._offsets[-1] - len(self._frames) >= WRITE_FRAMES:
            self._write_waiting()

    def _write_waiting(self) -> None:
        start = len(self._frames)
        self._frames.resize(self._offsets[-1], axis=0)
        self._frames[start:] = np.concatenate([np.empty((0, *FRAME_SHAPE), np.float32), *self._waiting])
        self._waiting.clear()

    def table(self) -> SequenceTable:
        """The rows appended so far."""
        names, *numbers = zip(*self._rows, strict=True) if self._rows else [()] * len(SequenceTable._fields)
        return SequenceTable(np.array(names, dtype=str), *(np.array(column, dtype=np.int64) for column in numbers))

    def finish(self, splits: Mapping[str, np.ndarray]) -> None:
        """Write the tables and the splits (benchmark -> bool (N,), True = training), close and rename."""
        self._write_waiting()
        table = self.table()
        self._file["offset"] = np.array(self._offsets, dtype=np.int64)
        self._file.create_dataset("name", data=table.name.tolist(), dtype=h5py.string_dtype())
        for column in NUMBERS:
            self._file[column] = getattr(table, column)
        self._file.create_group("split")
        for benchmark, is_train in splits.items():
            self._file[f"split/{benchmark}"] = np.asarray(is_train, dtype=bool)
        self._file.attrs.update(self._attributes)
        self._file.close()
        self._partial.replace(self.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError, RuntimeError):  # after a failed write it cannot be closed properly either
            self._file.close()
        self._partial.unlink(missing_ok=True)


class SequenceStore:
    """Read access to a store; `len(store)`, `store[i]`, `store.is_train("xsub")`. Open with `open_sequences`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except FileNotFoundError:
            raise StoreError(f"{path}: no such sequence store; make one with data_prep/*_gendata.py") from None
        except OSError as error:
            raise StoreError(f"{path}: not a readable HDF5 file ({error})") from None
        try:
            self._read_tables()
        except (KeyError, OSError) as error:
            raise StoreError(f"{path}: damaged sequence store ({error})") from None

    def _read_tables(self) -> None:
        attributes = dict(self._file.attrs)
        self._check(attributes.get("format") == FORMAT, f"attribute format is {FORMAT!r}", attributes.get("format"))
        self._check(attributes.get("version") == VERSION, f"version {VERSION}", attributes.get("version"))
        self._frames, self.offset = self._file["frames"], self._file["offset"][:]
        self._check(self._frames.shape[1:] == FRAME_SHAPE, f"frames of shape (F, {FRAME_SHAPE})", self._frames.shape)
        self._check(self._frames.dtype == np.float32, "float32 frames", self._frames.dtype)
        self.dataset, self.class_names = str(attributes["dataset"]), tuple(map(str, attributes["class_names"]))
        numbers = {column: self._file[column][:] for column in NUMBERS}
        self.table = SequenceTable(np.array(self._file["name"].asstr()[:], dtype=str), **numbers)
        self._splits = {benchmark: values[:] for benchmark, values in self._file["split"].items()}
        self._check_rows()

    def _check_rows(self) -> None:
        columns = {**self.table._asdict(), **{f"split/{key}": value for key, value in self._splits.items()}}
        for column, values in columns.items():
            self._check(values.shape == (len(self),), f"{column} of {len(self)} rows", values.shape)
        rising = self.offset[0] == 0 and self.offset[-1] == len(self._frames) and (np.diff(self.offset) > 0).all()
        self._check(rising, f"offsets that rise from 0 to {len(self._frames)}", self.offset)
        known = (self.table.label >= 0) & (self.table.label < len(self.class_names))
        self._check(known.all(), f"labels in 0..{len(self.class_names) - 1}", self.table.label[~known])

    def _check(self, holds: bool, expected: str, found: object) -> None:
        if not holds:
            raise StoreError(f"{self.path}: expected {expected}, found {found}")

    def __len__(self) -> int:
        return len(self.offset) - 1

    def __getitem__(self, index: int) -> SkeletonSequence:
        index = range(len(self))[index]  # negative counts from the end; IndexError beyond it
        frames = self._frames[self.offset[index] : self.offset[index + 1]]
        row = {column: values[index].item() for column, values in self.table._asdict().items()}
        return SkeletonSequence(frames, **row)

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """The benchmarks whose split the store holds."""
        return tuple(self._splits)

    def is_train(self, benchmark: str) -> np.ndarray:
        """(N,) bool: True where a sequence belongs to the training split of `benchmark`."""
        if benchmark not in self._splits:
            raise StoreError(f"{self.path}: no benchmark {benchmark!r}; it holds {', '.join(self._splits) or 'none'}")
        return self._splits[benchmark]

    def read_frames(self) -> np.ndarray:
        """All frames end to end: float32 (F, M, V, C), metres. `offset` says where each sequence lies."""
        return self._frames[:]

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def open_sequences(path: str | Path) -> SequenceStore:
    """Open the sequence store at `path` for reading. Raises StoreError, naming the check that failed."""
    return SequenceStore(Path(path))
