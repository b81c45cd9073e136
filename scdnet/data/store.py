"""The sequence store: one HDF5 file per data set, all its benchmarks inside (docs/data.md)."""

from collections.abc import Iterator
from contextlib import contextmanager
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
NUMBERS = (
    "label",
    "subject",
    "camera",
    "setup",
    "replication",
)  # the int64 columns, one value a sequence
READ_ERRORS = (
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    KeyError,
)  # what h5py raises over damaged bytes


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


class SequenceStore:
    """Read access to a store; `len(store)`, `store[i]`, `store.is_train("xsub")`. Open with `open_sequences`.

    As a context manager it closes the file. Reading raises StoreError where the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._check(not path.is_dir(), "a sequence store", "a folder")
            self._file = h5py.File(path, "r")
        except FileNotFoundError:
            raise StoreError(
                f"{path}: no such sequence store; make one with data_prep/*_gendata.py"
            ) from None
        except READ_ERRORS as error:
            raise StoreError(f"{path}: not a readable HDF5 file ({_one_line(error)})") from error
        try:
            self._read_attributes()
            self._read_tables()
        except BaseException:
            self.close()
            raise

    def _read_attributes(self) -> None:
        with self._reading("the attributes"):
            names = ("format", "version", "skeleton", "dataset", "class_names")
            found = {name: self._file.attrs.get(name) for name in names}
        for name, value, expected in (
            ("format", FORMAT, f"attribute format is {FORMAT!r}"),
            ("version", VERSION, f"version {VERSION}"),
            ("skeleton", NTU_25.name, f"attribute skeleton is {NTU_25.name!r}"),
        ):
            self._check(np.ndim(found[name]) == 0 and found[name] == value, expected, found[name])
        self.dataset, class_names = found["dataset"], found["class_names"]
        self._check(_is_text(self.dataset), "attribute dataset is text", self.dataset)
        are_texts = np.ndim(class_names) == 1 and all(map(_is_text, class_names))
        self._check(are_texts, "attribute class_names is a list of texts", class_names)
        self.class_names = tuple(class_names)

    def _read_tables(self) -> None:
        self._frames, shape, dtype = self._dataset("frames")
        self._check(shape[1:] == FRAME_SHAPE, f"frames of shape (F, {FRAME_SHAPE})", shape)
        self._check(dtype == np.float32, "float32 frames", dtype)
        _, shape, _ = self._dataset("offset")
        self._check(len(shape) == 1 and shape[0] > 1, "offset of N + 1 values, N > 0", shape)
        self.offset = self._read_column("offset", np.int64, shape[0])
        rises = (
            self.offset[0] == 0 and self.offset[-1] == len(self._frames) and _is_rising(self.offset)
        )
        self._check(rises, f"offsets that rise from 0 to {len(self._frames)}", self.offset)
        numbers = {key: self._read_column(key, np.int64, len(self)) for key in NUMBERS}
        self.table = SequenceTable(self._read_names(), **numbers)
        known = (self.table.label >= 0) & (self.table.label < len(self.class_names))
        self._check(
            known.all(), f"labels in 0..{len(self.class_names) - 1}", self.table.label[~known]
        )
        with self._reading("split"):
            benchmarks = list(self._member("split", h5py.Group))
        self._check(all(map(_is_text, benchmarks)), "benchmarks named in UTF-8", benchmarks)
        self._splits = {
            key: self._read_column(f"split/{key}", np.bool_, len(self)) for key in benchmarks
        }

    def _read_names(self) -> np.ndarray:
        dataset, shape, dtype = self._dataset("name")
        self._check(h5py.check_string_dtype(dtype) is not None, "name of text", dtype)
        self._check(shape == (len(self),), f"name of {len(self)} rows", shape)
        with self._reading("name"):
            names = np.array(dataset.asstr()[:], dtype=str)
        self._check(_is_rising(names), "names that rise", names)
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
        found = self._file.get(key)
        self._check(
            isinstance(found, kind),
            f"a {kind.__name__.lower()} {key}",
            "nothing" if found is None else found,
        )
        return found

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        try:
            yield
        except READ_ERRORS as error:
            raise StoreError(
                f"{self.path}: damaged sequence store: cannot read {what} ({_one_line(error)})"
            ) from error

    def _check(self, holds: bool, expected: str, found: object) -> None:
        if not holds:
            raise StoreError(f"{self.path}: expected {expected}, found {_one_line(found)}")

    def __len__(self) -> int:
        return len(self.offset) - 1

    def __getitem__(self, index: int) -> SkeletonSequence:
        index = range(len(self))[index]  # negative counts from the end; IndexError beyond it
        with self._reading("frames"):
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
            raise StoreError(
                f"{self.path}: no benchmark {benchmark!r}; it holds {', '.join(self._splits) or 'none'}"
            )
        return self._splits[benchmark]

    def read_frames(self, first: int = 0, end: int | None = None) -> np.ndarray:
        """Frames `first` to `end` of all: float32 (F, M, V, C), metres. `offset` says where each sequence lies."""
        with self._reading("frames"):
            return self._frames[first:end]

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_sequences(path: str | Path) -> SequenceStore:
    """Open the sequence store at `path` for reading. Raises StoreError, naming the check that failed."""
    return SequenceStore(Path(path))


def _is_rising(values: np.ndarray) -> bool:
    return bool((values[1:] > values[:-1]).all())  # not by differences: those of int64 may overflow


def _is_text(value: object) -> bool:
    # bytes that are no UTF-8 come from h5py as bytes or with lone surrogates
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _one_line(value: object) -> str:
    text = " ".join(str(value).encode(errors="backslashreplace").decode().split())
    return text if len(text) <= 120 else text[:117] + "..."
