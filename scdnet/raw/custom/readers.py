"""Custom recordings in files (docs/data/own.md): from bytes to checked positions."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from scdnet.raw.custom.arrays import read_npy, read_npz
from scdnet.raw.custom.bvh import read_bvh
from scdnet.raw.custom.c3d_markers import read_c3d
from scdnet.raw.custom.checks import check_reading
from scdnet.raw.custom.csv_file import read_csv
from scdnet.raw.custom.json_file import read_json
from scdnet.raw.custom.reading import Reading
from scdnet.raw.raw_files import RawFileError
from scdnet.skeleton import Skeleton

# Reads the content of a file, given its name and the joints that it is said to contain.
Reader = Callable[[bytes, str, Skeleton], Reading]
READERS: Mapping[str, Reader] = {
    ".npz": read_npz,
    ".npy": read_npy,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".json": read_json,
    ".bvh": read_bvh,
    ".c3d": read_c3d,
}
SUFFIXES = tuple(READERS)


def read_joints(data: bytes, where: str, skeleton: Skeleton) -> Reading:
    """Read the content of one recording, in the format that the suffix of `where` tells.

    Returns float64 in the unit and axes of the file, with the joints of `skeleton`. Raises
    RawFileError for content in another form, numbers that are not finite, joints that were not
    tracked, and if no frame has a body.
    """
    reader = READERS.get(Path(where).suffix.lower())
    if reader is None:
        raise RawFileError(where, 0, f"expected a name that ends in {' or '.join(SUFFIXES)}")
    return finish_reading(reader(data, where, skeleton), where, skeleton)


def finish_reading(reading: Reading, where: str, skeleton: Skeleton) -> Reading:
    """Check what a reader returns and convert it to float64. Raises RawFileError."""
    reading = reading._replace(bodies=reading.bodies.astype(np.float64, copy=False))
    check_reading(reading, where, skeleton)
    return reading
