from dataclasses import replace

import numpy as np
import pytest
import torch

from scdnet import load_classifier, open_sequences
from scdnet.config import Config
from scdnet.data.clips import evaluation_view
from scdnet.engine.train.pretrain import pretrain
from scdnet.errors import ScdnetError
from scdnet.eval.classify import Classifier
from scdnet.eval.feature_file import FeatureFileError, write_features
from scdnet.eval.feature_table import FeatureTable, extract_table
from scdnet.eval.features import encode, load_encoder_or_baseline
from scdnet.models.encoder import EncoderSizes
from tests.conftest import write_synthetic_store
from tests.reference import encoder as literal


def classifier_of(config: Config) -> Classifier:
    """One with an untrained encoder."""
    return Classifier(
        load_encoder_or_baseline("none", config)[0].eval(), extract_table(config, "none")
    )


@pytest.fixture
def classifier(small_config) -> Classifier:
    return classifier_of(small_config)


def with_table(classifier: Classifier, **changes) -> Classifier:
    return Classifier(classifier._encoder, replace(classifier.known, **changes))


@pytest.mark.parametrize(
    ("stream", "bodies"), [("joint", 2), ("joint", 1), ("bone", 2), ("motion", 2)]
)
def test_a_sequence_of_the_store_has_the_features_of_its_row_and_finds_itself(
    small_config, stream, bodies
):
    data = small_config.data.model_copy(update={"num_bodies": bodies})
    classifier = classifier_of(small_config.model_copy(update={"stream": stream, "data": data}))
    for row, sequence in enumerate(open_sequences(data.store)):
        view = evaluation_view(sequence.frames, stream, num_frames=data.num_frames, bodies=bodies)
        x = encode(classifier._encoder, view)
        torch.testing.assert_close(x[0], classifier.known.x[row], rtol=1e-4, atol=1e-5)
        nearest, second = classifier(sequence.frames, num_neighbours=2).neighbours
        assert nearest[:2] == (sequence.name, f"class {sequence.label}")
        assert second.similarity < nearest.similarity <= 1 and nearest.similarity == pytest.approx(
            1, abs=1e-5
        )


def test_neighbours_are_the_nearest_by_cosine_the_nearest_first(small_config, classifier):
    frames = np.random.default_rng(3).normal(size=(50, 2, 25, 3))
    view = evaluation_view(frames.astype(np.float32), "joint", num_frames=16, bodies=2)
    x, known = encode(classifier._encoder, view)[0].numpy(), classifier.known
    cosines = {
        n: r @ x / np.sqrt((r @ r) * (x @ x))
        for n, r in zip(known.name, known.x.numpy(), strict=True)
    }
    names = sorted(cosines, key=cosines.__getitem__, reverse=True)
    for num, expected in ((5, 5), (1, 1), (99, 16)):
        found = classifier(frames, num_neighbours=num).neighbours
        assert [n.name for n in found] == names[:expected]
        np.testing.assert_allclose(
            [n.similarity for n in found], [cosines[n.name] for n in found], rtol=1e-5
        )
    assert len(classifier(frames).neighbours) == 5


def test_probabilities_are_of_the_classes_that_occur_the_largest_first(small_config, classifier):
    names = ("never", "one", "never too", "two")
    classifier = with_table(classifier, label=2 * classifier.known.label + 1, class_names=names)
    for sequence in open_sequences(small_config.data.store):
        probabilities = classifier(sequence.frames).probabilities
        assert sorted(probabilities) == ["one", "two"] and sum(
            probabilities.values()
        ) == pytest.approx(1)
        values = list(probabilities.values())
        assert values == sorted(values, reverse=True)
        assert next(iter(probabilities)) == names[2 * sequence.label + 1] and values[0] > 0.8


def test_both_splits_of_the_store_are_learnt_from(small_config, classifier):
    label = torch.where(classifier.known.is_train["xsub"], 0, 1)  # one class is all test sequences
    answer = with_table(classifier, label=label)(open_sequences(small_config.data.store)[12].frames)
    assert set(answer.probabilities) == {"class 0", "class 1"}


@pytest.mark.parametrize("width", [16, 1024])
def test_features_that_say_nothing_leave_the_probe_in_doubt_however_many_they_are(
    classifier, width
):
    generator = torch.Generator().manual_seed(0)
    x, label = torch.randn(200, width, generator=generator), torch.arange(200) % 2
    probe = with_table(classifier, x=x, label=label)._probe
    chances = probe.predict_proba(torch.randn(300, width, generator=generator).numpy())
    assert chances.max(axis=1).mean() < 0.65  # 0.79 at 1024 with the strength that 16 has


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((9, 1, 25, 3)), r"expected frames \(T, 2, 25, 3\), found \(9, 1, 25, 3\)"),
        (np.zeros((0, 2, 25, 3)), r"found \(0, 2, 25, 3\)"),
        (np.full((9, 2, 25, 3), np.nan), "no finite features"),
        (np.full((9, 2, 25, 3), 1e38), "no finite features"),
    ],
)
def test_frames_of_another_shape_or_not_finite_are_an_error(classifier, frames, message):
    with pytest.raises(ScdnetError, match=message):
        classifier(frames)


def written(table: FeatureTable, path) -> str:
    write_features(path, table)
    return str(path)


def test_two_lines_of_python_and_what_they_refuse(small_config, tmp_path):
    checkpoint = pretrain(small_config)
    table = extract_table(small_config, str(checkpoint))
    answer = load_classifier(checkpoint, written(table, tmp_path / "a.h5"))(
        open_sequences(small_config.data.store)[9].frames
    )
    assert answer.neighbours[0].name == table.name[9] and max(answer.probabilities.values()) > 0.5
    control = written(extract_table(small_config, "none"), tmp_path / "b.h5")
    with pytest.raises(
        FeatureFileError,
        match=r"b\.h5: made with none, whose hash is not that of .*last\.pt; make it",
    ):
        load_classifier(checkpoint, control)
    unlabelled = replace(table, label=0 * table.label, class_names=("unlabelled",))
    with pytest.raises(
        FeatureFileError, match=r"expected sequences of several classes, found only 'unlabelled'"
    ):
        load_classifier(checkpoint, written(unlabelled, tmp_path / "c.h5"))


def test_a_recording_is_looked_at_at_the_level_of_the_features(small_config, tmp_path):
    checkpoint = pretrain(small_config)
    for level in ("level1", "level2", "level3"):
        table = extract_table(small_config.model_copy(update={"features": level}), str(checkpoint))
        classifier = load_classifier(checkpoint, written(table, tmp_path / "a.h5"))
        x = torch.nn.functional.normalize(table.x)
        for row in (3, 9):
            itself, second = classifier(
                open_sequences(table.store)[row].frames, num_neighbours=2
            ).neighbours
            assert itself.name == table.name[row] and itself.similarity == pytest.approx(
                1, abs=1e-5
            )
            assert second.similarity == pytest.approx(
                (x @ x[row]).topk(2).values[1].item(), abs=1e-5
            )


def test_a_checkpoint_trained_on_is_another_one(small_config, tmp_path):
    features = written(extract_table(small_config, str(pretrain(small_config))), tmp_path / "a.h5")
    longer = small_config.model_copy(
        update={"optim": small_config.optim.model_copy(update={"epochs": 3})}
    )
    with pytest.raises(FeatureFileError, match="whose hash is not that of"):
        load_classifier(pretrain(longer, resume=True), features)


def test_the_heads_of_the_authors_checkpoint_are_those_of_its_features(small_config, tmp_path):
    sizes = EncoderSizes(base_channels=8, embed_dim=16, num_heads=2, num_frames=16)
    theirs = literal.SCDNet(sizes, projection_dim=8, queue_size=4, momentum=0.99)
    checkpoint = tmp_path / "checkpoint.pth.tar"
    torch.save({"state_dict": theirs.state_dict()}, checkpoint)
    table = extract_table(small_config, str(checkpoint))
    features = written(table, tmp_path / "a.h5")
    with pytest.raises(FeatureFileError, match="made with 2 attention heads, expected 4"):
        load_classifier(checkpoint, features, num_heads=4)
    answer = load_classifier(checkpoint, features)(open_sequences(table.store)[5].frames)
    assert answer.neighbours[0].name == table.name[5] and answer.neighbours[
        0
    ].similarity == pytest.approx(1, abs=1e-5)


def test_recordings_of_another_store_are_classified_by_what_they_are_like(
    small_config, classifier, tmp_path
):
    other = open_sequences(
        write_synthetic_store(tmp_path / "other.h5", frames=100, seed=0)
    )  # same poses, longer
    for sequence in other:
        assert next(iter(classifier(sequence.frames).probabilities)) == f"class {sequence.label}"
