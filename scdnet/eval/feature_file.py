"""The features of a store as an HDF5 file (docs/data/features.md)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from scdnet.data.checked_file import (
    LIBVER,
    is_damage,
    reason_of,
    seal_texts,
    verify_texts,
    write_dataset,
)
from scdnet.errors import ScdnetError
from scdnet.eval.feature_table import FeatureTable
from scdnet.files import DAMAGED_FILE_ERRORS, atomic_write, find_download_fault
from scdnet.results.record import EncoderRecord
from scdnet.skeleton import Skeleton

FORMAT = "scdnet-features"
VERSION = 3
# The version before had no checksums.
READABLE_VERSIONS = (2, VERSION)
# Attributes besides those of the record of the encoder.
TEXTS = ("dataset", "store", "store_sha256")
# Each error over damage ends with what to do.
CURE = "restore a copy, or extract the features with `scdnet extract` again"


class FeatureFileError(ScdnetError):
    """A features file that is missing, damaged, of another kind, or that does not fit."""


def write_features(path: Path, table: FeatureTable) -> None:
    """Write `table` to a features file, whole or not at all."""
    with atomic_write(path) as disk, h5py.File(disk, "w", libver=LIBVER) as file:
        write_dataset(file, "features", table.x.numpy())
        # The texts of attributes come after the features, which need not be read to find them.
        end_of_features = file.id.get_filesize()
        write_dataset(file, "label", table.label.numpy())
        write_dataset(file, "name", table.name)
        file.create_group("split")
        for benchmark, is_train in table.is_train.items():
            write_dataset(file, f"split/{benchmark}", is_train.numpy())
        encoder = {key: value for key, value in table.encoder.dump().items() if value is not None}
        file.attrs.update(encoder)
        file.attrs.update({key: getattr(table, key) for key in TEXTS})
        file.attrs.update(
            format=FORMAT,
            version=VERSION,
            class_names=list(table.class_names),
            skeleton=json.dumps(table.skeleton.to_dict()),
            extraction_settings=json.dumps(table.settings),
        )
        file.flush()
        disk.check()
        seal_texts(file, disk.path, first=end_of_features)


def read_features(path: Path) -> FeatureTable:
    """Read a features file. Raises FeatureFileError if it is missing, damaged or malformed."""
    with open_features(path, command="scdnet extract", cure=CURE) as file:
        table = _read_table(path, file)
    _check_table(path, table)
    return table


@contextmanager
def open_features(path: Path, *, command: str, cure: str) -> Iterator[h5py.File]:
    """Open a file of features that `command` writes.

    What HDF5 raises over damage while it is open becomes a FeatureFileError that ends in `cure`.
    """
    if not path.is_file():
        raise FeatureFileError(f"{path}: no such features file; create it with {command}")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except DAMAGED_FILE_ERRORS as error:
        fault = find_download_fault(path)
        if fault is not None:
            raise FeatureFileError(f"{path}: expected a features file, found {fault}") from None
        advice = f"; {cure}" if is_damage(error) else ""
        raise FeatureFileError(
            f"{path}: not a readable features file ({reason_of(error)}){advice}"
        ) from error


def read_attributes(
    path: Path, file: h5py.File, *, expected: str, versions: tuple[int, ...], advice: str = ""
) -> dict[str, Any]:
    """Return the attributes of an open file of the format `expected`, of one of `versions`.

    Those of the last version are verified. Raises FeatureFileError, and ValueError over damage.
    """
    with reading("attributes"):
        verify_texts(file, path, version=versions[-1])
        # Numbers come from h5py as those of numpy.
        attrs = {
            key: value.item() if isinstance(value, np.generic) else value
            for key, value in file.attrs.items()
        }
    version = attrs.get("version")
    if attrs.get("format") != expected or version not in versions:
        raise FeatureFileError(
            f"{path}: expected {expected} of version {' or '.join(map(str, versions))}, "
            f"found {attrs.get('format')} of {version}{advice}"
        )
    return attrs


def _read_table(path: Path, file: h5py.File) -> FeatureTable:
    attrs = read_attributes(path, file, expected=FORMAT, versions=READABLE_VERSIONS)
    encoder = {key: attrs.get(key) for key in EncoderRecord.model_fields}
    with reading("name"):
        name = np.array(file["name"].asstr()[:], dtype=str)
    with reading("split"):
        benchmarks = list(file["split"])
    return FeatureTable(
        x=_read(file, "features"),
        label=_read(file, "label"),
        name=name,
        is_train={key: _read(file, f"split/{key}") for key in benchmarks},
        class_names=tuple(attrs["class_names"]),
        skeleton=Skeleton.from_dict(json.loads(attrs["skeleton"])),
        **{key: attrs[key] for key in TEXTS},
        encoder=EncoderRecord.model_validate(encoder),
        settings=dict(json.loads(attrs["extraction_settings"])),
    )


def _read(file: h5py.File, key: str) -> Tensor:
    with reading(key):
        return torch.from_numpy(file[key][:])


@contextmanager
def reading(part: str) -> Iterator[None]:
    """Name the part of a file over whose damage HDF5 raises an error."""
    try:
        yield
    except DAMAGED_FILE_ERRORS as error:
        raise ValueError(f"{part}: {reason_of(error)}") from error


def _check_table(path: Path, table: FeatureTable) -> None:
    num_rows = len(table.x)
    shapes = {"label": table.label.shape, "name": table.name.shape}
    shapes |= {f"split/{key}": is_train.shape for key, is_train in table.is_train.items()}
    for key, shape in shapes.items():
        if tuple(shape) != (num_rows,):
            raise FeatureFileError(
                f"{path}: expected {key} of {num_rows} rows, found {tuple(shape)}"
            )
    if table.x.dim() != 2 or table.x.dtype != torch.float32 or not _is_finite(table.x):
        raise FeatureFileError(
            f"{path}: expected finite float32 features (N, 2D), found {tuple(table.x.shape)}"
        )
    if not (table.name[1:] > table.name[:-1]).all():
        raise FeatureFileError(f"{path}: expected sorted, unique names")
    if not ((table.label >= 0) & (table.label < len(table.class_names))).all():
        raise FeatureFileError(f"{path}: expected labels in 0..{len(table.class_names) - 1}")


def _is_finite(x: Tensor) -> bool:
    """Return whether all values are finite, in a tenth of the time of `x.isfinite().all()`.

    NaN is the least and the largest of any values.
    """
    return x.numel() > 0 and bool(torch.stack(torch.aminmax(x)).isfinite().all())
