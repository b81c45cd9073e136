"""HDF5 files in which all that is read has a checksum (docs/data/store.md#checksums).

HDF5 itself verifies its metadata and the chunks of datasets. The texts of attributes lie outside
both, in blocks of their own, which a hash covers. Over damage in those HDF5 may hang, so they are
verified before any text is read.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

# The format of HDF5 1.10 is the first one in which all metadata have checksums.
LIBVER = ("v110", "v110")
# Larger chunks cost fewer calls and no longer fit into the cache of a CPU.
CHUNK_BYTES = 2**20
# These attributes of the file state where the texts of all attributes lie, and their hash as a
# hexadecimal number. They are no texts of variable length themselves.
TEXT_BLOCKS = "text_blocks"  # int64 (K, 2): address and size in bytes
TEXT_SHA256 = "text_sha256"
# A global heap collection of HDF5 starts with its signature, version and three zeros; its size
# follows. Source: HDF5 File Format Specification 3.0, section III.E.
HEAP_START = b"GCOL\x01\x00\x00\x00"
# HDF5 reports this where a checksum does not match: of a chunk of a dataset, and of metadata.
CHECKSUM_REPORTS = ("filter returned failure", "incorrect metadata checksum")
MAX_REASON = 120  # letters


def write_dataset(group: h5py.Group, key: str, values: np.ndarray) -> None:
    """Write `values` of at least one row to a new dataset whose chunks have checksums.

    Texts become UTF-8 of a fixed length: those of variable length cannot have checksums.
    """
    if values.dtype.kind == "U":
        texts = np.char.encode(values, "utf-8")
        values = texts.astype(h5py.string_dtype("utf-8", texts.dtype.itemsize))
    rows = max(1, CHUNK_BYTES // values[0].nbytes)
    chunks = (min(rows, len(values)), *values.shape[1:])
    group.create_dataset(key, data=values, chunks=chunks, fletcher32=True)


def seal_texts(file: h5py.File, path: Path, *, first: int = 0) -> None:
    """Write the hash of the texts of all attributes of `file`, after the last of them.

    `path` is where the file is written; none of the texts lies before the byte `first`.
    """
    file.flush()
    with path.open("rb") as raw:
        raw.seek(first)
        tail = raw.read()
    blocks = []
    start = tail.find(HEAP_START)
    while start >= 0:
        place = start + len(HEAP_START)
        size = int.from_bytes(tail[place : place + 8], "little")
        blocks.append((first + start, size))
        start = tail.find(HEAP_START, place)
    file.attrs[TEXT_BLOCKS] = np.array(blocks, dtype=np.int64).reshape(-1, 2)
    file.attrs[TEXT_SHA256] = np.bytes_(_hash_blocks(path, blocks))


def verify_texts(file: h5py.File, path: Path, *, version: int) -> None:
    """Raise ValueError if the texts of attributes of `file` are not those that were sealed.

    A file of another version than `version` has no hash of them. Raises what h5py does over damage
    elsewhere.
    """
    # Unlike `get`, the names of all attributes tell damage from absence.
    if "version" not in set(file.attrs) or not np.array_equal(file.attrs["version"], version):
        return
    expected = bytes(file.attrs[TEXT_SHA256]).decode()
    found = _hash_blocks(path, file.attrs[TEXT_BLOCKS].tolist())
    if found != expected:
        raise ValueError(f"they do not match {TEXT_SHA256}: they are damaged or were changed")


def reason_of(error: Exception) -> str:
    """Return on one line why HDF5 could not read."""
    # The text of a KeyError is the representation of its argument.
    text = one_line(error.args[0] if isinstance(error, KeyError) and error.args else error)
    is_mismatch = any(report in text for report in CHECKSUM_REPORTS)
    return "checksum mismatch: damaged or changed" if is_mismatch else text


def is_damage(error: Exception) -> bool:
    """Return whether `error` comes from the content of a file.

    An error of the system, such as a missing permission, has a number.
    """
    return getattr(error, "errno", None) is None


def one_line(value: object) -> str:
    """Return the text of `value` on one line of at most MAX_REASON letters."""
    text = " ".join(str(value).encode(errors="backslashreplace").decode().split())
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 3] + "..."


def _hash_blocks(path: Path, blocks: Iterable[tuple[int, int]]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as raw:
        for start, size in blocks:
            raw.seek(start)
            digest.update(raw.read(size))
    return digest.hexdigest()
