"""The sequence store: one HDF5 file per dataset, with all its benchmarks (docs/data/store.md)."""

import hashlib
import json
import zlib
from bisect import bisect, bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import h5py
import numpy as np

from scdnet.data.checked_file import is_damage, one_line, reason_of, verify_texts
from scdnet.errors import ScdnetError
from scdnet.files import DAMAGED_FILE_ERRORS, find_download_fault
from scdnet.skeleton import Skeleton

FORMAT = "scdnet-sequences"
VERSION = 3
# The version before had no checksums but the hashes of content and frames.
READABLE_VERSIONS = (2, VERSION)
MAX_BODIES = 2
# C of all stored frames: x y z, or x y score of a 2-D skeleton.
COORDINATES = 3
# The int64 columns, one value per sequence.
INTEGER_COLUMNS = ("label", "subject", "camera", "setup", "replication")

# This dataset has a checksum for each sequence: CRC-32 of the bytes of its frames, little-endian
# float32. Unlike SHA-256 it is fast on any CPU.
FRAMES_CRC32 = "frames_crc32"
# Attributes with hashes, as hexadecimal numbers: of the frames, and of everything that readers use.
HASHES = ("frames_sha256", "content_sha256")
# Attributes of the group skeleton.
SKELETON_ATTRIBUTES = ("dims", "center", "spine", "shoulders")
# Frames that are read at a time, 5 MB with 25 joints, so that reading all takes little memory.
BLOCK_FRAMES = 2**13
# Each error over damage ends with what to do.
CURE = "restore a copy, or convert the recordings with `scdnet prepare` again"


class StoreError(ScdnetError):
    """A sequence store that is missing, damaged or of another kind."""


@dataclass(frozen=True)
class SkeletonSequence:
    """One sequence of a store, normalized."""

    frames: np.ndarray  # float32 (T, M, V, C)
    name: str
    # The class id, from 0.
    label: int
    # These four are as in the name of the recording; -1 where unknown.
    subject: int = -1
    camera: int = -1
    setup: int = -1
    replication: int = -1


class SequenceTable(NamedTuple):
    """The columns of a store besides its frames; one row per sequence."""

    name: np.ndarray  # (N,) str
    label: np.ndarray  # (N,) int64
    subject: np.ndarray  # (N,) int64
    camera: np.ndarray  # (N,) int64
    setup: np.ndarray  # (N,) int64
    replication: np.ndarray  # (N,) int64


class SequenceStore:
    """Read access to a store: `len(store)`, `store[i]`, `store.is_train("xsub")`.

    Open it with `open_sequences`; as a context manager it closes the file. Reading raises
    StoreError where the file is damaged. `skeleton` has the joints of its frames; `content_sha256`
    identifies its content, whatever the path of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._check(not path.is_dir(), "a sequence store", "a directory")
            # HDF5 without a cache of chunks reads just the frames asked for, into their place.
            self._file = h5py.File(path, "r", locking=False, rdcc_nbytes=0)
        except FileNotFoundError:
            raise StoreError(
                f"{path}: no such sequence store; make one with `scdnet prepare`"
            ) from None
        except DAMAGED_FILE_ERRORS as error:
            fault = find_download_fault(path)
            if fault is not None:
                raise StoreError(f"{path}: expected a sequence store, found {fault}") from None
            cure = f"; if it was a sequence store, {CURE}" if is_damage(error) else ""
            raise StoreError(
                f"{path}: not a readable HDF5 file ({reason_of(error)}){cure}"
            ) from error
        try:
            self._read_attributes()
            self._read_skeleton()
            self._read_tables()
        except BaseException:
            self.close()
            raise

    def _read_attributes(self) -> None:
        with self._reading("the attributes"):
            attributes = self._file.attrs
            verify_texts(self._file, self.path, version=VERSION)
            # Unlike `get`, the names of all attributes tell damage from absence.
            present = set(attributes)
            found: dict[str, Any] = {
                name: attributes[name] if name in present else None
                for name in ("format", "version", "dataset", "class_names", *HASHES)
            }
        versions = " or ".join(map(str, READABLE_VERSIONS))
        for name, values, expected in (
            ("format", (FORMAT,), f"attribute format is {FORMAT!r}"),
            ("version", READABLE_VERSIONS, f"version {versions}"),
        ):
            is_known = np.ndim(found[name]) == 0 and found[name] in values
            self._check(is_known, expected, found[name])
        self.version = int(found["version"])
        self.dataset = found["dataset"]
        self._check(_is_text(self.dataset), "attribute dataset is text", self.dataset)
        class_names = found["class_names"]
        are_texts = np.ndim(class_names) == 1 and all(map(_is_text, class_names))
        self._check(are_texts, "attribute class_names is a list of texts", class_names)
        self.class_names = tuple(class_names)
        for name in HASHES:
            self._check(_is_text(found[name]), f"attribute {name} is text", found[name])
        self._frames_sha256 = found["frames_sha256"]
        self.content_sha256 = found["content_sha256"]

    def _read_skeleton(self) -> None:
        with self._reading("skeleton"):
            attributes = self._member("skeleton", h5py.Group).attrs
            fields = {key: attributes.get(key) for key in SKELETON_ATTRIBUTES}
            name = self._file.attrs.get("skeleton")
        self._check(_is_text(name), "attribute skeleton is text", name)
        joints, shape, dtype = self._dataset("skeleton/joint_names")
        self._check(h5py.check_string_dtype(dtype) is not None, "joint_names of text", dtype)
        self._check(len(shape) == 1, "joint_names of one axis", shape)
        with self._reading("skeleton/joint_names"):
            names = [str(joint) for joint in joints.asstr()[:]]
        self._check(all(map(_is_text, names)), "joints named in UTF-8", names)
        columns = {
            key: self._read_column(f"skeleton/{key}", np.int64, len(names)).tolist()
            for key in ("parents", "mirror")
        }
        try:
            sets = {key: json.loads(fields[key]) for key in ("center", "spine", "shoulders")}
            self.skeleton = Skeleton.from_dict(
                {"name": name, "joints": names, "dims": int(fields["dims"]), **columns, **sets}
            )
        except (TypeError, ValueError) as error:
            raise StoreError(f"{self.path}: group skeleton: {one_line(error)}") from None

    def _read_tables(self) -> None:
        self._frames, shape, dtype = self._dataset("frames")
        expected = (MAX_BODIES, self.skeleton.num_joints, COORDINATES)
        self._check(shape[1:] == expected, f"frames of shape (F, {expected})", shape)
        self._check(dtype == np.float32, "float32 frames", dtype)
        _, shape, _ = self._dataset("offset")
        self._check(len(shape) == 1 and shape[0] > 1, "offset of N + 1 values, N > 0", shape)
        self.offset = self._read_column("offset", np.int64, shape[0])
        # A list is searched faster than an array.
        self._bounds: list[int] = self.offset.tolist()
        num_frames = len(self._frames)
        ends = (self.offset[0], self.offset[-1])
        rises = ends == (0, num_frames) and _is_increasing(self.offset)
        self._check(rises, f"offsets that increase from 0 to {num_frames}", self.offset)
        columns = {key: self._read_column(key, np.int64, len(self)) for key in INTEGER_COLUMNS}
        self.table = SequenceTable(self._read_names(), **columns)
        self._crc32: list[int] | None = None
        if self.version == VERSION:
            self._crc32 = self._read_column(FRAMES_CRC32, np.uint32, len(self)).tolist()
        label = self.table.label
        highest = len(self.class_names) - 1
        unknown = label[(label < 0) | (label > highest)]
        self._check(len(unknown) == 0, f"labels in 0..{highest}", unknown)
        with self._reading("split"):
            benchmarks = list(self._member("split", h5py.Group))
        self._check(all(map(_is_text, benchmarks)), "benchmarks named in UTF-8", benchmarks)
        self._splits = {
            key: self._read_column(f"split/{key}", np.bool_, len(self)) for key in benchmarks
        }
        found = hash_content(
            dataset=self.dataset,
            class_names=self.class_names,
            skeleton=self.skeleton,
            offset=self.offset,
            table=self.table,
            splits=self._splits,
            frames_sha256=self._frames_sha256,
        )
        if found != self.content_sha256:
            raise self._mismatch("tables", "content_sha256", found)

    def _read_names(self) -> np.ndarray:
        dataset, shape, dtype = self._dataset("name")
        self._check(h5py.check_string_dtype(dtype) is not None, "name of text", dtype)
        self._check(shape == (len(self),), f"name of {len(self)} rows", shape)
        with self._reading("name"):
            names = np.array(dataset.asstr()[:], dtype=str)
        self._check(_is_increasing(names), "sorted, unique names", names)
        return names

    def _read_column(self, key: str, dtype: type[np.generic], rows: int) -> np.ndarray:
        dataset, shape, found = self._dataset(key)
        self._check(found == dtype, f"{key} of {np.dtype(dtype)}", found)
        self._check(shape == (rows,), f"{key} of {rows} rows", shape)
        with self._reading(key):
            return dataset[:]

    def _dataset(self, key: str) -> tuple[h5py.Dataset, tuple[int, ...], np.dtype]:
        with self._reading(key):
            dataset = self._member(key, h5py.Dataset)
            return dataset, dataset.shape or (), dataset.dtype

    def _member(self, key: str, kind: type) -> h5py.Dataset | h5py.Group:
        parent_key, _, name = key.rpartition("/")
        parent = self._file[parent_key] if parent_key else self._file
        # Unlike `get`, the names of all members tell damage from absence.
        member = parent[name] if name in list(parent) else None
        found = "nothing" if member is None else member
        self._check(isinstance(member, kind), f"a {kind.__name__.lower()} {key}", found)
        return member

    @contextmanager
    def _reading(self, part: str) -> Iterator[None]:
        try:
            yield
        except DAMAGED_FILE_ERRORS as error:
            raise StoreError(
                f"{self.path}: damaged sequence store: cannot read {part} ({reason_of(error)}); "
                f"{CURE}"
            ) from error

    def _check(self, holds: bool, expected: str, found: object) -> None:
        if not holds:
            raise StoreError(f"{self.path}: expected {expected}, found {one_line(found)}")

    def _mismatch(self, parts: str, key: str, found: str | int) -> StoreError:
        return StoreError(
            f"{self.path}: expected {parts} that match {key}, found {str(found)[:16]}: "
            f"they are damaged or were changed; {CURE}"
        )

    def __len__(self) -> int:
        return len(self.offset) - 1

    def __getitem__(self, index: int) -> SkeletonSequence:
        # A range accepts negative indices and raises IndexError.
        index = range(len(self))[index]
        frames = self.read_frames(self.offset[index], self.offset[index + 1])
        row = {column: values[index].item() for column, values in self.table._asdict().items()}
        return SkeletonSequence(frames, **row)

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Return the benchmarks whose split the store contains."""
        return tuple(self._splits)

    def is_train(self, benchmark: str) -> np.ndarray:
        """Return where a sequence belongs to the training split of `benchmark`, (N,) bool."""
        if benchmark not in self._splits:
            known = ", ".join(self._splits) or "none"
            raise StoreError(f"{self.path}: no benchmark {benchmark!r}; it contains {known}")
        return self._splits[benchmark]

    def read_frames(self, first: int = 0, end: int | None = None) -> np.ndarray:
        """Read frames `first` to `end` of all sequences, float32 (F, M, V, C).

        Sequence i is `offset[i]` to `offset[i + 1]`. All sequences of which a frame is asked for
        are read in full and verified.
        """
        wanted = range(self._bounds[-1])[first:end]
        rows = range(bisect(self._bounds, wanted.start) - 1, bisect_left(self._bounds, wanted.stop))
        start = self._bounds[rows.start]
        frames = self._read_unverified(start, self._bounds[rows.stop])
        self._verify_sequences(rows, frames)
        return frames[wanted.start - start : wanted.stop - start]

    def frame_blocks(self) -> Iterator[np.ndarray]:
        """Read the frames of all sequences in blocks (F, M, V, C), and verify their hash."""
        digest = hashlib.sha256()
        for first in range(0, len(self._frames), BLOCK_FRAMES):
            block = self._read_unverified(first, first + BLOCK_FRAMES)
            digest.update(block.data)
            yield block
        found = digest.hexdigest()
        if found != self._frames_sha256:
            # A file with checksums of sequences tells which one it is.
            self.verify()
            raise self._mismatch("frames", "frames_sha256", found)

    def verify(self) -> None:
        """Read all frames, which verifies what opening has not. Raises StoreError."""
        digest = hashlib.sha256()
        for row in range(len(self)):
            digest.update(self.read_frames(self.offset[row], self.offset[row + 1]).data)
        found = digest.hexdigest()
        if found != self._frames_sha256:
            raise self._mismatch("frames", "frames_sha256", found)

    def _read_unverified(self, first: int, end: int) -> np.ndarray:
        with self._reading("frames"):
            return self._frames[first:end]

    def _verify_sequences(self, rows: range, frames: np.ndarray) -> None:
        """Raise StoreError unless `frames`, those of the sequences `rows`, are as written."""
        if self._crc32 is None:
            return
        start = self._bounds[rows.start]
        for row in rows:
            part = frames[self._bounds[row] - start : self._bounds[row + 1] - start]
            found = zlib.crc32(part.data)
            if found != self._crc32[row]:
                parts = f"frames of sequence {self.table.name[row]}"
                raise self._mismatch(parts, FRAMES_CRC32, found)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_sequences(path: str | Path) -> SequenceStore:
    """Open the sequence store at `path` for reading. Raises StoreError, naming the failed check."""
    return SequenceStore(Path(path))


def hash_content(
    *,
    dataset: str,
    class_names: tuple[str, ...],
    skeleton: Skeleton,
    offset: np.ndarray,
    table: SequenceTable,
    splits: Mapping[str, np.ndarray],
    frames_sha256: str,
) -> str:
    """Return the SHA-256 that identifies the content of a store, in hexadecimal digits."""
    texts = [dataset, class_names, skeleton.to_dict(), table.name.tolist(), sorted(splits)]
    digest = hashlib.sha256(json.dumps([*texts, frames_sha256], sort_keys=True).encode())
    for column in (offset, *(getattr(table, key) for key in INTEGER_COLUMNS)):
        digest.update(np.ascontiguousarray(column, dtype="<i8").data)
    for benchmark in sorted(splits):
        digest.update(np.ascontiguousarray(splits[benchmark], dtype=np.uint8).data)
    return digest.hexdigest()


def _is_increasing(values: np.ndarray) -> bool:
    # Not by differences: those of int64 may overflow.
    return bool((values[1:] > values[:-1]).all())


def _is_text(value: object) -> bool:
    # h5py returns bytes that are not UTF-8 as bytes or with lone surrogates.
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
