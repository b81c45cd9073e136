"""kNN retrieval against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier

from scdnet.data.clips import Clips
from scdnet.eval import knn
from scdnet.eval.features import Features, extract_features
from scdnet.eval.inputs import Inputs
from scdnet.eval.knn import (
    accuracy_1nn,
    retrieve,
    score_1nn,
    split_features,
    stratified_subset,
    vote,
)


def synthetic(n: int, seed: int, classes: int = 5) -> Features:
    """Return points around a direction per class, of different lengths, which no cosine sees."""
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    centers = np.random.default_rng(99).normal(size=(classes, 12))
    x = (centers[y] + 1.5 * rng.normal(size=(n, 12))) * rng.uniform(0.1, 10, size=(n, 1))
    return Features(torch.from_numpy(x).float(), torch.from_numpy(y))


def knn_metrics(gallery: Features, queries: Features) -> dict[str, float]:
    return retrieve(gallery, queries, num_classes=8).metrics


GALLERY = synthetic(200, seed=0)
QUERIES = synthetic(90, seed=1)


@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_accuracy_is_that_of_scikit_learn(k: int):
    reference = (
        KNeighborsClassifier(k, metric="cosine")
        .fit(GALLERY.x, GALLERY.y)
        .score(QUERIES.x, QUERIES.y)
    )
    assert knn_metrics(GALLERY, QUERIES)[f"knn@{k}"] == pytest.approx(100 * reference)


def test_map_is_the_mean_average_precision_of_scikit_learn():
    similarity = torch.nn.functional.cosine_similarity(QUERIES.x[:, None], GALLERY.x[None], dim=2)
    reference = np.mean(
        [
            average_precision_score(GALLERY.y == y, row)
            for y, row in zip(QUERIES.y, similarity, strict=True)
        ]
    )
    assert knn_metrics(GALLERY, QUERIES)["map"] == pytest.approx(100 * reference, abs=1e-3)


def test_recall_and_map_by_hand():
    gallery = Features(
        torch.tensor([[1.0, 0.0], [1.0, 0.2], [1.0, 0.4], [1.0, 9.0]]), torch.tensor([0, 1, 0, 1])
    )
    # Its classes, nearest first, are 0 1 0 1.
    query = Features(torch.tensor([[2.0, 0.0]]), torch.tensor([1]))
    metrics = knn_metrics(gallery, query)
    assert metrics["recall@1"] == 0
    assert metrics["map"] == pytest.approx(100 * (1 / 2 + 2 / 4) / 2)
    # The gallery has four items.
    assert "recall@5" not in metrics


def test_a_query_whose_class_the_gallery_lacks_counts_as_missed():
    gallery = Features(torch.eye(2), torch.tensor([0, 1]))
    metrics = knn_metrics(gallery, Features(torch.eye(2), torch.tensor([0, 7])))
    assert metrics == {"knn@1": 50, "recall@1": 50, "map": 50}


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    whole = knn_metrics(GALLERY, QUERIES)
    monkeypatch.setattr(knn, "CHUNK", 7)
    assert knn_metrics(GALLERY, QUERIES) == pytest.approx(whole)


def test_a_tied_vote_goes_to_the_smallest_class():
    neighbors = torch.tensor([[4, 2, 4, 2], [3, 0, 1, 2], [4, 4, 4, 0]])
    assert vote(neighbors, num_classes=5).tolist() == [2, 0, 4]


def test_scores_are_the_cosine_of_the_nearest_item_of_each_class_and_predict_as_1nn_does():
    scores = retrieve(GALLERY, QUERIES, num_classes=7).scores
    similarity = torch.nn.functional.cosine_similarity(QUERIES.x[:, None], GALLERY.x[None], dim=2)
    for c in range(5):
        torch.testing.assert_close(scores[:, c], similarity[:, GALLERY.y == c].amax(dim=1))
    # The gallery lacks these classes.
    assert (scores[:, 5:] == -1).all()
    right = (scores.argmax(dim=1) == QUERIES.y).double().mean().item()
    assert 100 * right == pytest.approx(knn_metrics(GALLERY, QUERIES)["knn@1"])


def test_1nn_alone_predicts_as_the_ranking_does():
    alone = accuracy_1nn(GALLERY, QUERIES, torch.device("cpu"))
    assert alone == pytest.approx(knn_metrics(GALLERY, QUERIES)["knn@1"])


def test_a_subset_has_each_class_in_its_share_and_all_repetitions():
    # As in a store of NTU: class by class, repetition by repetition.
    label = torch.arange(1200) % 60
    # The last class is ten times as large as the others.
    label[label > 50] = 50
    index = torch.arange(100, 1200)
    subset = stratified_subset(index, label, len(index) // 4)
    assert len(subset) == 275
    assert (subset.diff() > 0).all()
    assert torch.isin(subset, index).all()
    counts, all_counts = label[subset].bincount(), label[index].bincount()
    assert ((counts - all_counts / 4).abs() <= 1).all()
    repetition = subset // 60 % 2
    assert 0.4 < repetition.double().mean() < 0.6
    assert torch.equal(stratified_subset(index, label, 275), subset)


@pytest.mark.parametrize("limit", [0, 8, 99])
def test_a_limit_that_is_not_reached_takes_all(limit: int):
    index = torch.tensor([1, 4, 5, 8, 9, 11, 12, 13])
    assert torch.equal(stratified_subset(index, torch.zeros(20), limit), index)


def test_a_score_on_a_subset_is_that_of_its_features(random_inputs: Inputs, clips: Clips):
    encoder = random_inputs.encoder
    whole = extract_features(encoder, clips)
    gallery, queries = split_features(whole, clips)
    ranked = retrieve(gallery, queries, num_classes=2).metrics["knn@1"]
    assert score_1nn(encoder, clips)["knn@1"] == ranked
    parts = [stratified_subset(clips.split(train=train), clips.label, 3) for train in (True, False)]
    own = accuracy_1nn(*(Features(whole.x[part], whole.y[part]) for part in parts), clips.device)
    assert score_1nn(encoder, clips, limit=3)["knn@1"] == own
