"""Maps of the embedding: features as points of a plane, near each other where they are similar."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

# t-SNE starts from so many principal components, as its author does.
NUM_COMPONENTS = 50
PERPLEXITY = 30
# Fewer sequences have no neighborhoods to show.
MIN_POINTS = 5
# Unit features that vary less are equal: those of a collapsed encoder.
SAME_FEATURES = 1e-6


class Map(NamedTuple):
    """A map and how it was made."""

    name: str
    note: str
    points: np.ndarray  # (N, 2)


def draw_maps(x: np.ndarray) -> list[Map]:
    """Place features x (N, D) on maps: PCA, t-SNE, and UMAP where umap-learn is installed.

    Features are normalized first, as retrieval compares directions.
    """
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    num_components = min(NUM_COMPONENTS, *x.shape)
    if num_components < 2:
        return []
    if x.std(axis=0).max() < SAME_FEATURES:
        # scikit-learn's t-SNE crashes on them.
        return [Map("PCA", "All features are equal.", np.zeros((len(x), 2)))]
    pca = PCA(num_components, svd_solver="randomized", random_state=0).fit(x)
    reduced = pca.transform(x)
    explained = 100 * pca.explained_variance_ratio_[:2].sum()
    maps = [Map("PCA", f"The first two components, {explained:.0f} % of the variance.", reduced)]
    if len(x) >= MIN_POINTS:
        makers: dict[str, Callable[[np.ndarray], tuple[str, np.ndarray]]] = {"t-SNE": _draw_tsne}
        if find_spec("umap"):
            makers["UMAP"] = _draw_umap
        for name, make in makers.items():
            note, points = make(reduced)
            maps.append(Map(name, note, points))
    return [one._replace(points=_fit_square(one.points[:, :2])) for one in maps]


def _draw_tsne(reduced: np.ndarray) -> tuple[str, np.ndarray]:
    """Draw by openTSNE if it is installed, which is faster on many points, else scikit-learn."""
    perplexity = min(PERPLEXITY, (len(reduced) - 1) / 3)
    note = f"Perplexity {perplexity:.0f}; distances between far groups mean nothing."
    options: dict[str, Any] = {"perplexity": perplexity, "random_state": 0}
    if find_spec("openTSNE"):
        import openTSNE

        return note, np.asarray(openTSNE.TSNE(**options).fit(reduced))
    return note, TSNE(**options, init="pca").fit_transform(reduced)


def _draw_umap(reduced: np.ndarray) -> tuple[str, np.ndarray]:
    from umap import UMAP

    num_neighbors = min(15, len(reduced) - 1)
    points = UMAP(n_neighbors=num_neighbors, random_state=0, n_jobs=1).fit_transform(reduced)
    return f"{num_neighbors} neighbors; distances between far groups mean nothing.", points


def _fit_square(points: np.ndarray) -> np.ndarray:
    """Move and scale points (N, 2) into the square from -1 to 1, keeping their proportions."""
    low = points.min(axis=0)
    high = points.max(axis=0)
    half = max((high - low).max() / 2, 1e-12)
    return (points - (low + high) / 2) / half
