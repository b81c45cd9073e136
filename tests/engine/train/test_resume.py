"""A run that was stopped, after whatever step, ends as the undisturbed one."""

import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import h5py
import pytest
import yaml

from scdnet.config import Config
from scdnet.data.store import open_sequences
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.run.checkpoints import progress_of
from scdnet.engine.run.directory import RunDirError
from scdnet.engine.run.signals import StopRequest
from scdnet.engine.train.pretrain import pretrain
from scdnet.eval.knn import score_1nn
from scdnet.skeletons import OPENPOSE_25
from tests.conftest import make_small_config, write_synthetic_store
from tests.engine.runs import assert_same_state, changed, metrics_of, without_times
from tests.stores import edit, rehash

# Steps of an epoch: 8 sequences, 2 a batch.
STEPS = 4
StopAfter = Callable[[int], StopRequest]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """The undisturbed run: two epochs of STEPS steps."""
    folder = tmp_path_factory.mktemp("whole")
    small = make_small_config(write_synthetic_store(folder / "synthetic.h5"), folder / "runs")
    config = changed(
        small, name="whole", data={"batch_size": 2}, optim={"warmup_epochs": 1}, eval_every=1
    )
    return config, pretrain(config, score=score_1nn)


@pytest.mark.parametrize(
    ("cache", "num_workers", "stops"),
    [
        pytest.param("auto", 0, (1, 3), marks=pytest.mark.slow),
        pytest.param("none", 0, (STEPS - 1, 2), marks=pytest.mark.slow),
        ("none", 2, (STEPS,)),
    ],
)
def test_a_run_stopped_again_and_again_ends_as_the_undisturbed_one(
    whole,
    tmp_path: Path,
    stop_after: StopAfter,
    capsys: pytest.CaptureFixture,
    cache: str,
    num_workers: int,
    stops: tuple[int, ...],
):
    undisturbed, last = whole
    data = {"cache": cache, "num_workers": num_workers}
    config = changed(undisturbed, runs_dir=tmp_path, data=data)
    num_steps = 0
    for steps in stops:
        path = pretrain(config, resume=num_steps > 0, score=score_1nn, stop=stop_after(steps))
        num_steps += steps
        # A stop at the last step of an epoch comes before what is due after the epoch.
        epoch = (num_steps - 1) // STEPS
        step = (num_steps - 1) % STEPS + 1
        assert progress_of(read_checkpoint(path).state) == (epoch, step)
        message = (
            f"Stopped at epoch {epoch}, step {step}/4. Checkpoint saved; continue with --resume."
        )
        assert message in capsys.readouterr().err
    path = pretrain(config, resume=True, score=score_1nn)
    message = f"Resuming from epoch {epoch}/2, step {step}. Checkpoint: {path}"
    assert message in capsys.readouterr().err
    assert progress_of(read_checkpoint(path).state) == (2, 0)
    assert_same_state(path, last)
    assert without_times(config) == without_times(undisturbed)


def test_the_loss_is_on_record_term_by_term(whole):
    for line in metrics_of(whole[0]):
        terms = [value for name, value in line.items() if name.startswith("loss/")]
        assert sum(terms) == pytest.approx(line["loss"])
        assert len(set(terms)) == 4


@pytest.fixture
def moved(finished: Config, tmp_path: Path) -> Config:
    """A finished run whose store was copied to a job's own folder."""
    store = tmp_path / "scratch" / "job_17" / "copied.h5"
    store.parent.mkdir(parents=True)
    shutil.copy(finished.data.store, store)
    return changed(finished, data={"store": store}, optim={"epochs": 3})


def saved_store(config: Config) -> str:
    return yaml.safe_load((config.run_dir / "config.yaml").read_text())["data"]["store"]


@pytest.mark.parametrize(
    ("has_checkpoint", "cache", "is_relative"),
    [(True, "auto", False), (True, "none", True), (False, "auto", True), (False, "none", False)],
)
@pytest.mark.usefixtures("no_training")
def test_the_same_content_elsewhere_is_resumed_without_a_word(
    moved: Config,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    has_checkpoint: bool,
    cache: str,
    is_relative: bool,
):
    # It was converted again, by another version.
    with edit(moved.data.store) as file:
        file.attrs["created_by"] = "another version"
    store = moved.data.store
    if is_relative:
        monkeypatch.chdir(store.parents[1])
        store = Path("job_17/copied.h5")
    config = changed(moved, data={"store": store, "cache": cache})
    if not has_checkpoint:
        (config.run_dir / "last.pt").unlink()
    pretrain(config, resume=True)
    err = capsys.readouterr().err
    assert "warning" not in err and "another" not in err
    assert ("Resuming from epoch 2/3" in err) == has_checkpoint
    assert len(metrics_of(config)) == 3
    assert saved_store(config) == str(store)
    assert read_checkpoint(config.run_dir / "last.pt").state["config"]["data"]["store"] == str(
        store
    )


def exchange(key: str, row: object, value: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            file[key][row] = value
        rehash(path)

    return change


def replace_frames(path: Path) -> None:
    """Convert other recordings to the same path; the tables stay the same."""
    write_synthetic_store(path, seed=5)


@pytest.mark.parametrize(
    ("change", "has_checkpoint", "cache"),
    [
        *((replace_frames, *how) for how in product((True, False), ("auto", "none"))),
        (exchange("frames", (3, 0, 4, 1), 0.1), True, "none"),
        (exchange("label", 3, 0), True, "auto"),
        (exchange("split/xsub", 0, False), True, "auto"),
        (lambda path: write_synthetic_store(path, skeleton=OPENPOSE_25), True, "auto"),
    ],
)
@pytest.mark.usefixtures("no_training")
def test_other_content_at_the_same_path_is_not_resumed(
    moved: Config, change: Callable[[Path], None], has_checkpoint: bool, cache: str
):
    config = changed(moved, data={"cache": cache})
    if not has_checkpoint:
        (config.run_dir / "last.pt").unlink()
    before = {path.name: path.read_bytes() for path in config.run_dir.glob("*.*")}
    change(config.data.store)
    name = "last.pt" if has_checkpoint else "store.sha256"
    message = rf"{name}: cannot resume: .*copied\.h5 has another content than the store that this"
    with pytest.raises(RunDirError, match=message):
        pretrain(config, resume=True)
    assert {path.name: path.read_bytes() for path in config.run_dir.glob("*.*")} == before
    pretrain(config, overwrite=True)


@pytest.mark.usefixtures("no_training")
def test_an_overwritten_run_starts_with_the_content_of_now(moved: Config):
    write_synthetic_store(moved.data.store, seed=5)
    pretrain(moved, overwrite=True)
    (moved.run_dir / "last.pt").unlink()
    pretrain(moved, resume=True)
    with open_sequences(moved.data.store) as store:
        state = read_checkpoint(moved.run_dir / "last.pt").state
        assert state["store_sha256"] == store.content_sha256


@pytest.mark.usefixtures("no_training")
def test_a_start_that_was_killed_before_it_noted_its_data_is_resumed(moved: Config):
    for name in ("last.pt", "store.sha256"):
        (moved.run_dir / name).unlink()
    write_synthetic_store(moved.data.store, seed=5)
    pretrain(moved, resume=True)
    assert (moved.run_dir / "store.sha256").is_file()
