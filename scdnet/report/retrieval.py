"""Find the nearest neighbors of test sequences, for the gallery of a report."""

from dataclasses import dataclass

import torch
from torch import Tensor

from scdnet.eval.classify import NUM_NEIGHBORS
from scdnet.eval.feature_table import FeatureTable
from scdnet.eval.knn import similarities


@dataclass(frozen=True)
class Retrieval:
    """Each test sequence and its nearest training sequences, as rows of the store."""

    queries: Tensor  # (n,)
    neighbors: Tensor  # (n, k), nearest first
    # Cosines.
    similarity: Tensor  # (n, k)
    # The cosine of the nearest sequence of another class minus that of the nearest one of its own.
    # It is largest for a query that is wrong with certainty.
    hardness: Tensor  # (n,)

    def predicted(self, label: Tensor) -> Tensor:
        """Return the class of each query's nearest neighbor, (n,); `label` (N,) is of all rows."""
        return label[self.neighbors[:, 0]]


@torch.inference_mode()
def retrieve_neighbors(table: FeatureTable, benchmark: str, device: torch.device) -> Retrieval:
    """Rank the training sequences by cosine for each test sequence, as `scdnet knn` does."""
    gallery_rows = table.rows(benchmark, train=True)
    queries = table.rows(benchmark, train=False)
    classes = table.label[gallery_rows].to(device)
    k = min(NUM_NEIGHBORS, len(gallery_rows))
    neighbors = []
    values = []
    hardness = []
    chunks = similarities(table.features(gallery_rows), table.features(queries), device)
    for similarity, label in chunks:
        ranked = similarity.argsort(dim=1, descending=True, stable=True)[:, :k]
        neighbors.append(gallery_rows[ranked.cpu()])
        values.append(similarity.gather(1, ranked).cpu())
        is_own = classes == label[:, None]
        nearest_own = similarity.masked_fill(~is_own, -1).amax(dim=1)
        nearest_other = similarity.masked_fill(is_own, -1).amax(dim=1)
        hardness.append((nearest_other - nearest_own).cpu())
    return Retrieval(queries, torch.cat(neighbors), torch.cat(values), torch.cat(hardness))
