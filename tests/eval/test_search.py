"""Cosine search is exact, and hits of one recording do not overlap."""

from pathlib import Path

import numpy as np
import pytest
import torch

from scdnet.eval.embedding import window_starts
from scdnet.eval.embedding_file import Embedding, EmbeddingOrigin
from scdnet.eval.search import cosine_similarity, select_hits
from scdnet.skeletons import NTU_25

ORIGIN = EmbeddingOrigin("last.pt", "a", "joint", NTU_25, "raw", {}, 30.0, 8, 3)


def make_embedding(lengths: list[int], window: int = 8, stride: int = 3) -> Embedding:
    starts = [window_starts(n, window=window, stride=stride) for n in lengths]
    first = np.concatenate(starts)
    recording = np.repeat(np.arange(len(lengths)), [len(one) for one in starts])
    sources = np.array([f"{i}.csv" for i in range(len(lengths))])
    return Embedding(
        Path("f.h5"), ORIGIN, sources, np.array(lengths), recording, first, first + window - 1, 4
    )


def test_cosines_of_chunks_are_those_of_float64():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 7)).astype(np.float32)
    query = 1000 * x[3]
    wide = x.astype(np.float64)
    expected = wide @ wide[3] / np.linalg.norm(wide, axis=1) / np.linalg.norm(wide[3])
    (found,) = cosine_similarity(query[None], torch.from_numpy(x).split(13))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.argmax() == 3 and found.max() <= 1


def overlaps(embedding: Embedding, a: int, b: int) -> bool:
    frames = [
        {(embedding.recording[i], t) for t in range(embedding.first[i], embedding.last[i] + 1)}
        for i in (a, b)
    ]
    return bool(frames[0] & frames[1])


@pytest.mark.parametrize("seed", range(5))
def test_hits_are_those_of_a_search_that_compares_all_pairs(seed: int):
    embedding = make_embedding([40, 8, 25, 61])
    # Rounded, so that some are equal.
    cosines = np.random.default_rng(seed).uniform(-1, 1, len(embedding)).round(1)
    cosines = cosines.astype(np.float32)
    expected: list[int] = []
    for row in np.argsort(-cosines, kind="stable").tolist():
        if not any(overlaps(embedding, row, better) for better in expected):
            expected.append(row)
    for top in (1, 4, 1000):
        hits = select_hits(embedding, cosines, top)
        assert [hit.row for hit in hits] == expected[:top]
        assert [hit.cosine for hit in hits] == cosines[expected[:top]].tolist()


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [(8, [0]), (9, [0, 1]), (11, [0, 3]), (12, [0, 3, 4]), (14, [0, 3, 6])],
)
def test_windows_cover_a_recording_to_its_last_frame(num_frames: int, expected: list[int]):
    assert window_starts(num_frames, window=8, stride=3).tolist() == expected
