"""Writes a sequence store (scdnet/data/store.py), whole or not at all."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from scdnet.data.patient_file import PatientFile
from scdnet.data.store import FORMAT, FRAME_SHAPE, NUMBERS, VERSION, SequenceTable, SkeletonSequence
from scdnet.errors import ScdnetError
from scdnet.files import atomic_write
from scdnet.skeleton import NTU_25

CHUNK_FRAMES = (
    512  # 300 kB a chunk: whole sequences are read with few seeks, and little is read in vain
)
WRITE_FRAMES = (
    16 * CHUNK_FRAMES
)  # 5 MB written at a time: a write per sequence costs more than it holds


class _UnfinishedError(Exception):
    """A store that was left without `finish`; never leaves the writer."""


class StoreWriter:
    """Writes a store sequence by sequence, aside (`<path>.tmp`), and renames it in `finish`.

    Use as a context manager: what is not finished is removed. Sequences come in rising order of name. `attributes` are
    stored besides those that every store has. Raises ScdnetError if `path` is a folder.
    """

    def __init__(
        self,
        path: Path,
        *,
        dataset: str,
        class_names: tuple[str, ...],
        created_by: str,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        self._attributes = {
            **(attributes or {}),
            "format": FORMAT,
            "version": VERSION,
            "dataset": dataset,
            "skeleton": NTU_25.name,
            "class_names": list(class_names),
            "normalisation": "two bodies of largest energy; centred on the spine of body 0 in each frame; "
            "spine of frame 0 along +z, shoulders along +x (docs/method.md 1)",
            "created_by": created_by,
        }
        self._disk: PatientFile | None = None
        self._rows: list[tuple] = []
        self._offsets = [0]
        self._waiting: list[np.ndarray] = []  # frames of the last sequences, not yet in the file

    def __enter__(self) -> Self:
        with ExitStack() as aside:
            partial = aside.enter_context(atomic_write(self.path))
            with self._writing():
                self._disk = aside.enter_context(PatientFile(partial))
            with self._writing():
                self._file = h5py.File(
                    self._disk, "w", rdcc_nbytes=0
                )  # no cache: each part is written as it comes
            aside.callback(self._close)
            self._frames = self._file.create_dataset(
                "frames",
                (0, *FRAME_SHAPE),
                "float32",
                maxshape=(None, *FRAME_SHAPE),
                chunks=(CHUNK_FRAMES, *FRAME_SHAPE),
            )
            self._aside = aside.pop_all()
        return self

    def append(self, sequence: SkeletonSequence) -> None:
        """Add one sequence of at least one frame."""
        assert sequence.frames.shape[1:] == FRAME_SHAPE and len(sequence.frames) > 0, (
            sequence.frames.shape
        )
        assert not self._rows or self._rows[-1][0] < sequence.name, (
            "sequences must come in rising order of name"
        )
        self._offsets.append(self._offsets[-1] + len(sequence.frames))
        self._rows.append((sequence.name, *(getattr(sequence, column) for column in NUMBERS)))
        self._waiting.append(sequence.frames)
        if self._offsets[-1] - len(self._frames) >= WRITE_FRAMES:
            self._write_waiting()

    def _write_waiting(self) -> None:
        start = len(self._frames)
        with self._writing():
            self._frames.resize(self._offsets[-1], axis=0)
            self._frames[start:] = np.concatenate(
                [np.empty((0, *FRAME_SHAPE), np.float32), *self._waiting]
            )
        self._waiting.clear()

    def table(self) -> SequenceTable:
        """The rows appended so far."""
        names, *numbers = (
            zip(*self._rows, strict=True) if self._rows else [()] * len(SequenceTable._fields)
        )
        return SequenceTable(
            np.array(names, dtype=str), *(np.array(column, dtype=np.int64) for column in numbers)
        )

    def finish(self, splits: Mapping[str, np.ndarray]) -> None:
        """Write the tables and the splits (benchmark -> bool (N,), True = training), close, sync to disk and rename."""
        self._write_waiting()
        with self._writing():
            self._write_tables(self.table(), splits)
            self._file.close()
        self._aside.close()

    def _write_tables(self, table: SequenceTable, splits: Mapping[str, np.ndarray]) -> None:
        self._file["offset"] = np.array(self._offsets, dtype=np.int64)
        self._file.create_dataset("name", data=table.name.tolist(), dtype=h5py.string_dtype())
        for column in NUMBERS:
            self._file[column] = getattr(table, column)
        self._file.create_group("split")
        for benchmark, is_train in splits.items():
            self._file[f"split/{benchmark}"] = np.asarray(is_train, dtype=bool)
        self._file.attrs.update(self._attributes)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        failed: Exception | None = None
        try:
            yield
        except (
            OSError,
            RuntimeError,
        ) as error:  # also of HDF5 that misses what it believes to have written
            failed = error
        failed = (self._disk and self._disk.error) or failed
        if failed is not None:
            reason = getattr(failed, "strerror", None) or failed
            raise ScdnetError(
                f"{self.path}: cannot be written ({reason}); nothing was changed"
            ) from failed

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            kind, error = _UnfinishedError, _UnfinishedError()
        self._aside.__exit__(kind, error, trace)  # after `finish` there is nothing left to undo

    def _close(self) -> None:
        with suppress(
            OSError, RuntimeError
        ):  # after a failed write it cannot be closed properly either
            self._file.close()
