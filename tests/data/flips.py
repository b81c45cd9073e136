"""Flips of bits of a store or a features file, one at a time, each followed by reading all.

A flip that hangs ends the process after SECONDS; nothing waits for longer than reading takes.
"""

import faulthandler
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scdnet.data import store as store_module
from scdnet.data.checked_file import HEAP_START
from scdnet.data.store import StoreError, open_sequences
from scdnet.eval import embedding_file, feature_file
from scdnet.eval.embedding_file import read_chunks, read_embedding
from scdnet.eval.feature_file import FeatureFileError, read_features

SECONDS = 10


def read_store(path: Path) -> list:
    """Read all of a store, sequence by sequence."""
    with open_sequences(path) as store:
        arrays = [store.offset, *store.table, *map(store.is_train, store.benchmarks)]
        arrays += [store[index].frames for index in range(len(store))]
        facts = (store.dataset, store.class_names, store.skeleton, store.content_sha256)
        return [facts, store.benchmarks, *map(describe_array, arrays)]


def read_feature_table(path: Path) -> list:
    """Read all of a features file."""
    values = vars(read_features(path))
    splits = {key: split.tolist() for key, split in values.pop("is_train").items()}
    arrays = [describe_array(np.asarray(values.pop(key))) for key in ("x", "label", "name")]
    return [values, splits, *arrays]


def read_windows(path: Path) -> list:
    """Read all of the features of windows."""
    values = vars(read_embedding(path)).copy()
    arrays = [values.pop(key) for key in ("source", "num_frames", "recording", "first", "last")]
    arrays += [x.numpy() for x in read_chunks(read_embedding(path))]
    return [values, *map(describe_array, arrays)]


def describe_array(array: np.ndarray) -> tuple:
    """Return what distinguishes an array from others, to the bit."""
    return array.dtype.str, array.shape, array.tobytes()


KINDS: dict[str, tuple[Callable[[Path], list], type[Exception], str]] = {
    "store": (read_store, StoreError, store_module.CURE),
    "features": (read_feature_table, FeatureFileError, feature_file.CURE),
    "embedding": (read_windows, FeatureFileError, embedding_file.CURE),
}


def draw_bits(content: bytes, count: int, seed: int) -> list[int]:
    """Draw bits of a file, every tenth among the texts of attributes, where HDF5 may hang."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(8 * len(content), size=count)
    texts = 8 * content.index(HEAP_START)
    bits[::10] = texts + rng.integers(8 * 1024, size=len(bits[::10]))
    return bits.tolist()


def flip_bits(kind: str, path: Path, count: int, seed: int = 0) -> None:
    """Flip bits of a file, for a process of its own, which ends with status 0 if all is well.

    The status is another if a flip changes what is read without an error, crashes or hangs.
    """
    read, error_type, cure = KINDS[kind]
    content = path.read_bytes()
    expected = read(path)
    num_found = 0
    for bit in draw_bits(content, count, seed):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        # After a crash or a hang this is the last line.
        print("bit", bit, file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            if read(path) != expected:
                sys.exit("read without an error, but not as written")
        except error_type as error:
            num_found += 1
            text = str(error)
            if not text.startswith(f"{path}: ") or "\n" in text or not text.endswith(cure):
                sys.exit(f"expected a line with the path and what to do, found {text}")
    faulthandler.cancel_dump_traceback_later()
    # Else the flips miss what is read.
    sys.exit(num_found < count / 3)
