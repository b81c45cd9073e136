"""The features of a whole store with all that evaluations need to know of it, in memory and as a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from scdnet.config import Config
from scdnet.data.store import READ_ERRORS, open_sequences
from scdnet.engine.build import open_clips
from scdnet.engine.logs import say
from scdnet.engine.runtime import keep_freed_memory, resolve_device, set_precision
from scdnet.errors import ScdnetError
from scdnet.eval.features import Features, Source, extract_features, load_source
from scdnet.files import file_sha256

FORMAT, VERSION = "scdnet-features", 1
SAME = 0.05  # of its length: features of one sequence differ by less, bf16 against fp32 by 2 %, of two by 10 % and more
SOURCE = {  # attribute of the file, by field of Source
    "checkpoint": "checkpoint",
    "sha256": "checkpoint_sha256",
    "seed": "seed",
    "epoch": "epoch",
    "pretrained_on": "pretrained_on",
}


class FeatureFileError(ScdnetError):
    """A features file that is missing, damaged, of another kind, or that does not fit."""


@dataclass(frozen=True)
class FeatureTable:
    """A row for each sequence of a store, in its order."""

    x: Tensor  # (N, 2D) float32 on the CPU: [v_t ; v_s]
    label: Tensor  # (N,) int64
    name: np.ndarray  # (N,) str, rising
    is_train: dict[str, Tensor]  # by benchmark: (N,) bool
    class_names: tuple[str, ...]
    dataset: str
    stream: str
    store: str  # path
    source: Source
    store_sha256: str | None = None  # of features that were read from a file

    def rows(self, benchmark: str, *, train: bool) -> Tensor:
        """The rows of one split of `benchmark`, rising. Raises ScdnetError if there is no such benchmark, or row."""
        if benchmark not in self.is_train:
            known = ", ".join(self.is_train) or "none"
            raise ScdnetError(f"{self.store}: no benchmark {benchmark!r}; its features have {known}")
        rows = (self.is_train[benchmark] == train).nonzero()[:, 0]
        if not len(rows):
            side = "training" if train else "test"
            raise ScdnetError(f"{self.store}: the {side} split of benchmark {benchmark!r} is empty")
        return rows

    def features(self, rows: Tensor) -> Features:
        """The features and classes of `rows` (n,)."""
        return Features(self.x[rows], self.label[rows])


def gallery_across(other: FeatureTable, table: FeatureTable, queries: Tensor) -> tuple[Features, Tensor]:
    """All of `other` with a class of `table`, in the ids of `table`, and those of the rows `queries` with such a class.

    Classes are matched by name. Raises ScdnetError if there are none, if the encoders differ, or if a sequence is both
    query and in the gallery.
    """
    if other.x.shape[1:] != table.x.shape[1:] or other.source.sha256 != table.source.sha256:
        raise ScdnetError(f"{other.store} and {table.store}: expected features of one encoder")
    both, theirs, ours = np.intersect1d(other.name, table.name[queries], return_indices=True)
    theirs, ours = other.x[theirs], table.x[queries[ours]]
    is_same = ((theirs - ours).norm(dim=1) < SAME * ours.norm(dim=1)).numpy()  # other data sets may have the same names
    if is_same.any():
        raise ScdnetError(
            f"{other.store}: {is_same.sum()} of its sequences are queries too, {both[is_same][0]} for one"
        )
    own = {name: number for number, name in enumerate(table.class_names)}
    translated = torch.tensor([own.get(name, -1) for name in other.class_names])[other.label]
    is_known = translated >= 0
    common = translated[is_known].unique()
    queries = queries[torch.isin(table.label[queries], common)]
    if not len(queries):
        raise ScdnetError(f"{other.store} and {table.store}: no class of one name")
    return Features(other.x[is_known], translated[is_known]), queries


def extract_table(config: Config, checkpoint: str) -> FeatureTable:
    """The features that `checkpoint` (see `load_source`) gives of the config's store: one pass over its sequences."""
    encoder, source = load_source(checkpoint, config)
    device = resolve_device(config.device)
    clips = open_clips(config, device)
    say(clips.place)
    keep_freed_memory()
    features = extract_features(encoder, clips, config.precision)
    set_precision("fp32", device)  # what follows is a function of the features alone
    with open_sequences(config.data.store) as store:
        is_train = {benchmark: torch.from_numpy(store.is_train(benchmark)) for benchmark in store.benchmarks}
    about = {"class_names": clips.class_names, "dataset": clips.dataset, "stream": config.stream}
    return FeatureTable(
        *features, name=clips.name, is_train=is_train, **about, store=str(config.data.store), source=source
    )


def write_features(path: Path, table: FeatureTable) -> None:
    """Write `table` to an HDF5 file (docs/data.md)."""
    with h5py.File(path, "w") as file:
        file["features"] = table.x.numpy()
        file["label"] = table.label.numpy()
        file.create_dataset("name", data=table.name.tolist(), dtype=h5py.string_dtype())
        file.create_group("split")
        for benchmark, is_train in table.is_train.items():
            file[f"split/{benchmark}"] = is_train.numpy()
        source = {SOURCE[key]: value for key, value in table.source._asdict().items() if value is not None}
        file.attrs.update({"checkpoint_sha256": table.source.checkpoint, **source})  # of a control its name
        file.attrs.update(
            format=FORMAT,
            version=VERSION,
            class_names=list(table.class_names),
            dataset=table.dataset,
            stream=table.stream,
            store=table.store,
            store_sha256=file_sha256(Path(table.store)),
        )


def read_features(path: Path, *, like: Config | None = None, checkpoint: str | None = None) -> FeatureTable:
    """Read a features file.

    With `like` and `checkpoint`: raises FeatureFileError if it was not made by that checkpoint from the store of that
    config, by their hashes, or of another stream.
    """
    with _reading(path), h5py.File(path, "r") as file:
        found = (file.attrs.get("format"), file.attrs.get("version"))
        if found != (FORMAT, VERSION):
            raise FeatureFileError(f"{path}: expected {FORMAT} of version {VERSION}, found {found[0]} of {found[1]}")
        attrs = dict(file.attrs)
        source = {key: attrs.get(attribute) for key, attribute in SOURCE.items()}
        source |= {key: int(source[key]) for key in ("seed", "epoch") if source[key] is not None}
        source["sha256"] = None if source["sha256"] == source["checkpoint"] else source["sha256"]
        table = FeatureTable(
            x=torch.from_numpy(file["features"][:]),
            label=torch.from_numpy(file["label"][:]),
            name=np.array(file["name"].asstr()[:], dtype=str),
            is_train={benchmark: torch.from_numpy(split[:]) for benchmark, split in file["split"].items()},
            class_names=tuple(attrs["class_names"]),
            **{key: attrs[key] for key in ("dataset", "stream", "store", "store_sha256")},
            source=Source(**source),
        )
    _check_table(path, table)
    if like is not None:
        _check_origin(path, attrs, like, checkpoint)
    return table


def _check_table(path: Path, table: FeatureTable) -> None:
    rows = (len(table.x),)
    columns = {"label": table.label, "name": table.name}
    columns |= {f"split/{benchmark}": is_train for benchmark, is_train in table.is_train.items()}
    for key, column in columns.items():
        if tuple(column.shape) != rows:
            raise FeatureFileError(f"{path}: expected {key} of {rows[0]} rows, found {tuple(column.shape)}")
    if table.x.dim() != 2 or table.x.dtype != torch.float32 or not table.x.isfinite().all():
        raise FeatureFileError(f"{path}: expected finite float32 features (N, 2D), found {tuple(table.x.shape)}")
    if not (table.name[1:] > table.name[:-1]).all():
        raise FeatureFileError(f"{path}: expected names that rise, each once")
    if not ((table.label >= 0) & (table.label < len(table.class_names))).all():
        raise FeatureFileError(f"{path}: expected labels in 0..{len(table.class_names) - 1}")


def _check_origin(path: Path, attrs: dict[str, str], config: Config, checkpoint: str | None) -> None:
    expected = {"store_sha256": file_sha256(config.data.store), "stream": config.stream}
    if checkpoint is not None:
        is_file = Path(checkpoint).is_file()
        expected["checkpoint_sha256"] = file_sha256(Path(checkpoint)) if is_file else checkpoint
    for key, value in expected.items():
        if attrs[key] != value:
            raise FeatureFileError(f"{path}: its {key} is {attrs[key]}, expected {value}; make it anew")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise FeatureFileError(f"{path}: no such features file; make one with tools/extract_features.py")
    try:
        yield
    except READ_ERRORS as error:
        raise FeatureFileError(f"{path}: not a readable features file ({error})") from error
