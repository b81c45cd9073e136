"""The features of a store as an HDF5 file (docs/data/features.md)."""

import json
from pathlib import Path

import h5py
import numpy as np
import torch

from scdnet.errors import ScdnetError
from scdnet.eval.feature_table import FeatureTable
from scdnet.files import DAMAGED_FILE_ERRORS, find_download_fault
from scdnet.results.record import EncoderRecord
from scdnet.skeleton import Skeleton

FORMAT = "scdnet-features"
VERSION = 2
# Attributes besides those of the record of the encoder.
TEXTS = ("dataset", "store", "store_sha256")


class FeatureFileError(ScdnetError):
    """A features file that is missing, damaged, of another kind, or that does not fit."""


def write_features(path: Path, table: FeatureTable) -> None:
    """Write `table` to a features file."""
    with h5py.File(path, "w") as file:
        file["features"] = table.x.numpy()
        file["label"] = table.label.numpy()
        file.create_dataset("name", data=table.name.tolist(), dtype=h5py.string_dtype())
        file.create_group("split")
        for benchmark, is_train in table.is_train.items():
            file[f"split/{benchmark}"] = is_train.numpy()
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


def read_features(path: Path) -> FeatureTable:
    """Read a features file. Raises FeatureFileError if it is missing, damaged or malformed."""
    if not path.is_file():
        raise FeatureFileError(f"{path}: no such features file; create it with scdnet extract")
    try:
        with h5py.File(path, "r") as file:
            table = _read_table(path, file)
    except DAMAGED_FILE_ERRORS as error:
        fault = find_download_fault(path)
        if fault is not None:
            raise FeatureFileError(f"{path}: expected a features file, found {fault}") from None
        raise FeatureFileError(f"{path}: not a readable features file ({error})") from error
    _check_table(path, table)
    return table


def _read_table(path: Path, file: h5py.File) -> FeatureTable:
    # Numbers come from h5py as those of numpy.
    attrs = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in file.attrs.items()
    }
    found = (attrs.get("format"), attrs.get("version"))
    if found != (FORMAT, VERSION):
        raise FeatureFileError(
            f"{path}: expected {FORMAT} of version {VERSION}, found {found[0]} of {found[1]}"
        )
    encoder = {key: attrs.get(key) for key in EncoderRecord.model_fields}
    return FeatureTable(
        x=torch.from_numpy(file["features"][:]),
        label=torch.from_numpy(file["label"][:]),
        name=np.array(file["name"].asstr()[:], dtype=str),
        is_train={key: torch.from_numpy(split[:]) for key, split in file["split"].items()},
        class_names=tuple(attrs["class_names"]),
        skeleton=Skeleton.from_dict(json.loads(attrs["skeleton"])),
        **{key: attrs[key] for key in TEXTS},
        encoder=EncoderRecord.model_validate(encoder),
        settings=dict(json.loads(attrs["extraction_settings"])),
    )


def _check_table(path: Path, table: FeatureTable) -> None:
    num_rows = len(table.x)
    shapes = {"label": table.label.shape, "name": table.name.shape}
    shapes |= {f"split/{key}": is_train.shape for key, is_train in table.is_train.items()}
    for key, shape in shapes.items():
        if tuple(shape) != (num_rows,):
            raise FeatureFileError(
                f"{path}: expected {key} of {num_rows} rows, found {tuple(shape)}"
            )
    if table.x.dim() != 2 or table.x.dtype != torch.float32 or not table.x.isfinite().all():
        raise FeatureFileError(
            f"{path}: expected finite float32 features (N, 2D), found {tuple(table.x.shape)}"
        )
    if not (table.name[1:] > table.name[:-1]).all():
        raise FeatureFileError(f"{path}: expected sorted, unique names")
    if not ((table.label >= 0) & (table.label < len(table.class_names))).all():
        raise FeatureFileError(f"{path}: expected labels in 0..{len(table.class_names) - 1}")
