"""Pretraining on several stores at once: what it sees, how it resumes, and what identifies it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from scdnet.config import Config
from scdnet.data.mixture import read_hashes
from scdnet.data.store import open_sequences
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.run.directory import RunDirError
from scdnet.engine.run.signals import StopRequest
from scdnet.engine.train.interval import Interval
from scdnet.engine.train.pretrain import pretrain
from scdnet.errors import ScdnetError
from scdnet.eval.features import load_encoder_or_baseline
from scdnet.eval.knn import score_1nn
from scdnet.skeletons import NTU_25
from tests.conftest import make_small_config, write_synthetic_store
from tests.engine.runs import assert_same_state, changed, metrics_of, without_times
from tests.stores import write_named_store

StopAfter = Callable[[int], StopRequest]
# Sequences of the second store, which shares recordings with the first one and with its test split.
SECOND = ["S001C001P001R001A001", "S001C001P003R001A001", "p", "q", "r"]


def write_stores(folder: Path) -> tuple[Path, Path]:
    """Write a store of 8 training sequences and one of 4 others, of which 1 tests the first."""
    return (
        write_synthetic_store(folder / "first.h5"),
        write_named_store(folder / "second.h5", SECOND, ["s", "t"]),
    )


def mixed(config: Config, *stores: Path, sampling: object = "proportional", **values) -> Config:
    """Return the config on several stores, with batches of 2."""
    data = {"store": stores, "sampling": sampling, "batch_size": 2}
    return changed(config, data=data, **values)


@pytest.fixture
def config(small_config: Config, tmp_path: Path) -> Config:
    return mixed(small_config, *write_stores(tmp_path))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, no_training) -> list[torch.Tensor]:
    """The batches that a run takes, counted through its stores."""
    batches: list[torch.Tensor] = []
    record = Interval.record

    def note(interval: Interval, metrics: torch.Tensor, batch: torch.Tensor) -> None:
        batches.append(batch)
        record(interval, metrics, batch)

    monkeypatch.setattr(Interval, "record", note)
    return batches


def names_of(batches: list[torch.Tensor], stores: tuple[Path, ...]) -> list[tuple[str, str]]:
    """Return the store and the name of each sequence that was seen."""
    all_names = []
    for path in stores:
        with open_sequences(path) as store:
            all_names += [(path.stem, name) for name in store.table.name]
    return [all_names[i] for i in torch.cat(batches).tolist()]


def test_pairs_of_a_class_resume_within_an_epoch(
    config: Config, stop_after: StopAfter, tmp_path: Path
):
    config = changed(config, data={"positives": ("class", "sequence")})
    whole = pretrain(changed(config, name="whole"))
    pretrain(config, stop=stop_after(3))
    assert_same_state(pretrain(config, resume=True), whole)


@pytest.mark.parametrize("sampling", ["proportional", "equal", (1, 3)])
def test_a_run_sees_its_share_of_each_store_and_no_test_sequence(
    config: Config, seen, capsys: pytest.CaptureFixture, sampling: object
):
    config = changed(config, data={"sampling": sampling}, optim={"epochs": 6})
    pretrain(config)
    names = names_of(seen, config.data.stores)
    # 8 and 4 sequences are 6 steps of 2.
    assert len(names) == 6 * 12
    share = {"proportional": 1 / 3, "equal": 1 / 2, (1, 3): 3 / 4}[sampling]
    assert sum(store == "second" for store, _ in names) == share * len(names)
    assert not {name for _, name in names} & {"S001C001P003R001A001", "s", "t"}
    assert len(set(names)) == 12
    err = capsys.readouterr().err
    first, second = config.data.stores
    assert (
        f"{first}, xsub: 8 training sequences, {100 - 100 * share:.1f} % of what is drawn\n" in err
    )
    assert (
        f"{second}, xsub: 4 training sequences, {100 * share:.1f} % of what is drawn; left out: "
        "1 test sequences of another store\n" in err
    )
    assert "12 training sequences, frames (" in err


@pytest.mark.parametrize("optim", [{"epochs": 2}, {"steps": 7}])
def test_each_epoch_of_a_proportional_run_is_one_pass_over_all_stores(
    config: Config, seen, optim: dict
):
    pretrain(changed(config, optim=optim))
    names = names_of(seen, config.data.stores)
    assert len(set(names[:12])) == 12
    # Both orders mix the stores.
    stores = "".join(store[0] for store, _ in names)
    assert stores[:12] != stores[:12][::-1] and "fsf" in stores


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """The undisturbed run: eight steps, two of them of a second epoch, in equal shares."""
    folder = tmp_path_factory.mktemp("whole")
    stores = write_stores(folder)
    small = make_small_config(stores[0], folder / "runs")
    config = mixed(
        small,
        *stores,
        sampling="equal",
        name="whole",
        optim={"steps": 8},
        eval_every=4,
        save_every=3,
    )
    return config, pretrain(config, score=score_1nn)


@pytest.mark.parametrize(
    ("cache", "num_workers", "stops"),
    [
        ("auto", 0, (1,) * 8),
        pytest.param("none", 0, (5,), marks=pytest.mark.slow),
        pytest.param("none", 1, (6, 1), marks=pytest.mark.slow),
    ],
)
def test_a_run_stopped_after_any_step_ends_as_the_undisturbed_one(
    whole,
    tmp_path: Path,
    stop_after: StopAfter,
    cache: str,
    num_workers: int,
    stops: tuple[int, ...],
):
    undisturbed, last = whole
    data = {"cache": cache, "num_workers": num_workers}
    config = changed(undisturbed, runs_dir=tmp_path, data=data)
    for number, steps in enumerate(stops):
        pretrain(config, resume=number > 0, score=score_1nn, stop=stop_after(steps))
    assert_same_state(pretrain(config, resume=True, score=score_1nn), last)
    assert without_times(config) == without_times(undisturbed)


def test_scores_are_of_each_store_and_their_mean_chooses_the_best(whole):
    config, _ = whole
    scored = [line for line in metrics_of(config) if "knn@1" in line]
    assert [line["step"] for line in scored] == [4, 8]
    for line in scored:
        each = [line["knn@1/first"], line["knn@1/second"]]
        assert line["knn@1"] == pytest.approx(sum(each) / 2)
    best = read_checkpoint(config.run_dir / "best.pt").state["best"]
    assert best["knn@1"] == max(line["knn@1"] for line in scored)


def test_the_identity_of_a_run_is_that_of_all_its_stores(whole):
    config, last = whole
    hashes = read_hashes(config.data.stores)
    assert len(hashes.split()) == 2
    assert read_checkpoint(last).state["store_sha256"] == hashes
    assert (config.run_dir / "store.sha256").read_text() == f"{hashes}\n"
    _, record = load_encoder_or_baseline(last, config, NTU_25)
    assert (record.pretrained_on, record.pretrained_sha256) == ("first+second", hashes)


@pytest.fixture
def begun(whole, tmp_path: Path) -> Config:
    """The run of `whole`, which can be made longer, with its stores at another place."""
    config, _ = whole
    moved = changed(config, runs_dir=tmp_path / "runs", optim={"steps": 9})
    shutil.copytree(config.run_dir, moved.run_dir)
    stores = [Path(shutil.copy(store, tmp_path / store.name)) for store in config.data.stores]
    return changed(moved, data={"store": stores})


@pytest.mark.parametrize("has_checkpoint", [True, False])
@pytest.mark.usefixtures("no_training")
def test_the_same_content_elsewhere_is_resumed(begun: Config, has_checkpoint: bool):
    if not has_checkpoint:
        for path in begun.run_dir.glob("*.pt"):
            path.unlink()
    assert read_checkpoint(pretrain(begun, resume=True)).state["epoch"] == 1


@pytest.mark.parametrize("has_checkpoint", [True, False])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda a, b: (a, write_named_store(b, SECOND, ["s", "t"], seed=1)),
            r"second\.h5 has another content than the store that this run was started with",
        ),
        (
            lambda a, b: (write_synthetic_store(a, seed=1), b),
            r": [^ ]*first\.h5 has another content than the store",
        ),
        (lambda a, b: (b, a), r"data\.store lists the stores of this run in another order"),
        (lambda a, b: (a,), r"the run was started with 2 stores, data\.store has 1, or start"),
    ],
)
@pytest.mark.usefixtures("no_training")
def test_other_content_is_not_resumed(
    begun: Config, change: Callable, message: str, has_checkpoint: bool
):
    if not has_checkpoint:
        for path in begun.run_dir.glob("*.pt"):
            path.unlink()
    config = changed(begun, data={"store": change(*begun.data.stores)})
    with pytest.raises(RunDirError, match=message):
        pretrain(config, resume=True)


@pytest.mark.usefixtures("no_training")
def test_other_shares_and_benchmarks_are_not_resumed(begun: Config):
    with pytest.raises(
        RunDirError, match=r"data\.sampling is equal in the run, \[2.*\] in the con"
    ):
        pretrain(changed(begun, data={"sampling": (2, 1)}), resume=True)
    with pytest.raises(RunDirError, match=r"data\.benchmark is xsub in the run, \['xsub', 'every"):
        pretrain(changed(begun, data={"benchmark": ("xsub", "everybody")}), resume=True)


@pytest.mark.usefixtures("no_training")
def test_a_run_from_before_there_was_sampling_is_resumed(finished: Config):
    path = finished.run_dir / "config.yaml"
    saved = yaml.safe_load(path.read_text())
    del saved["data"]["sampling"]
    path.write_text(json.dumps(saved))
    state = torch.load(finished.run_dir / "last.pt")
    del state["config"]["data"]["sampling"]
    torch.save(state, finished.run_dir / "last.pt")
    longer = changed(finished, optim={"epochs": 3})
    assert read_checkpoint(pretrain(longer, resume=True)).state["epoch"] == 3


def test_a_nan_is_reported_with_the_store_of_its_sequences(config: Config):
    with pytest.raises(ScdnetError, match=r"on sequences (first|second)/\S+, (first|second)/\S+;"):
        pretrain(changed(config, optim={"lr": 1e30}))


def test_stores_that_leave_nothing_to_train_on_are_refused(small_config: Config, tmp_path: Path):
    first = write_named_store(tmp_path / "a.h5", ["p"], ["q"])
    second = write_named_store(tmp_path / "b.h5", ["q"], ["p"])
    config = mixed(small_config, first, second)
    message = r"a\.h5, .*b\.h5: the training split of benchmark 'xsub' has no sequence that is not"
    with pytest.raises(ScdnetError, match=message):
        pretrain(config)
    assert not config.run_dir.exists()
    third = write_named_store(tmp_path / "c.h5", ["r", "s"])
    message = r"b\.h5: data\.sampling gives it a share, but no training sequence is left"
    with pytest.raises(ScdnetError, match=message):
        pretrain(mixed(small_config, third, second, first, sampling="equal"))
