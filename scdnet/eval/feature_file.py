"""The features of a store as an HDF5 file (docs/data.md)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import h5py
import numpy as np
import torch

from scdnet.config import Config
from scdnet.data.store import READ_ERRORS
from scdnet.engine.device import resolve_device
from scdnet.engine.distributed import is_main, process_group
from scdnet.errors import ScdnetError
from scdnet.eval.feature_table import FeatureTable, extract_table
from scdnet.eval.features import RANDOM_INIT, Source, extraction_settings
from scdnet.files import atomic_write, file_sha256

FORMAT, VERSION = "scdnet-features", 1
SOURCE = {  # attribute of the file, by field of Source
    "checkpoint": "checkpoint",
    "sha256": "checkpoint_sha256",
    "seed": "seed",
    "epoch": "epoch",
    "pretrained_on": "pretrained_on",
    "display_name": "display_name",
}


class FeatureFileError(ScdnetError):
    """A features file that is missing, damaged, of another kind, or that does not fit."""


def write_extracted(path: Path, config: Config, checkpoint: str) -> FeatureTable:
    """Extract the features that `checkpoint` gives of the config's store into the file `path`.

    Of several ranks all extract and the first writes.
    """
    writing = atomic_write(path) if is_main() else nullcontext()
    # opened before the work: a place that cannot be written to is an error at once
    with process_group(resolve_device(config.device)), writing as partial:
        table = extract_table(config, checkpoint)
        if partial is not None:
            write_features(partial, table)
    return table


def write_features(path: Path, table: FeatureTable) -> None:
    """Write `table` to a features file."""
    with h5py.File(path, "w") as file:
        file["features"] = table.x.numpy()
        file["label"] = table.label.numpy()
        file.create_dataset("name", data=table.name.tolist(), dtype=h5py.string_dtype())
        file.create_group("split")
        for benchmark, is_train in table.is_train.items():
            file[f"split/{benchmark}"] = is_train.numpy()
        source = {
            SOURCE[key]: value for key, value in table.source._asdict().items() if value is not None
        }
        file.attrs.update(
            {"checkpoint_sha256": table.source.checkpoint, **source}
        )  # of a control its name
        file.attrs.update(
            format=FORMAT,
            version=VERSION,
            class_names=list(table.class_names),
            dataset=table.dataset,
            stream=table.stream,
            store=table.store,
            store_sha256=table.store_sha256,
            extraction_settings=json.dumps(table.extraction_settings),
        )


def read_features(
    path: Path, *, like: Config | None = None, checkpoint: str | None = None
) -> FeatureTable:
    """Read a features file.

    With `like` and `checkpoint`: raises FeatureFileError if it was not made by that checkpoint from the store of that
    config, by their hashes, or with other values of `extraction_settings`.
    """
    with _reading(path), h5py.File(path, "r") as file:
        found = (file.attrs.get("format"), file.attrs.get("version"))
        if found != (FORMAT, VERSION):
            raise FeatureFileError(
                f"{path}: expected {FORMAT} of version {VERSION}, found {found[0]} of {found[1]}"
            )
        attrs = dict(file.attrs)
        source = {key: attrs.get(attribute) for key, attribute in SOURCE.items()}
        source |= {key: int(source[key]) for key in ("seed", "epoch") if source[key] is not None}
        source["sha256"] = None if source["sha256"] == source["checkpoint"] else source["sha256"]
        table = FeatureTable(
            x=torch.from_numpy(file["features"][:]),
            label=torch.from_numpy(file["label"][:]),
            name=np.array(file["name"].asstr()[:], dtype=str),
            is_train={
                benchmark: torch.from_numpy(split[:]) for benchmark, split in file["split"].items()
            },
            class_names=tuple(attrs["class_names"]),
            **{key: attrs[key] for key in ("dataset", "stream", "store", "store_sha256")},
            source=Source(**source),
            extraction_settings=dict(json.loads(attrs.get("extraction_settings", "{}"))),
        )
    _check_table(path, table)
    if like is not None:
        _check_origin(path, table, like, checkpoint)
    return table


def _check_table(path: Path, table: FeatureTable) -> None:
    rows = (len(table.x),)
    columns = {"label": table.label, "name": table.name}
    columns |= {f"split/{benchmark}": is_train for benchmark, is_train in table.is_train.items()}
    for key, column in columns.items():
        if tuple(column.shape) != rows:
            raise FeatureFileError(
                f"{path}: expected {key} of {rows[0]} rows, found {tuple(column.shape)}"
            )
    if table.x.dim() != 2 or table.x.dtype != torch.float32 or not table.x.isfinite().all():
        raise FeatureFileError(
            f"{path}: expected finite float32 features (N, 2D), found {tuple(table.x.shape)}"
        )
    if not (table.name[1:] > table.name[:-1]).all():
        raise FeatureFileError(f"{path}: expected names that rise, each once")
    if not ((table.label >= 0) & (table.label < len(table.class_names))).all():
        raise FeatureFileError(f"{path}: expected labels in 0..{len(table.class_names) - 1}")


def _check_origin(path: Path, table: FeatureTable, config: Config, checkpoint: str | None) -> None:
    younger = (
        extraction_settings(Config()) if table.extraction_settings else {}
    )  # what the file does not know had its default then
    found = {"store_sha256": table.store_sha256, **younger, **table.extraction_settings}
    expected = {"store_sha256": file_sha256(config.data.store), **extraction_settings(config)}
    if checkpoint is not None:
        is_file = Path(checkpoint).is_file()
        found["checkpoint_sha256"] = table.source.sha256 or table.source.checkpoint
        expected["checkpoint_sha256"] = file_sha256(Path(checkpoint)) if is_file else checkpoint
    if checkpoint == RANDOM_INIT:
        found["seed"], expected["seed"] = table.source.seed, config.seed
    for key, value in expected.items():
        if found.get(key) != value:
            raise FeatureFileError(
                f"{path}: its {key} is {found.get(key)}, expected {value}; make it anew"
            )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise FeatureFileError(
            f"{path}: no such features file; make one with tools/extract_features.py"
        )
    try:
        yield
    except READ_ERRORS as error:
        raise FeatureFileError(f"{path}: not a readable features file ({error})") from error
