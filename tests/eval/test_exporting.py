import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scdnet.config import DataConfig
from scdnet.data.clips import Clips, load_clips
from scdnet.errors import ScdnetError
from scdnet.eval.exporting import fit_head, measure_rounding, measure_rounding_on_noise
from scdnet.eval.features import extract_features
from scdnet.eval.knn import score_1nn
from scdnet.models.encoder import DualPathEncoder, EncoderSizes
from scdnet.skeletons import NTU_25
from tests.conftest import write_synthetic_store


@pytest.fixture(scope="module")
def encoder() -> DualPathEncoder:
    torch.manual_seed(0)
    sizes = EncoderSizes(base_channels=8, embed_dim=16, num_heads=2, num_frames=16, num_bodies=1)
    return DualPathEncoder(sizes, NTU_25).eval()


def open_clips(path: Path, benchmark: str = "xsub") -> Clips:
    data = DataConfig(store=path, benchmark=benchmark, batch_size=2, num_frames=16, num_bodies=1)
    return load_clips(data, "joint", torch.device("cpu"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exporting")
    return write_synthetic_store(folder / "store.h5", per_split=12, classes=3)


def round_weights(encoder: DualPathEncoder) -> DualPathEncoder:
    return copy.deepcopy(encoder).half().float()


def test_a_head_recognizes_the_test_split_as_often_as_it_says(encoder, store: Path):
    clips = open_clips(store)
    head = fit_head(encoder, clips, seed=0)
    assert head.probe.class_names == ("class 0", "class 1", "class 2")
    test = extract_features(encoder, clips, index=clips.split(train=False))
    scores = test.x @ head.probe.weight.T + head.probe.bias
    right = (scores.argmax(dim=1) == test.y).double().mean()
    assert head.top1 == pytest.approx(100 * right.item())
    # Chance is 33 %; the encoder is not trained.
    assert head.top1 > 50


def test_a_head_has_the_classes_of_the_training_split_alone(encoder, store: Path):
    clips = open_clips(store)
    is_train = clips.splits["xsub"] & (clips.label != 1)
    head = fit_head(encoder, replace(clips, splits={"xsub": is_train}), seed=0)
    assert head.probe.class_names == ("class 0", "class 2")


def test_a_head_without_a_test_split_has_no_accuracy(encoder, store: Path):
    assert fit_head(encoder, open_clips(store, "everybody"), seed=0).top1 is None


def test_a_head_needs_labels(encoder, tmp_path: Path):
    path = write_synthetic_store(tmp_path / "one.h5", classes=1)
    with pytest.raises(ScdnetError, match="the same class, but --head needs labels"):
        fit_head(encoder, open_clips(path), seed=0)


def test_rounding_is_measured_on_features_and_on_1nn(encoder, store: Path):
    clips = open_clips(store)
    rounded = round_weights(encoder)
    found = measure_rounding(encoder, rounded, clips)
    before, after = (extract_features(one, clips).x.numpy() for one in (encoder, rounded))
    changes = np.linalg.norm(after - before, axis=1) / np.linalg.norm(before, axis=1)
    assert found.change == pytest.approx(changes.max(), rel=1e-3)
    assert 0 < found.change < 0.01
    assert found.cosine > 0.999
    assert found.num_clips == 24
    assert found.knn1 == tuple(score_1nn(one, clips)["knn@1"] for one in (encoder, rounded))
    assert f"1-NN accuracy {found.knn1[0]:.1f} % in float32" in found.describe()


def test_rounding_without_a_test_split_has_no_accuracy(encoder, store: Path):
    found = measure_rounding(encoder, round_weights(encoder), open_clips(store, "everybody"))
    assert found.knn1 is None
    assert "1-NN accuracy was not measured" in found.describe()


def test_rounding_without_a_store_is_measured_on_noise(encoder):
    found = measure_rounding_on_noise(encoder, round_weights(encoder))
    assert 0 < found.change < 0.01
    assert found.is_noise
    assert "16 clips of noise" in found.describe()


def test_the_encoder_that_is_exported_is_left_as_it_is(encoder, store: Path):
    before = copy.deepcopy(encoder.state_dict())
    fit_head(encoder, open_clips(store), seed=0)
    measure_rounding(encoder, round_weights(encoder), open_clips(store))
    assert all(torch.equal(x, before[name]) for name, x in encoder.state_dict().items())
    assert not any(x.is_inference() for x in encoder.state_dict().values())
