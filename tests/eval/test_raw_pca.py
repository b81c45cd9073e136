"""The baseline raw-pca: its numbers, its reference, its cache and its errors."""

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from scdnet.commands import prepare_import, prepare_ntu
from scdnet.config import Config
from scdnet.data.clips import Clips, load_clips
from scdnet.data.store import open_sequences
from scdnet.engine import components
from scdnet.errors import ScdnetError
from scdnet.eval.classify import load_classifier
from scdnet.eval.feature_file import FeatureFileError, write_features
from scdnet.eval.feature_table import cross_dataset_gallery
from scdnet.eval.inputs import Inputs
from scdnet.eval.knn import accuracy_1nn
from scdnet.eval.raw_pca import extract_raw_pca
from tests.conftest import write_synthetic_store
from tests.engine.runs import changed
from tests.eval.points import inputs_of
from tests.reference.components import slow_fit
from tests.stores import rehash

CPU = torch.device("cpu")


def slow_view(frames: np.ndarray) -> np.ndarray:
    """Cut the evaluation view (32, V, 3) of the first body of frames (T, M, V, 3)."""
    margin = int(0.05 * len(frames) / 2)
    cut = frames[margin : len(frames) - margin, 0].astype(np.float64)
    rows = []
    for t in range(32):
        position = min(max((t + 0.5) * len(cut) / 32 - 0.5, 0), len(cut) - 1)
        before = int(position)
        after = min(before + 1, len(cut) - 1)
        rows.append(cut[before] + (position - before) * (cut[after] - cut[before]))
    return np.stack(rows)


def slow_raw_pca(path: Path, benchmark: str = "xsub") -> np.ndarray:
    """Compute the features (N, K) of all sequences of a store, one after the other."""
    with open_sequences(path) as store:
        is_train = store.is_train(benchmark)
        parents = list(store.skeleton.parents)
        joints = [slow_view(store[i].frames) for i in range(len(store))]
    bones = [x - x[:, parents] for x in joints]
    motions = [np.concatenate([x[1:] - x[:-1], 0 * x[:1]]) for x in joints]
    features = []
    for part in (joints, bones, motions):
        x = np.stack([view.ravel() for view in part])
        mean, weight, _ = slow_fit(x[is_train])
        rows = [(row - mean) @ weight for row in x]
        features.append(np.stack([row / np.linalg.norm(row) for row in rows]))
    return np.concatenate(features, axis=1)


@pytest.fixture(scope="module")
def pca_config(trained_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A config with 24 sequences of each split, and runs of its own."""
    directory = tmp_path_factory.mktemp("pca")
    store = write_synthetic_store(directory / "pca.h5", per_split=24, classes=3)
    return changed(trained_config, data={"store": store}, runs_dir=directory / "runs")


def pca_clips(config: Config) -> Clips:
    data = config.data.model_copy(update={"num_frames": 32, "num_bodies": 1})
    return load_clips(data, "joint", CPU)


def assert_same_cosines(x: torch.Tensor | np.ndarray, y: torch.Tensor | np.ndarray) -> None:
    """Compare features up to the signs of their components, which are arbitrary."""
    x = np.asarray(x, dtype=np.float64)
    y = np.asarray(y, dtype=np.float64)
    assert x.shape == y.shape
    np.testing.assert_allclose(x @ x.T, y @ y.T, atol=1e-5)


def test_features_are_those_of_a_plain_loop(pca_config: Config):
    table = inputs_of(pca_config, "raw-pca").extract()
    # Three parts of unit length, at most 24 / 4 components each.
    assert table.x.shape == (48, 18) and table.x.dtype == torch.float32
    assert torch.allclose(table.x.norm(dim=1), torch.tensor(3**0.5))
    assert_same_cosines(table.x, slow_raw_pca(pca_config.data.store))


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": "bone"},
        {"precision": "bf16"},
        {"seed": 7},
        {"data": {"num_frames": 64, "num_bodies": 1, "cache": "none", "num_workers": 0}},
        {"data": {"cache_dtype": "float16"}},
    ],
)
def test_the_config_changes_neither_features_nor_record(
    pca_config: Config, changes: dict, tmp_path: Path
):
    usual = inputs_of(pca_config, "raw-pca")
    # Another directory of runs has a cache of its own.
    other = inputs_of(changed(pca_config, runs_dir=tmp_path, **changes), "raw-pca")
    assert (other.record, other.settings) == (usual.record, usual.settings)
    assert torch.equal(other.extract().x, usual.extract().x)
    record = usual.record
    assert (record.baseline, record.stream, record.feature_level) == ("raw-pca", "all", 4)
    assert (record.seed, record.epoch, record.checkpoint) == (None, None, None)


def test_the_test_split_has_no_part_in_the_fit(pca_config: Config, tmp_path: Path):
    path = tmp_path / "other.h5"
    path.write_bytes(pca_config.data.store.read_bytes())
    before = extract_raw_pca(pca_clips(pca_config))
    with h5py.File(path, "r+") as file:
        last = file["offset"][-2]
        file["frames"][last:] = file["frames"][last:] * 5
    rehash(path)
    other = changed(pca_config, data={"store": path})
    after = extract_raw_pca(pca_clips(other))
    assert torch.allclose(before[:-1], after[:-1], atol=1e-6)


def test_a_large_training_split_is_represented_by_a_sample(
    pca_config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    clips = pca_clips(pca_config)
    whole = extract_raw_pca(clips)
    assert "; fitted to 24 training sequences\n" in capsys.readouterr().err
    monkeypatch.setattr(components, "MAX_FITTED", 12)
    sampled = extract_raw_pca(clips)
    assert "fitted to a random sample of 12 of 24 training sequences\n" in capsys.readouterr().err
    # At most 12 / 4 components of each part.
    assert sampled.shape == (48, 9) and whole.shape == (48, 18)
    assert torch.equal(sampled, extract_raw_pca(clips))


@pytest.fixture
def inputs(pca_config: Config, tmp_path: Path) -> Inputs:
    """The inputs of raw-pca without anything cached."""
    return inputs_of(changed(pca_config, runs_dir=tmp_path / "runs"), "raw-pca")


def cached(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "runs/.cache").iterdir())


def test_features_are_computed_once_for_all_runs_of_a_store(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = inputs.extract()
    (path,) = cached(tmp_path)
    assert path.name == f"raw-pca_{inputs.store.store_sha256[:12]}_xsub.h5"
    monkeypatch.setattr("scdnet.eval.inputs.extract_raw_pca", None)
    assert torch.equal(inputs.extract().x, first.x)
    lazy = inputs.extract_lazily()
    assert lazy.width == 18
    assert torch.equal(lazy.features(torch.arange(48)).x, first.x)


@pytest.mark.parametrize("fault", ["damaged", "of another definition"])
def test_a_cached_file_that_does_not_fit_is_replaced_with_a_warning(
    inputs: Inputs, tmp_path: Path, fault: str, capsys: pytest.CaptureFixture
):
    table = inputs.extract()
    (path,) = cached(tmp_path)
    if fault == "damaged":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        other = inputs._replace(settings={**inputs.settings, "variance": 0.9})
        write_features(path, other.extract())
    capsys.readouterr()
    assert torch.equal(inputs.extract().x, table.x)
    assert capsys.readouterr().err.count("; computed again\n") == 1
    inputs.extract()
    assert "computed again" not in capsys.readouterr().err


def test_features_that_cannot_be_cached_are_computed_all_the_same(
    inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture
):
    # A file is where the directory should be.
    (tmp_path / "runs").write_text("")
    assert inputs.extract().x.shape == (48, 18)
    assert "cannot keep the features of raw-pca" in capsys.readouterr().err


@pytest.mark.parametrize("num_train", [1, 3])
def test_a_training_split_of_a_few_sequences_is_an_error(
    trained_config: Config, tmp_path: Path, num_train: int
):
    store = write_synthetic_store(tmp_path / "few.h5", per_split=num_train, classes=1)
    message = (
        f"few.h5: raw-pca: the training split of 'xsub' has {num_train} sequences, expected at "
        "least 4: a component takes that many; use --baseline raw"
    )
    with pytest.raises(ScdnetError, match=message):
        extract_raw_pca(pca_clips(changed(trained_config, data={"store": store})))


def write_constant(path: Path, *, still: bool) -> Path:
    """Make all frames of a store equal, or those of each sequence."""
    write_synthetic_store(path, per_split=8)
    with h5py.File(path, "r+") as file:
        offset = file["offset"][:]
        frames = file["frames"][:]
        for first, end in pairwise(offset):
            frames[first:end] = frames[first if still else 0]
        file["frames"][:] = frames
    rehash(path)
    return path


def test_sequences_that_are_all_alike_are_an_error(trained_config: Config, tmp_path: Path):
    path = write_constant(tmp_path / "alike.h5", still=False)
    with pytest.raises(ScdnetError, match="has no variance: all its 8 sequences are alike"):
        extract_raw_pca(pca_clips(changed(trained_config, data={"store": path})))


def test_a_part_without_variance_has_no_components(trained_config: Config, tmp_path: Path):
    path = write_constant(tmp_path / "still.h5", still=True)
    x = extract_raw_pca(pca_clips(changed(trained_config, data={"store": path})))
    # 8 / 4 components of joints and of bones, none of motion.
    assert x.shape == (16, 4) and x.isfinite().all()


def test_features_of_two_stores_are_not_of_the_same_kind(pca_config: Config, tmp_path: Path):
    one = inputs_of(pca_config, "raw-pca").extract()
    store = write_synthetic_store(tmp_path / "other.h5", per_split=24, classes=3, seed=5)
    other = inputs_of(changed(pca_config, data={"store": store}), "raw-pca").extract()
    with pytest.raises(ScdnetError, match="expected features of the same encoder"):
        cross_dataset_gallery(other, one, one.rows("xsub", train=False))


def test_a_classifier_needs_features_of_its_checkpoint(
    pca_config: Config, checkpoint: Path, tmp_path: Path
):
    path = tmp_path / "features.h5"
    write_features(path, inputs_of(pca_config, "raw-pca").extract())
    with pytest.raises(FeatureFileError, match="extracted with raw-pca, whose hash is not that of"):
        load_classifier(checkpoint, path)


# The sets at hand, as they are converted: 1-NN in percent, measured apart from this code.
MEASURED = {
    "nwucla": (["--format=nwucla", "--to=ntu25"], "nwucla_all_sqe.zip", "xview", 80.6),
    "uiprmd": (["--dataset=ntu60"], "uiprmd_skeletons.zip", "xsub", 59.4),
}


@pytest.mark.slow
@pytest.mark.parametrize("dataset", MEASURED)
def test_the_accuracy_is_the_one_measured_before(
    dataset: str, trained_config: Config, shared: Path, tmp_path: Path
):
    how, name, benchmark, expected = MEASURED[dataset]
    if not (shared / "data" / name).is_file():
        pytest.skip(f"{name} is not at hand")
    store = tmp_path / f"{dataset}.h5"
    convert = prepare_import.main if dataset == "nwucla" else prepare_ntu.main
    assert not convert([*how, f"--raw={shared / 'data' / name}", f"--out={store}"])
    data = {"store": store, "benchmark": benchmark}
    config = changed(trained_config, data=data, runs_dir=tmp_path / "runs")
    table = inputs_of(config, "raw-pca").extract()
    splits = (table.features(table.rows(benchmark, train=train)) for train in (True, False))
    assert accuracy_1nn(*splits, CPU) == pytest.approx(expected, abs=1)
