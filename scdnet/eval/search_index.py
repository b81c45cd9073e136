"""An index of the features of very many windows, kept beside their file; needs faiss.

The index (faiss's IVF with 8-bit numbers) proposes rows, whose cosines are then read from the
features file. So cosines are exact, and only a hit that is not proposed can be missed; how many are
is measured when the index is built.
"""

import json
import math
import os
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.eval.embedding_file import Embedding, read_chunks, read_rows
from scdnet.eval.search import Hit, cosine_similarity, select_hits
from scdnet.files import DAMAGED_FILE_ERRORS, atomic_write, check_writable
from scdnet.memory import memory_advice

# Up to so many rows, reading all of them takes no longer than starting the program.
MAX_EXACT_ROWS = 1_000_000
# Hits of one search at most; more are searched exactly.
MAX_HITS = 100
# Rows that are proposed at first: those of the best hits and of windows that overlap them.
NUM_PROPOSED = 10 * MAX_HITS
# Windows whose hits are compared with those of an exact search.
NUM_SAMPLES = 32
# The share of hits that should be found, and the lists that are searched at first for it.
TARGET_RECALL = 0.99
MIN_LISTS = 8
# Rows by which each list is found; faiss warns of less than 39.
TRAINING_ROWS = 40
SUFFIX = ".faiss"
# The file ends with facts, their length in this many bytes, and a mark; faiss reads none of it.
LENGTH_BYTES = 8
MARK = b"scdnet-index-v1\n"


@dataclass(frozen=True)
class Facts:
    """Facts that a file of an index states beside the index itself."""

    # They tell whether the features file is the one that was indexed.
    num_bytes: int
    modified_ns: int
    # The number of lists that are searched for a query.
    num_lists: int
    # The share of the best 1, 2, ... hits of an exact search that are found.
    recall: list[float]


@dataclass(frozen=True)
class SearchIndex:
    """An index of the windows of an embedding."""

    embedding: Embedding
    facts: Facts
    # It is a faiss.IndexIVF.
    index: Any

    def find_hits(self, query: np.ndarray, top: int) -> list[Hit]:
        """Return up to `top` hits of a query (D,), at most MAX_HITS.

        Always MAX_HITS are looked for, since the stated recall was measured so: the more lists that
        takes, the more of the first hits are found as well. If windows that overlap leave too few,
        more are proposed, in the end all.
        """
        return find_proposed(self.embedding, self.index, self.facts.num_lists, query=query)[:top]


def find_proposed(
    embedding: Embedding, index: Any, num_lists: int, *, query: np.ndarray
) -> list[Hit]:
    """Return the best MAX_HITS hits among the rows that an index proposes for a query (D,)."""
    import faiss

    q = normalize(torch.from_numpy(query[None])).numpy()
    num = NUM_PROPOSED
    while True:
        parameters = faiss.SearchParametersIVF(nprobe=min(num_lists, index.nlist))
        _, found = index.search(q, min(num, len(embedding)), params=parameters)
        # A list that has no more rows gives -1.
        rows = np.unique(found[(found >= 0) & (found < len(embedding))])
        (cosines,) = cosine_similarity(query[None], [read_rows(embedding, rows)])
        hits = select_hits(embedding, cosines, MAX_HITS, rows=rows)
        is_exhausted = num >= len(embedding) and num_lists >= index.nlist
        if len(hits) == MAX_HITS or is_exhausted:
            return hits
        num *= 4
        num_lists *= 4


def open_index(embedding: Embedding) -> SearchIndex | None:
    """Return the index of an embedding, which is built once; None if it is to be searched exactly.

    That is so if it is small, or faiss is not installed, or the index cannot be written; log says
    why.
    """
    if len(embedding) <= MAX_EXACT_ROWS:
        return None
    much = f"{embedding.path}: {len(embedding):,} rows, all of which are compared"
    # Elsewhere, faiss and torch bring two copies of OpenMP and crash together.
    if sys.platform != "linux":
        log(f"{much}; an index is only built on Linux")
        return None
    if find_spec("faiss") is None:
        log(f"{much}; an index makes searches faster: pip install 'scdnet[faiss]'")
        return None
    path = embedding.path.with_name(embedding.path.name + SUFFIX)
    found = read_index(path, embedding)
    if found is not None:
        return found
    try:
        check_writable(path)
        log(f"{path}: building an index, once")
        build_index(path, embedding)
    except ScdnetError as error:
        log(f"{much}; no index was built: {error}")
        return None
    return read_index(path, embedding)


def read_index(path: Path, embedding: Embedding) -> SearchIndex | None:
    """Return the index in a file, or None if there is none of this very embedding."""
    import faiss

    if not path.is_file():
        return None
    try:
        facts = _read_facts(path)
        if (facts.num_bytes, facts.modified_ns) != _state_of(embedding.path):
            return None
        # Only the lists that are searched are read.
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    except DAMAGED_FILE_ERRORS:
        return None
    return SearchIndex(embedding, facts, index)


def _read_facts(path: Path) -> Facts:
    with path.open("rb") as file:
        file.seek(-LENGTH_BYTES - len(MARK), os.SEEK_END)
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if file.read() != MARK:
            raise ValueError("not an index of scdnet")
        file.seek(-LENGTH_BYTES - len(MARK) - length, os.SEEK_END)
        return Facts(**json.loads(file.read(length)))


def _state_of(path: Path) -> tuple[int, int]:
    """Return the size and the time of change of a file."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


@memory_advice("free memory for an index")
def build_index(path: Path, embedding: Embedding) -> None:
    """Write an index of an embedding to a file: as many lists as the square root of its rows.

    Takes a quarter of the memory of the features.
    """
    import faiss

    num_bytes, modified_ns = _state_of(embedding.path)
    num_lists = math.isqrt(len(embedding))
    index = faiss.index_factory(embedding.width, f"IVF{num_lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(_sample_rows(embedding, TRAINING_ROWS * num_lists))
    for x in read_chunks(embedding):
        index.add(normalize(x).numpy())
    num_searched, recall = choose_lists(embedding, index)
    text = json.dumps(asdict(Facts(num_bytes, modified_ns, num_searched, recall))).encode()
    with atomic_write(path) as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))
        file.write(text + len(text).to_bytes(LENGTH_BYTES, "little") + MARK)


def _sample_rows(embedding: Embedding, num: int) -> np.ndarray:
    """Return about `num` features, evenly spread over the rows and of length 1."""
    step = max(1, len(embedding) // num)
    start = 0
    parts = []
    for x in read_chunks(embedding):
        parts.append(normalize(x[-start % step :: step]).numpy())
        start += len(x)
    return np.concatenate(parts)


def choose_lists(embedding: Embedding, index: Any) -> tuple[int, list[float]]:
    """Return how many lists to search, and the recall of the best 1, 2, ... hits with them.

    It is measured against an exact search for NUM_SAMPLES windows. The window itself, which is
    always found, does not count.
    """
    generator = np.random.default_rng(0)
    num = min(NUM_SAMPLES, len(embedding))
    rows = np.sort(generator.choice(len(embedding), num, replace=False))
    queries = read_rows(embedding, rows).numpy()
    exact = [
        _other_rows(select_hits(embedding, cosines, MAX_HITS), row)
        for row, cosines in zip(
            rows.tolist(), cosine_similarity(queries, read_chunks(embedding)), strict=True
        )
    ]
    num_lists = min(MIN_LISTS, index.nlist)
    while True:
        found = [
            _other_rows(find_proposed(embedding, index, num_lists, query=query), row)
            for row, query in zip(rows.tolist(), queries, strict=True)
        ]
        recall = measure_recall(exact, found)
        if min(recall) >= TARGET_RECALL or num_lists == index.nlist:
            return num_lists, recall
        num_lists = min(2 * num_lists, index.nlist)


def _other_rows(hits: list[Hit], row: int) -> list[int]:
    return [hit.row for hit in hits if hit.row != row]


def measure_recall(exact: list[list[int]], found: list[list[int]]) -> list[float]:
    """Return the share of the best 1, 2, ..., MAX_HITS rows of `exact` that `found` has as well."""
    recall = []
    for top in range(1, MAX_HITS + 1):
        num_found = sum(len(set(a[:top]) & set(b[:top])) for a, b in zip(exact, found, strict=True))
        recall.append(num_found / max(1, sum(len(a[:top]) for a in exact)))
    return recall
