from pathlib import Path

import pytest
import torch

from scdnet.config import DataConfig
from scdnet.data.clips import SINGLE_PROCESS, Clips
from scdnet.data.mixture import load_mixture
from scdnet.engine.train.scoring import make_score
from tests.conftest import write_synthetic_store
from tests.stores import write_named_store

ENCODER = torch.nn.Identity()


def load(*stores: Path, benchmark: object = "xsub") -> dict[str, Clips]:
    config = DataConfig(store=stores, benchmark=benchmark)
    mixture = load_mixture(
        config, "joint", torch.device("cpu"), rank_info=SINGLE_PROCESS, free={"cpu": 1e9}
    )
    return dict(mixture.stores)


@pytest.fixture
def stores(tmp_path: Path) -> list[Path]:
    a = write_named_store(tmp_path / "a.h5", ["p", "q"], ["r"])
    b = write_named_store(tmp_path / "b.h5", ["t", "u"], ["v", "w", "x"])
    return [a, b]


def count_tests(encoder: torch.nn.Module, clips: Clips) -> dict[str, float]:
    assert encoder is ENCODER
    return {"knn@1": float(len(clips.split(train=False)))}


def test_the_score_of_one_store_is_that_of_its_clips(stores):
    score = make_score(count_tests, load(stores[0]))
    assert score(ENCODER) == {"knn@1": 1}


def test_scores_of_several_stores_are_their_mean_and_each(stores):
    score = make_score(count_tests, load(*stores))
    assert score(ENCODER) == {"knn@1": 2, "knn@1/a": 1, "knn@1/b": 3}


def test_a_store_without_a_test_split_is_left_out_with_a_warning(
    stores, capsys: pytest.CaptureFixture
):
    score = make_score(count_tests, load(*stores, benchmark=["everybody", "xsub"]))
    assert score(ENCODER) == {"knn@1": 3, "knn@1/b": 3}
    message = f"warning: {stores[0]}: benchmark 'everybody' has no test split, so eval_every has no"
    assert message in capsys.readouterr().err
    assert make_score(count_tests, load(*stores, benchmark="everybody")) is None


def test_a_store_without_labels_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture):
    one = write_synthetic_store(tmp_path / "one.h5", classes=1, per_split=2)
    assert make_score(count_tests, load(one)) is None
    message = f"warning: {one}: all sequences have the class 'class 0', so eval_every has no effect"
    assert message in capsys.readouterr().err
