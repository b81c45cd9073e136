"""Writer of sequence stores (scdnet/data/store.py): a whole file or none."""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from scdnet.data.checked_file import LIBVER, seal_texts, write_dataset
from scdnet.data.store import (
    COORDINATES,
    FORMAT,
    FRAMES_CRC32,
    INTEGER_COLUMNS,
    MAX_BODIES,
    VERSION,
    SequenceTable,
    SkeletonSequence,
    hash_content,
)
from scdnet.errors import ScdnetError
from scdnet.files import atomic_write
from scdnet.skeleton import Skeleton

# 300 kB per chunk: whole sequences are read with few seeks and little overhead.
CHUNK_FRAMES = 512
# 5 MB per write: the overhead of a write per sequence exceeds its content.
WRITE_FRAMES = 16 * CHUNK_FRAMES
# The attribute `normalization`, by the dimensions of the skeleton.
NORMALIZATIONS = {
    2: "two bodies of largest energy; centered on body 0 in each frame; trunk of body 0 of length 1"
    " (docs/data/skeletons.md)",
    3: "two bodies of largest energy; centered on the spine of body 0 in each frame; "
    "spine of frame 0 along +z, shoulders along +x (docs/method.md 1)",
}


class StoreWriter:
    """Writer of a store, sequence by sequence, to `<path>.tmp`, which `finish` renames.

    Use it as a context manager: an unfinished file is removed. Sequences come sorted by name.
    `attributes` are stored besides those that every store has. Raises ScdnetError if `path` is a
    directory.
    """

    def __init__(
        self,
        path: Path,
        *,
        dataset: str,
        skeleton: Skeleton,
        class_names: tuple[str, ...],
        created_by: str,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        self._dataset = dataset
        self._skeleton = skeleton
        self._class_names = class_names
        self._frame_shape = (MAX_BODIES, skeleton.num_joints, COORDINATES)
        self._frames_sha256 = hashlib.sha256()
        self._attributes = {
            "normalization": NORMALIZATIONS[skeleton.dims],
            **(attributes or {}),
            "format": FORMAT,
            "version": VERSION,
            "dataset": dataset,
            "skeleton": skeleton.name,
            "class_names": list(class_names),
            "created_by": created_by,
        }
        self._rows: list[tuple] = []
        self._offsets = [0]
        # Each sequence has a checksum.
        self._crc32: list[int] = []
        # Frames of the last sequences, not yet in the file.
        self._pending: list[np.ndarray] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._disk = stack.enter_context(atomic_write(self.path))
            with self._writing():
                # No chunk cache: each part is written as it comes.
                self._file = h5py.File(self._disk, "w", rdcc_nbytes=0, libver=LIBVER)
            stack.callback(self._close)
            self._frames = self._file.create_dataset(
                "frames",
                (0, *self._frame_shape),
                "float32",
                maxshape=(None, *self._frame_shape),
                chunks=(CHUNK_FRAMES, *self._frame_shape),
            )
            self._stack = stack.pop_all()
        return self

    def append(self, sequence: SkeletonSequence) -> None:
        """Add one sequence of at least one frame."""
        shape = sequence.frames.shape
        assert shape[1:] == self._frame_shape and shape[0] > 0, shape
        is_sorted = not self._rows or self._rows[-1][0] < sequence.name
        assert is_sorted, "sequences must come sorted by name, and names must be unique"
        self._offsets.append(self._offsets[-1] + len(sequence.frames))
        self._rows.append((sequence.name, *(getattr(sequence, key) for key in INTEGER_COLUMNS)))
        self._crc32.append(zlib.crc32(np.ascontiguousarray(sequence.frames, "<f4").data))
        self._pending.append(sequence.frames)
        if self._offsets[-1] - len(self._frames) >= WRITE_FRAMES:
            self._write_pending()

    def _write_pending(self) -> None:
        start = len(self._frames)
        frames = np.concatenate([np.empty((0, *self._frame_shape), np.float32), *self._pending])
        self._frames_sha256.update(frames.data)
        with self._writing():
            self._frames.resize(self._offsets[-1], axis=0)
            self._frames[start:] = frames
        self._pending.clear()

    def table(self) -> SequenceTable:
        """Return the rows appended so far."""
        names, *integers = (
            zip(*self._rows, strict=True) if self._rows else [()] * (1 + len(INTEGER_COLUMNS))
        )
        return SequenceTable(
            np.array(names, dtype=str), *(np.array(column, dtype=np.int64) for column in integers)
        )

    def finish(self, splits: Mapping[str, np.ndarray]) -> None:
        """Write the tables and the splits, close the file, sync it to disk and rename it.

        `splits` has a bool (N,) per benchmark, True for training.
        """
        self._write_pending()
        table = self.table()
        offset = np.array(self._offsets, dtype=np.int64)
        frames_sha256 = self._frames_sha256.hexdigest()
        content_sha256 = hash_content(
            dataset=self._dataset,
            class_names=self._class_names,
            skeleton=self._skeleton,
            offset=offset,
            table=table,
            splits=splits,
            frames_sha256=frames_sha256,
        )
        hashes = {"frames_sha256": frames_sha256, "content_sha256": content_sha256}
        with self._writing():
            self._file.flush()
            end_of_frames = self._file.id.get_filesize()
            self._write_skeleton()
            write_dataset(self._file, "offset", offset)
            write_dataset(self._file, FRAMES_CRC32, np.array(self._crc32, dtype=np.uint32))
            for key, column in table._asdict().items():
                write_dataset(self._file, key, column)
            self._file.create_group("split")
            for benchmark, is_train in splits.items():
                write_dataset(self._file, f"split/{benchmark}", np.asarray(is_train, dtype=bool))
            self._file.attrs.update({**self._attributes, **hashes})
            self._file.flush()
        with self._writing():
            seal_texts(self._file, self._disk.path, first=end_of_frames)
            self._file.close()
        self._stack.close()

    def _write_skeleton(self) -> None:
        skeleton = self._skeleton
        group = self._file.create_group("skeleton")
        write_dataset(group, "joint_names", np.array(skeleton.joints, dtype=str))
        write_dataset(group, "parents", np.array(skeleton.parents, dtype=np.int64))
        write_dataset(group, "mirror", np.array(skeleton.mirror, dtype=np.int64))
        # Sets of joints differ in size, so they are texts of JSON.
        sets = {key: json.dumps(getattr(skeleton, key)) for key in ("center", "spine", "shoulders")}
        group.attrs.update(dims=skeleton.dims, root=skeleton.root, **sets)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:
            # A RuntimeError if HDF5 misses a part that it believes to have written.
            self._disk.check()
            raise ScdnetError(
                f"{self.path}: cannot be written ({error}); nothing was changed"
            ) from error
        self._disk.check()

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After `finish` the stack is empty. Before, any error removes the unfinished file.
        error = error or ScdnetError(f"{self.path}: left unfinished")
        self._stack.__exit__(type(error), error, trace)

    def _close(self) -> None:
        # After a failed write the file cannot be closed properly either.
        with suppress(OSError, RuntimeError):
            self._file.close()
