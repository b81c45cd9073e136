"""kNN retrieval: cosine, gallery = training split, queries = test split. Source: docs/method.md 5."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scdnet.data.clips import Clips
from scdnet.eval.features import Features, extract_features

VOTES = (1, 5, 10, 20)  # the k of knn@k
RECALLS = (1, 5, 10)
CHUNK = 256  # queries at a time: some 40 bytes for each of CHUNK x gallery pairs, 600 MB on NTU-120


class Retrieval(NamedTuple):
    """What retrieval finds."""

    metrics: dict[str, float]  # percent
    scores: Tensor  # (N, classes) float32 on the CPU: the cosine of the nearest gallery item of each class, else -1


@torch.inference_mode()
def retrieve(
    gallery: Features, queries: Features, *, num_classes: int, device: torch.device | None = None
) -> Retrieval:
    """knn@k, recall@k and map, and scores of all classes, the largest of which 1-NN answers.

    knn@k: majority vote of the k nearest, ties to the smallest class id. recall@k: queries with an item of their
    class among the k nearest. map: mean average precision over the whole gallery; 0 for a query whose class the
    gallery lacks. A k beyond the gallery is left out.
    """
    classes, all_scores = gallery.y.to(device), []
    sums: dict[str, Tensor] = {}
    for similarity, y in similarities(gallery, queries, device):
        ranked = classes[similarity.argsort(dim=1, descending=True, stable=True)]
        for name, hits in _rank_metrics(ranked, y, num_classes).items():
            sums[name] = sums.get(name, 0) + hits.sum(dtype=torch.float64)
        scores = similarity.new_full((len(y), num_classes), -1)
        all_scores.append(
            scores.scatter_reduce_(1, classes.expand(len(y), -1), similarity, "amax").cpu()
        )
    metrics = {name: 100 * total.item() / len(queries.y) for name, total in sums.items()}
    return Retrieval(metrics, torch.cat(all_scores))


def similarities(
    gallery: Features, queries: Features, device: torch.device | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunk by chunk of the queries: cosines (n, gallery) and classes (n,), on `device`."""
    bank = F.normalize(gallery.x.to(device), dim=1).T  # (D, gallery)
    for x, y in zip(queries.x.split(CHUNK), queries.y.split(CHUNK), strict=True):
        yield F.normalize(x.to(device), dim=1) @ bank, y.to(device)


def _rank_metrics(ranked: Tensor, y: Tensor, num_classes: int) -> dict[str, Tensor]:
    """Per query (n,) whether, or how far, it succeeds; `ranked` (n, gallery) holds classes, the nearest first."""
    relevant = ranked == y[:, None]
    size = ranked.shape[1]
    metrics = {f"knn@{k}": vote(ranked[:, :k], num_classes) == y for k in VOTES if k <= size}
    metrics |= {f"recall@{k}": relevant[:, :k].any(dim=1) for k in RECALLS if k <= size}
    precision = relevant.cumsum(dim=1) / torch.arange(1, size + 1, device=y.device)
    metrics["map"] = (precision * relevant).sum(dim=1) / relevant.sum(dim=1).clamp(min=1)
    return metrics


def vote(neighbours: Tensor, num_classes: int) -> Tensor:
    """The most frequent class of each row (n, k), the smallest one where several are."""
    counts = torch.zeros(len(neighbours), num_classes, device=neighbours.device)
    counts.scatter_add_(1, neighbours, torch.ones_like(neighbours, dtype=counts.dtype))
    return counts.argmax(dim=1)  # the first of equal maxima


def accuracy_1nn(gallery: Features, queries: Features, device: torch.device) -> float:
    """knn@1 in percent, and nothing else: no ranking."""
    classes = gallery.y.to(device)
    hits = sum(
        (classes[similarity.argmax(dim=1)] == y).sum().item()
        for similarity, y in similarities(gallery, queries, device)
    )
    return 100 * hits / len(queries.y)


def split_features(features: Features, clips: Clips) -> tuple[Features, Features]:
    """(gallery, queries) of the features of all sequences: training and test split of the benchmark."""
    train = clips.is_train
    return Features(features.x[train], features.y[train]), Features(
        features.x[~train], features.y[~train]
    )


def stratified_subset(index: Tensor, label: Tensor, limit: int) -> Tensor:
    """At most `limit` of the sequences `index` (N,), each class with its share of them; the same ones at each call.

    `label` (S,) has the classes of all sequences. With `limit` 0: all.
    """
    if limit == 0 or limit >= len(index):
        return index
    # neighbours in a store differ in class and repetition by turns: taken in steps, some would never be hit
    index = index[torch.randperm(len(index), generator=torch.Generator().manual_seed(0))]
    index = index[label[index].argsort(stable=True)]
    return index[torch.arange(limit) * len(index) // limit].sort().values


def score_1nn(
    encoder: nn.Module, clips: Clips, precision: str = "fp32", *, limit: int = 0
) -> dict[str, float]:
    """knn@1 in percent on the test split, and nothing else: quick enough to be taken during training.

    On at most `limit` sequences of either split; 0: on all.
    """
    gallery, queries = (
        extract_features(
            encoder,
            clips,
            precision,
            index=stratified_subset(clips.split(train=train), clips.label, limit),
        )
        for train in (True, False)
    )
    return {"knn@1": accuracy_1nn(gallery, queries, clips.device)}
