import numpy as np
import pytest

from scdnet.report import maps
from scdnet.report.maps import draw_maps


@pytest.fixture(scope="module")
def clusters() -> np.ndarray:
    """Three clusters of 20 sequences each, in 12 dimensions."""
    rng = np.random.default_rng(0)
    centers = 5 * np.eye(12)[:3]
    return np.repeat(centers, 20, axis=0) + rng.normal(scale=0.3, size=(60, 12))


def test_clusters_stay_apart_on_each_map(clusters: np.ndarray):
    drawn = draw_maps(clusters)
    assert [one.name for one in drawn][:2] == ["PCA", "t-SNE"]
    for one in drawn:
        assert abs(one.points).max() == pytest.approx(1)
        groups = one.points.reshape(3, 20, 2)
        within = np.linalg.norm(groups - groups.mean(axis=1, keepdims=True), axis=2).mean()
        centers = groups.mean(axis=1)
        between = np.linalg.norm(centers - centers[[1, 2, 0]], axis=1).min()
        assert between > 2 * within, one.name


def test_the_length_of_features_does_not_matter(clusters: np.ndarray):
    scaled = clusters * np.linspace(1, 50, 60)[:, None]
    first, second = (draw_maps(x)[0].points for x in (clusters, scaled))
    assert first == pytest.approx(second, abs=1e-6)


def test_maps_are_the_same_each_time(clusters: np.ndarray):
    for first, second in zip(draw_maps(clusters), draw_maps(clusters), strict=True):
        assert np.array_equal(first.points, second.points)


@pytest.mark.parametrize(("num", "expected"), [(1, []), (3, ["PCA"])])
def test_few_sequences_have_fewer_maps(num: int, expected: list[str]):
    assert [one.name for one in draw_maps(np.eye(6)[:num])] == expected


def test_umap_is_drawn_where_it_is_installed(clusters: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(maps, "find_spec", lambda name: name == "umap")
    monkeypatch.setattr(maps, "_draw_umap", lambda reduced: ("note", reduced))
    assert [one.name for one in draw_maps(clusters)] == ["PCA", "t-SNE", "UMAP"]


def test_equal_features_of_a_collapsed_encoder_are_one_point():
    (one,) = draw_maps(np.ones((40, 4)) + 1e-9 * np.random.default_rng(0).normal(size=(40, 4)))
    assert (one.points == 0).all()
    assert "equal" in one.note
