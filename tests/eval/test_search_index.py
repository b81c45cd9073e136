"""Search through an index: the hits of an exact search, or as many of them as it states."""

import os
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from scdnet.eval import search_index
from scdnet.eval.embedding import window_starts
from scdnet.eval.embedding_file import (
    Block,
    Embedding,
    EmbeddingOrigin,
    read_chunks,
    read_embedding,
    read_rows,
    write_embedding,
)
from scdnet.eval.search import Hit, cosine_similarity, select_hits
from scdnet.eval.search_index import MAX_HITS, SearchIndex, measure_recall, open_index
from scdnet.skeletons import NTU_25
from tests.faults import largest_file

pytestmark = pytest.mark.skipif(find_spec("faiss") is None, reason="faiss is not installed")

WINDOW = 12
WIDTH = 16
NUM_FILES = 6
NUM_FRAMES = 900
# Much less than what an index would find by chance.
SLIGHT = 1e-5


def write_windows(path: Path, *, stride: int = 3, seed: int = 0) -> Embedding:
    """Write features that wander, so that windows that overlap are alike."""
    rng = np.random.default_rng(seed)
    starts = window_starts(NUM_FRAMES, window=WINDOW, stride=stride)
    origin = EmbeddingOrigin("last.pt", "a", "joint", NTU_25, "raw", {}, 30.0, WINDOW, stride)

    def block(number: int) -> Block:
        steps = rng.normal(size=(NUM_FRAMES + 20, WIDTH)).astype(np.float32).cumsum(axis=0)
        x = (steps[20:] - steps[:-20])[starts]
        return Block(f"{number}.csv", NUM_FRAMES, starts, starts + WINDOW - 1, x)

    write_embedding(path, origin, map(block, range(NUM_FILES)))
    return read_embedding(path)


def make_query(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)


def search_exactly(embedding: Embedding, query: np.ndarray, top: int) -> list[Hit]:
    (cosines,) = cosine_similarity(query[None], read_chunks(embedding))
    return select_hits(embedding, cosines, top)


@pytest.fixture(scope="module", autouse=True)
def small_numbers() -> Iterator[None]:
    """Build an index for a thousand rows, and measure its recall with a few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_index, "MAX_EXACT_ROWS", 1000)
        patch.setattr(search_index, "NUM_SAMPLES", 3)
        yield


def make_index(embedding: Embedding) -> SearchIndex:
    path = embedding.path.with_name(embedding.path.name + search_index.SUFFIX)
    search_index.build_index(path, embedding)
    found = search_index.read_index(path, embedding)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def index(small_numbers, tmp_path_factory: pytest.TempPathFactory) -> SearchIndex:
    return make_index(write_windows(tmp_path_factory.mktemp("index") / "f.h5"))


@pytest.mark.parametrize("top", [1, 20, MAX_HITS])
def test_hits_have_the_cosines_and_nearly_the_rows_of_an_exact_search(index: SearchIndex, top: int):
    num_missed = 0
    for seed in range(8):
        exact = search_exactly(index.embedding, make_query(seed), top)
        found = index.find_hits(make_query(seed), top)
        assert len(found) == top
        cosines = [hit.cosine for hit in found]
        assert cosines == sorted(cosines, reverse=True)
        known = {hit.row: hit.cosine for hit in exact}
        common = [hit for hit in found if hit.row in known]
        num_missed += top - len(common)
        assert all(abs(hit.cosine - known[hit.row]) < SLIGHT for hit in common)
    assert num_missed <= 0.05 * 8 * top


def test_hits_that_overlap_many_windows_are_as_many_as_asked_for(tmp_path: Path):
    # Each hit suppresses 22 others, so that those of the first proposal are not enough.
    embedding = write_windows(tmp_path / "f.h5", stride=1)
    assert 23 * MAX_HITS > search_index.NUM_PROPOSED
    index = make_index(embedding)
    for seed in range(2):
        exact = search_exactly(embedding, make_query(seed), MAX_HITS)
        found = index.find_hits(make_query(seed), MAX_HITS)
        assert len(found) == len(exact) == MAX_HITS
        assert len({hit.row for hit in found} & {hit.row for hit in exact}) > 0.9 * MAX_HITS


def test_with_few_windows_that_do_not_overlap_all_rows_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # There are hardly more rows than hits, whatever is proposed first.
    monkeypatch.setattr(search_index, "NUM_PROPOSED", 4)
    embedding = write_windows(tmp_path / "f.h5", stride=150)
    assert len(embedding) < MAX_HITS
    index = make_index(embedding)
    exact = search_exactly(embedding, make_query(0), MAX_HITS)
    found = index.find_hits(make_query(0), MAX_HITS)
    assert [hit.row for hit in found] == [hit.row for hit in exact]


def test_the_stated_recall_is_that_of_other_windows_of_the_file(index: SearchIndex):
    recall = index.facts.recall
    assert len(recall) == MAX_HITS and all(0.95 < one <= 1 for one in recall)
    assert min(recall) >= search_index.TARGET_RECALL or index.facts.num_lists == index.index.nlist


@pytest.mark.parametrize(("target", "num_lists"), [(0, search_index.MIN_LISTS), (1.1, None)])
def test_as_many_lists_are_searched_as_the_recall_needs(
    index: SearchIndex, monkeypatch: pytest.MonkeyPatch, target: float, num_lists: int | None
):
    monkeypatch.setattr(search_index, "TARGET_RECALL", target)
    chosen, recall = search_index.choose_lists(index.embedding, index.index)
    assert chosen == (num_lists or index.index.nlist)
    assert num_lists or min(recall) > 0.98


def test_recall_counts_the_best_hits_that_are_found():
    exact = [[1, 2, 3, 4], [5, 6]]
    found = [[2, 1, 9, 4], [5, 6]]
    recall = measure_recall(exact, found)
    # One of the best one each, all of the best two, five and six of the best three and four.
    assert recall[:4] == [1 / 2, 1, 4 / 5, 5 / 6]
    assert recall[4:] == [5 / 6] * (MAX_HITS - 4)


def test_an_index_is_built_once_for_a_features_file(tmp_path: Path, capsys):
    embedding = write_windows(tmp_path / "f.h5")
    index = open_index(embedding)
    assert "f.h5.faiss: building an index, once" in capsys.readouterr().err
    content = (tmp_path / "f.h5.faiss").read_bytes()
    again = open_index(embedding)
    assert not capsys.readouterr().err
    assert (tmp_path / "f.h5.faiss").read_bytes() == content
    assert again.find_hits(make_query(0), 9) == index.find_hits(make_query(0), 9)


@pytest.mark.parametrize("change", ["other features", "cut", "not an index", "empty", "damaged"])
def test_an_index_that_does_not_belong_to_the_features_is_built_again(
    tmp_path: Path, capsys, change: str
):
    embedding = write_windows(tmp_path / "f.h5")
    open_index(embedding)
    path = tmp_path / "f.h5.faiss"
    content = path.read_bytes()
    if change == "other features":
        earlier = (tmp_path / "f.h5").stat()
        embedding = write_windows(tmp_path / "f.h5", seed=1)
        assert (tmp_path / "f.h5").stat().st_size == earlier.st_size
        os.utime(tmp_path / "f.h5", ns=(0, earlier.st_mtime_ns + 1))
    elif change == "damaged":
        path.write_bytes(b"none" + content[4:])
    else:
        path.write_bytes({"cut": content[:-9], "not an index": b"x" * 99, "empty": b""}[change])
    capsys.readouterr()
    index = open_index(embedding)
    assert "building an index" in capsys.readouterr().err
    exact = search_exactly(embedding, make_query(0), 1)
    assert index.find_hits(make_query(0), 1)[0].row == exact[0].row


def test_without_faiss_all_rows_are_compared_and_a_line_says_so(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    embedding = write_windows(tmp_path / "f.h5")
    monkeypatch.setattr(search_index, "find_spec", lambda name: None)
    assert open_index(embedding) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{embedding.path}: {len(embedding):,} rows, all of which are compared" in line
    assert "pip install 'scdnet[faiss]'" in line
    assert not (tmp_path / "f.h5.faiss").exists()


def test_outside_linux_all_rows_are_compared_and_a_line_says_so(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    embedding = write_windows(tmp_path / "f.h5")
    monkeypatch.setattr(search_index.sys, "platform", "darwin")
    found = open_index(embedding)
    monkeypatch.undo()
    assert found is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("all of which are compared; an index is only built on Linux")
    assert not (tmp_path / "f.h5.faiss").exists()


def test_the_first_hits_are_the_same_however_many_are_asked_for(tmp_path: Path):
    # Few lists and windows that overlap: a search for fewer hits alone would propose less.
    index = make_index(write_windows(tmp_path / "f.h5", stride=1))
    few_lists = replace(index, facts=replace(index.facts, num_lists=search_index.MIN_LISTS))
    for query in read_rows(index.embedding, np.arange(0, len(index.embedding), 700)).numpy():
        all_hits = few_lists.find_hits(query, MAX_HITS)
        assert few_lists.find_hits(query, 20) == all_hits[:20]


@pytest.mark.parametrize("fault", ["a directory", "a full disk"])
def test_where_no_index_can_be_written_all_rows_are_compared(tmp_path: Path, capsys, fault: str):
    embedding = write_windows(tmp_path / "f.h5")
    path = tmp_path / "f.h5.faiss"
    if fault == "a directory":
        path.mkdir()
        assert open_index(embedding) is None
    else:
        with largest_file(4096):
            assert open_index(embedding) is None
        assert not path.exists()
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"all of which are compared; no index was built: {path}" in line


def test_few_rows_need_no_index(tmp_path: Path, capsys):
    embedding = write_windows(tmp_path / "f.h5", stride=9)
    assert len(embedding) <= search_index.MAX_EXACT_ROWS
    assert open_index(embedding) is None
    assert not capsys.readouterr().err and not (tmp_path / "f.h5.faiss").exists()
