"""kNN retrieval by cosine: gallery = training split, queries = test split.

Source: docs/evaluation.md.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scdnet.data.clips import Clips
from scdnet.eval.features import Features, extract_features
from scdnet.memory import memory_advice
from scdnet.results.scores import Outcome

# The k of knn@k and of recall@k.
VOTES = (1, 5, 10, 20)
RECALLS = (1, 5, 10)
# Queries at a time: some 40 bytes for each of CHUNK x gallery pairs, 600 MB on NTU-120.
CHUNK = 256


@memory_advice("use features of fewer sequences or, if it is a GPU, device=cpu")
@torch.inference_mode()
def retrieve(
    gallery: Features, queries: Features, *, num_classes: int, device: torch.device | None = None
) -> Outcome:
    """Compute knn@k, recall@k and map, and as scores the cosine of the nearest item of each class.

    knn@k: majority vote of the k nearest, ties to the smallest class id. recall@k: queries with an
    item of their class among the k nearest. map: mean average precision over the whole gallery; 0
    for a query whose class the gallery lacks. A k larger than the gallery is left out. The score of
    a class that the gallery lacks is -1.
    """
    classes = gallery.y.to(device)
    all_scores = []
    sums: dict[str, Tensor] = {}
    for similarity, y in similarities(gallery, queries, device):
        ranked = classes[similarity.argsort(dim=1, descending=True, stable=True)]
        for name, hits in _rank_metrics(ranked, y, num_classes).items():
            sums[name] = sums.get(name, 0) + hits.sum(dtype=torch.float64)
        scores = similarity.new_full((len(y), num_classes), -1)
        index = classes.expand(len(y), -1)
        all_scores.append(scores.scatter_reduce_(1, index, similarity, "amax").cpu())
    metrics = {name: 100 * total.item() / len(queries.y) for name, total in sums.items()}
    return Outcome(metrics, torch.cat(all_scores))


def similarities(
    gallery: Features, queries: Features, device: torch.device | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield cosines (n, gallery) and classes (n,) on `device` for each chunk of the queries."""
    bank = F.normalize(gallery.x.to(device), dim=1).T  # (D, gallery)
    for x, y in zip(queries.x.split(CHUNK), queries.y.split(CHUNK), strict=True):
        yield F.normalize(x.to(device), dim=1) @ bank, y.to(device)


def _rank_metrics(ranked: Tensor, y: Tensor, num_classes: int) -> dict[str, Tensor]:
    """Compute the metrics of each query (n,); `ranked` (n, gallery) has classes, nearest first."""
    relevant = ranked == y[:, None]
    size = ranked.shape[1]
    metrics = {f"knn@{k}": vote(ranked[:, :k], num_classes) == y for k in VOTES if k <= size}
    metrics |= {f"recall@{k}": relevant[:, :k].any(dim=1) for k in RECALLS if k <= size}
    precision = relevant.cumsum(dim=1) / torch.arange(1, size + 1, device=y.device)
    metrics["map"] = (precision * relevant).sum(dim=1) / relevant.sum(dim=1).clamp(min=1)
    return metrics


def vote(neighbors: Tensor, num_classes: int) -> Tensor:
    """Return the most frequent class of each row (n, k), the smallest one of a tie."""
    counts = torch.zeros(len(neighbors), num_classes, device=neighbors.device)
    counts.scatter_add_(1, neighbors, torch.ones_like(neighbors, dtype=counts.dtype))
    # Argmax returns the first of equal maxima.
    return counts.argmax(dim=1)


def accuracy_1nn(gallery: Features, queries: Features, device: torch.device) -> float:
    """Compute knn@1 in percent and nothing else, without ranking."""
    classes = gallery.y.to(device)
    hits = sum(
        (classes[similarity.argmax(dim=1)] == y).sum().item()
        for similarity, y in similarities(gallery, queries, device)
    )
    return 100 * hits / len(queries.y)


def split_features(features: Features, clips: Clips) -> tuple[Features, Features]:
    """Split the features of all sequences by the benchmark: (gallery, queries)."""
    gallery, queries = (
        Features(features.x[rows], features.y[rows])
        for rows in (clips.split(train=True), clips.split(train=False))
    )
    return gallery, queries


def stratified_subset(index: Tensor, label: Tensor, limit: int) -> Tensor:
    """Return at most `limit` of the sequences `index` (N,), of each class in proportion.

    The choice is the same at each call. `label` (S,) has the classes of all sequences. A `limit` of
    0 returns all.
    """
    if limit == 0 or limit >= len(index):
        return index
    # Neighbors in a store differ in class and repetition in a regular pattern: without shuffling,
    # equal steps would never reach some of them.
    index = index[torch.randperm(len(index), generator=torch.Generator().manual_seed(0))]
    index = index[label[index].argsort(stable=True)]
    return index[torch.arange(limit) * len(index) // limit].sort().values


def score_1nn(
    encoder: nn.Module, clips: Clips, precision: str = "fp32", *, limit: int = 0
) -> dict[str, float]:
    """Compute knn@1 in percent on the test split, quickly enough to do so during training.

    At most `limit` sequences of each split are used; 0: all.
    """
    subsets = (
        stratified_subset(clips.split(train=train), clips.label, limit) for train in (True, False)
    )
    gallery, queries = (
        extract_features(encoder, clips, precision, index=subset) for subset in subsets
    )
    return {"knn@1": accuracy_1nn(gallery, queries, clips.device)}
