"""Small files of CTR-GCN's preprocessing, and how the tests import them."""

from pathlib import Path

import numpy as np

from scdnet.raw.ready_made import ctrgcn
from scdnet.raw.ready_made.scratch import Scratch
from tests.raw.ready_made.importing import (
    import_files,
    make_walk,
)

# Subjects 1 and 2 train, 3 tests; cameras 2 and 3 train, 1 tests.
NAMES = (
    "S001C001P003R001A001", "S001C002P002R001A002", "S001C003P001R001A060", "S001C001P001R001A004",
)  # fmt: skip


def imported(roots, tmp_path, names=None):
    """Open and import files; return what was opened, sequences and rejections."""
    with Scratch(tmp_path / "out" / "a.h5") as scratch:
        roots = [roots] if isinstance(roots, Path) else roots
        ready_made = ctrgcn.open_files(roots, scratch, names)
        return ready_made, *import_files(ready_made)


def make_rows(names, num_frames=6):
    """Return rows (N, T, 150) as CTR-GCN writes them, and their labels (N, 60)."""
    rows = np.zeros((len(names), num_frames + 2, 2, 25, 3), np.float32)
    labels = np.zeros((len(names), 60))
    for row, name in enumerate(names):
        (body,) = make_walk(num_frames, 1, seed=int(name[-3:]))
        rows[row, :num_frames, 0] = body - body[0, 1]
        labels[row, int(name[-3:]) - 1] = 1
    return rows.reshape(len(names), -1, 150), labels


def make_arrays():
    """Return the arrays of the x-sub file of NAMES: ordered by subject, then as listed."""
    x_train, y_train = make_rows([NAMES[2], NAMES[3], NAMES[1]])
    x_test, y_test = make_rows([NAMES[0]])
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def write_npz(tmp_path, save=np.savez, name="NTU60_CS.npz", **arrays):
    (tmp_path / "raw").mkdir(exist_ok=True)
    path = tmp_path / "raw" / name
    save(path, **arrays)
    return path


def make_raw():
    """Return the content of `raw_skes_data.pkl` for NAMES."""
    return [
        {
            "name": np.str_(name),
            "num_frames": 6,
            "data": {
                "72057594037944738": {
                    "joints": make_walk(6, 1, int(name[-3:])).reshape(-1, 3).astype(np.float32),
                    "colors": np.zeros((6, 25, 2), np.float32),
                    "interval": list(range(6)),
                }
            },
        }
        for name in NAMES
    ]


def make_denoised():
    """Return the content of `raw_denoised_joints.pkl` for NAMES."""
    return [make_walk(6, 1, int(name[-3:])).reshape(6, 75).astype(np.float32) for name in NAMES]
