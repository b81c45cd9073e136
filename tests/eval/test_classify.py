from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scdnet import load_classifier, open_sequences
from scdnet.config import Config
from scdnet.data.clips import SINGLE_PROCESS, evaluation_view
from scdnet.engine.train.pretrain import pretrain
from scdnet.errors import ScdnetError
from scdnet.eval.classify import Classifier
from scdnet.eval.feature_file import FeatureFileError, write_features
from scdnet.eval.feature_table import FeatureTable
from scdnet.eval.features import encode
from scdnet.eval.inputs import Inputs, build_inputs
from scdnet.models.encoder import EncoderSizes
from scdnet.raw.normalize import normalize
from scdnet.results.record import Baseline
from scdnet.skeletons import KINECT_V1_20, NTU_25
from tests.conftest import make_small_config, write_synthetic_store
from tests.reference import encoder as reference


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Config:
    """A config of one epoch on a store of 16 sequences; no test writes to its directories."""
    directory = tmp_path_factory.mktemp("classify")
    config = make_small_config(write_synthetic_store(directory / "store.h5"), directory / "runs")
    return config.model_copy(update={"optim": config.optim.model_copy(update={"epochs": 1})})


@pytest.fixture(scope="module")
def sequences(config):
    with open_sequences(config.data.store) as store:
        yield list(store)


@pytest.fixture(scope="module")
def checkpoint(config) -> Path:
    return pretrain(config)


@pytest.fixture(scope="module")
def table(config, checkpoint) -> FeatureTable:
    return extract(config, checkpoint)


def inputs_of(config: Config, source: Path | Baseline) -> Inputs:
    (inputs,) = build_inputs([source], config, torch.device("cpu"), SINGLE_PROCESS)
    return inputs


def extract(config: Config, source: Path | Baseline) -> FeatureTable:
    return inputs_of(config, source).extract()


def make_classifier(config: Config) -> Classifier:
    """Return a classifier with a randomly initialized encoder."""
    inputs = inputs_of(config, "random-init")
    return Classifier(inputs.encoder.eval(), inputs.extract())


@pytest.fixture(scope="module")
def classifier(config) -> Classifier:
    return make_classifier(config)


def with_table(classifier: Classifier, **changes) -> Classifier:
    return Classifier(classifier._encoder, replace(classifier.known, **changes))


@pytest.mark.parametrize(
    ("stream", "bodies"), [("joint", 2), ("joint", 1), ("bone", 2), ("motion", 2)]
)
def test_a_sequence_of_the_store_has_the_features_of_its_row_and_finds_itself(
    config, sequences, stream, bodies
):
    data = config.data.model_copy(update={"num_bodies": bodies})
    classifier = make_classifier(config.model_copy(update={"stream": stream, "data": data}))
    for row, sequence in list(enumerate(sequences))[::3]:
        view = evaluation_view(
            sequence.frames,
            stream,
            num_frames=data.num_frames,
            num_bodies=bodies,
            skeleton=NTU_25,
        )
        x = encode(classifier._encoder, view)
        torch.testing.assert_close(x[0], classifier.known.x[row], rtol=1e-4, atol=1e-5)
        nearest, second = classifier(sequence.frames, num_neighbors=2).neighbours
        assert nearest[:2] == (sequence.name, f"class {sequence.label}")
        assert nearest.similarity == pytest.approx(1, abs=1e-5)
        assert second.similarity < nearest.similarity <= 1


def test_neighbors_are_the_nearest_by_cosine_the_nearest_first(classifier):
    frames = normalize(np.random.default_rng(3).normal(size=(2, 50, 25, 3)), NTU_25)
    view = evaluation_view(frames, "joint", num_frames=16, num_bodies=2, skeleton=NTU_25)
    x = encode(classifier._encoder, view)[0].numpy()
    known = classifier.known
    cosines = {
        name: row @ x / np.sqrt((row @ row) * (x @ x))
        for name, row in zip(known.name, known.x.numpy(), strict=True)
    }
    names = sorted(cosines, key=cosines.__getitem__, reverse=True)
    for num, expected in ((5, 5), (1, 1), (99, 16)):
        found = classifier(frames, num_neighbors=num).neighbours
        assert [neighbor.name for neighbor in found] == names[:expected]
        np.testing.assert_allclose(
            [neighbor.similarity for neighbor in found],
            [cosines[neighbor.name] for neighbor in found],
            rtol=1e-5,
        )
    assert len(classifier(frames).neighbours) == 5


def test_probabilities_are_of_the_classes_that_occur_the_largest_first(classifier, sequences):
    names = ("never", "one", "never too", "two")
    classifier = with_table(classifier, label=2 * classifier.known.label + 1, class_names=names)
    for sequence in sequences[::3]:
        probabilities = classifier(sequence.frames).probabilities
        values = list(probabilities.values())
        assert sorted(probabilities) == ["one", "two"]
        assert sum(values) == pytest.approx(1)
        assert values == sorted(values, reverse=True)
        assert next(iter(probabilities)) == names[2 * sequence.label + 1] and values[0] > 0.6


def test_both_splits_of_the_store_are_learned_from(classifier, sequences):
    # One of the two classes consists of all test sequences.
    label = torch.where(classifier.known.is_train["xsub"], 0, 1)
    prediction = with_table(classifier, label=label)(sequences[12].frames)
    assert set(prediction.probabilities) == {"class 0", "class 1"}


@pytest.mark.parametrize("width", [16, 1024])
def test_features_that_tell_nothing_leave_the_probe_in_doubt_at_any_width(classifier, width):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, width, generator=generator)
    probe = with_table(classifier, x=x, label=torch.arange(200) % 2)._probe
    probabilities = probe.predict_proba(torch.randn(300, width, generator=generator).numpy())
    # It would be 0.79 at width 1024 with the strength for 16.
    assert probabilities.max(axis=1).mean() < 0.65


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((9, 1, 25, 3)), r"expected frames \(T, 2, 25, 3\) of ntu25, found \(9, 1, 25"),
        (np.zeros((0, 2, 25, 3)), r"found \(0, 2, 25, 3\)"),
        (np.full((9, 2, 25, 3), np.nan), "frames contain NaN or Inf, expected finite numbers"),
        (np.full((9, 2, 25, 3), -np.inf), "frames contain NaN or Inf, expected finite numbers"),
        (normalize(np.ones((1, 9, 20, 3)), KINECT_V1_20), r"of ntu25, found \(9, 2, 20, 3\)"),
        (np.ones((9, 2, 25, 3)), "the center of body 0 lies up to 1.73 from the origin"),
    ],
)
def test_frames_of_another_shape_or_not_normalized_are_an_error(classifier, frames, message):
    with pytest.raises(ScdnetError, match=message):
        classifier(frames)


def test_features_that_overflow_are_an_error(classifier, sequences):
    # The center and the shoulders do not move.
    frames = sequences[3].frames.copy()
    frames[:, 0, 12:20] = 3e38
    with pytest.raises(ScdnetError, match="the features of the recording became NaN or Inf"):
        classifier(frames)


def written(table: FeatureTable, path) -> str:
    write_features(path, table)
    return str(path)


def test_a_loaded_classifier_finds_a_sequence_of_its_features(
    sequences, checkpoint, table, tmp_path
):
    prediction = load_classifier(checkpoint, written(table, tmp_path / "a.h5"))(sequences[9].frames)
    assert prediction.neighbours[0].name == table.name[9]
    assert max(prediction.probabilities.values()) > 0.5


def test_features_without_this_checkpoint_are_refused(classifier, checkpoint, tmp_path):
    baseline = written(classifier.known, tmp_path / "b.h5")
    with pytest.raises(
        FeatureFileError,
        match=r"b\.h5: extracted with random-init, whose hash is not that of .*last\.pt; recreate",
    ):
        load_classifier(checkpoint, baseline)


def test_unlabeled_sequences_are_searched_and_give_no_probabilities(
    sequences, checkpoint, table, tmp_path
):
    unlabeled = replace(table, label=0 * table.label, class_names=("unlabeled",), is_train={})
    classify = load_classifier(checkpoint, written(unlabeled, tmp_path / "c.h5"))
    prediction = classify(sequences[9].frames, num_neighbors=3)
    assert prediction.probabilities == {}
    labeled = load_classifier(checkpoint, written(table, tmp_path / "d.h5"))
    expected = labeled(sequences[9].frames, num_neighbors=3).neighbours
    assert [neighbor.name for neighbor in prediction.neighbours] == [n.name for n in expected]
    assert {neighbor.class_name for neighbor in prediction.neighbours} == {"unlabeled"}


@pytest.mark.parametrize(
    "change",
    [
        lambda frames: frames + 0.5,
        lambda frames: 1000 * frames,
        lambda frames: frames[..., [1, 2, 0]],
        lambda frames: frames[:, :1],
    ],
    ids=["off the origin", "millimeters", "other axes", "one body"],
)
def test_a_loaded_classifier_refuses_what_was_not_normalized(
    sequences, checkpoint, table, tmp_path, change
):
    classify = load_classifier(checkpoint, written(table, tmp_path / "a.h5"))
    with pytest.raises(ScdnetError, match=r"make them with scdnet\.read_recording or"):
        classify(change(sequences[9].frames))


def test_a_recording_is_encoded_at_the_level_of_the_features(
    config, sequences, checkpoint, tmp_path
):
    for level in (1, 2, 3):
        table = extract(config.model_copy(update={"feature_level": level}), checkpoint)
        classifier = load_classifier(checkpoint, written(table, tmp_path / "a.h5"))
        x = torch.nn.functional.normalize(table.x)
        for row in (3, 9):
            itself, second = classifier(sequences[row].frames, num_neighbors=2).neighbours
            assert itself.name == table.name[row]
            assert itself.similarity == pytest.approx(1, abs=1e-5)
            expected = (x @ x[row]).topk(2).values[1].item()
            assert second.similarity == pytest.approx(expected, abs=1e-5)


def test_a_checkpoint_with_other_weights_is_another_one(checkpoint, table, tmp_path):
    state = torch.load(checkpoint, weights_only=True)
    weight = next(iter(state["model"].values()))
    weight += 1e-3
    changed = tmp_path / "last.pt"
    torch.save(state, changed)
    with pytest.raises(FeatureFileError, match="whose hash is not that of"):
        load_classifier(changed, written(table, tmp_path / "a.h5"))


def test_the_heads_of_the_authors_checkpoint_are_those_of_its_features(config, sequences, tmp_path):
    sizes = EncoderSizes(base_channels=8, embed_dim=16, num_heads=2, num_frames=16)
    theirs = reference.SCDNet(sizes, projection_dim=8, queue_size=4, momentum=0.99)
    checkpoint = tmp_path / "checkpoint.pth.tar"
    query = {key: x for key, x in theirs.state_dict().items() if key.startswith("encoder_q")}
    torch.save({"state_dict": query}, checkpoint)
    table = extract(config, checkpoint)
    features = written(table, tmp_path / "a.h5")
    with pytest.raises(FeatureFileError, match="extracted with 2 attention heads, expected 4"):
        load_classifier(checkpoint, features, num_heads=4)
    nearest, *_ = load_classifier(checkpoint, features)(sequences[5].frames).neighbours
    assert nearest.name == table.name[5]
    assert nearest.similarity == pytest.approx(1, abs=1e-5)


def test_recordings_of_another_store_are_classified_by_what_they_are_like(classifier, tmp_path):
    # The same seed gives the same poses; the sequences are longer.
    other = write_synthetic_store(tmp_path / "other.h5", per_split=3, frames=100, seed=0)
    with open_sequences(other) as store:
        for sequence in store:
            probabilities = classifier(sequence.frames).probabilities
            assert next(iter(probabilities)) == f"class {sequence.label}"
