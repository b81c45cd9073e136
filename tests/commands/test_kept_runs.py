"""A file of kept runs: which runs it contains, how it grows, and what is wrong in it."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scdnet.commands.kept_runs import KeptRuns, describe_cpu_seconds
from scdnet.config import Config
from scdnet.data.mixture import read_hashes
from scdnet.engine.locate import hash_weights
from scdnet.engine.run.directory import INIT, METRICS, STORE
from scdnet.errors import ScdnetError
from scdnet.files import PatientFile, atomic_write
from scdnet.results.results_file import RESULTS, append_results
from tests.conftest import write_synthetic_store
from tests.engine.runs import changed
from tests.faults import FORKING
from tests.results.records import RAW, make_record


@pytest.fixture
def finish(small_config: Config) -> Callable[..., Config]:
    """Write what a finished run of the small config with `values` leaves; return its config."""

    def write(**values: object) -> Config:
        config = changed(small_config, **values)
        config = changed(config, name=f"run_seed{config.seed}")
        record = make_record(
            seed=config.seed,
            checkpoint=str(config.run_dir / "last.pt"),
            checkpoint_sha256=f"{config.seed:064}",
        )
        append_results(config.run_dir, record, {"top1": 60.0 + config.seed, "top5": 90.0})
        append_results(config.run_dir, make_record(**RAW), {"top1": 40.0})
        (config.run_dir / STORE).write_text(f"{read_hashes(config.data.stores)}\n")
        lines = '{"epoch": 0, "cpu_seconds": 1.5}\n{"epoch": 1, "cpu_seconds": 2.25}\n'
        (config.run_dir / METRICS).write_text(lines)
        return config

    return write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept/results/tiny.jsonl"


def test_a_run_is_found_under_other_paths_on_another_machine(finish, path: Path, tmp_path: Path):
    config = finish()
    KeptRuns(path).keep(config)
    assert str(tmp_path) not in path.read_text()
    copied = shutil.copy(config.data.store, tmp_path / "copied.h5")
    other = changed(
        config,
        name="other",
        display_name="renamed",
        runs_dir=tmp_path / "elsewhere",
        device="auto",
        eval_every=1,
        data={"store": copied, "num_workers": 0},
    )
    outcome = KeptRuns(path).outcome(other)
    assert outcome.train_cpu_seconds == 3.8
    found = {(r.encoder_label, r.metric): r.value for r in outcome.results}
    assert found == {("renamed", "top1"): 60, ("renamed", "top5"): 90, ("raw views", "top1"): 40}


@pytest.mark.parametrize(
    "values",
    [
        {"seed": 1},
        {"optim": {"lr": 0.02}},
        {"data": {"benchmark": "everybody"}},
        {"feature_level": 3},
        {"protocols": ["knn"]},
        {"linear": {"batch_size": 7}},
    ],
)
def test_a_run_of_another_config_is_not_found(finish, path: Path, values: dict):
    config = finish()
    KeptRuns(path).keep(config)
    assert KeptRuns(path).find(config) is not None
    assert KeptRuns(path).find(changed(config, **values)) is None


def test_a_run_on_a_store_of_another_content_is_not_found_but_stays(finish, path: Path):
    config = finish()
    KeptRuns(path).keep(config)
    before = path.read_bytes()
    config.data.store.unlink()
    write_synthetic_store(config.data.store, seed=7)
    kept = KeptRuns(path)
    assert kept.find(config) is None
    kept.keep(finish())
    assert kept.find(config) is not None
    assert path.read_bytes().startswith(before) and path.read_bytes() != before


def test_a_store_that_changes_during_a_sweep_is_an_error(finish, path: Path):
    config = finish()
    kept = KeptRuns(path)
    # Before the run, at the start of the sweep.
    kept.keep(config)
    config.data.store.unlink()
    write_synthetic_store(config.data.store, seed=7)
    with pytest.raises(ScdnetError, match="its store has changed since the sweep started"):
        kept.keep(finish(seed=1))


def test_a_store_that_is_not_here_is_known_by_its_file_name(
    finish, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    config = finish()
    KeptRuns(path).keep(config)
    config.data.store.unlink()
    kept = KeptRuns(path)
    elsewhere = tmp_path / "gone" / config.data.store.name
    moved = changed(config, data={"store": elsewhere})
    assert kept.find(moved) is not None and kept.outcome(moved).results
    assert capsys.readouterr().err.count(f"{elsewhere}: not here to be compared") == 1
    assert kept.find(changed(config, data={"store": tmp_path / "other.h5"})) is None
    both = {"store": (elsewhere, tmp_path / "other.h5"), "benchmark": "xsub"}
    assert kept.find(changed(config, data=both)) is None


def test_each_of_several_stores_counts(finish, path: Path, store_path: Path, tmp_path: Path):
    second = write_synthetic_store(tmp_path / "second.h5", seed=7)
    config = finish(data={"store": (store_path, second)})
    KeptRuns(path).keep(config)
    assert KeptRuns(path).find(config) is not None
    assert KeptRuns(path).find(changed(config, data={"store": (second, store_path)})) is None
    store_path.unlink()
    assert KeptRuns(path).find(config) is not None
    second.unlink()
    write_synthetic_store(second, seed=8)
    assert KeptRuns(path).find(config) is None


def test_the_content_of_the_initial_weights_counts_and_not_their_path(
    finish, path: Path, tmp_path: Path
):
    first = tmp_path / "first.pt"
    first.write_bytes(b"weights")
    config = finish(init=str(first))
    (config.run_dir / INIT).write_text(f"{hash_weights(first)}\n")
    KeptRuns(path).keep(config)
    assert str(tmp_path) not in path.read_text()
    copied = shutil.copy(first, tmp_path / "copied.pt")
    assert KeptRuns(path).find(changed(config, init=str(copied))) is not None
    assert KeptRuns(path).find(changed(config, init=None)) is None
    assert KeptRuns(path).find(changed(config, init="gone.pt")) is None
    first.write_bytes(b"others")
    assert KeptRuns(path).find(config) is None
    # A run from random weights is another one.
    (config.run_dir / INIT).unlink()
    KeptRuns(path).keep(finish())
    assert KeptRuns(path).find(changed(config, init=None)) is not None
    assert KeptRuns(path).find(config) is None


def keep_without(finish, path: Path, entry: str) -> Config:
    """Keep a run, and remove an entry that its line contains; return its config."""
    config = finish()
    KeptRuns(path).keep(config)
    text = path.read_text()
    assert entry in text
    path.write_text(text.replace(entry, ""))
    return config


def test_a_line_from_before_there_were_initial_weights_is_a_run_from_random_ones(
    finish, path: Path
):
    config = keep_without(finish, path, '"init_sha256":"",')
    assert KeptRuns(path).find(config) is not None


def test_a_baseline_is_kept_once_and_a_run_too(finish, path: Path):
    configs = [finish(seed=seed) for seed in (0, 1)]
    for config in (*configs, *configs):
        KeptRuns(path).keep(config)
    kinds = [line.split('"')[3] for line in path.read_text().splitlines()]
    assert kinds == ["baseline", "run", "run"]
    kept = KeptRuns(path)
    assert [kept.outcome(config).results[0].value for config in configs] == [60, 61]
    assert [kept.outcome(config).results[-1].value for config in configs] == [40, 40]


def test_a_key_that_was_added_since_then_has_its_default(finish, path: Path):
    config = keep_without(finish, path, '"model.num_layers":1,')
    assert KeptRuns(path).find(config) is not None
    assert KeptRuns(path).find(changed(config, model={"num_layers": 2})) is None


def test_processes_that_write_at_a_time_lose_no_line(
    finish, path: Path, monkeypatch: pytest.MonkeyPatch
):
    @contextmanager
    def slow_write(path: Path) -> Iterator[PatientFile]:
        # Long enough for the others to read what this process replaces.
        time.sleep(0.03)
        with atomic_write(path) as file:
            yield file

    monkeypatch.setattr("scdnet.commands.kept_runs.atomic_write", slow_write)
    configs = [finish(seed=seed) for seed in range(6)]
    keepers = [FORKING.Process(target=KeptRuns(path).keep, args=(c,)) for c in configs]
    for keeper in keepers:
        keeper.start()
    for keeper in keepers:
        keeper.join()
    kept = KeptRuns(path)
    assert all(kept.find(config) is not None for config in configs)
    assert len(path.read_text().splitlines()) == 6 + 1
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("end", ["", "\r\n"])
def test_a_file_that_was_edited_keeps_its_lines(finish, path: Path, end: str):
    KeptRuns(path).keep(finish())
    edited = path.read_text().strip().replace("\n", end or "\n") + end
    path.write_bytes(edited.encode())
    config = finish(seed=1)
    KeptRuns(path).keep(config)
    assert path.read_bytes().startswith(edited.encode())
    assert KeptRuns(path).find(config) is not None


def test_a_damaged_line_is_named_and_nothing_is_lost(finish, path: Path):
    config = finish()
    kept = KeptRuns(path)
    kept.keep(config)
    baseline, run = path.read_text().splitlines()
    damaged = {
        f"{baseline}\n{run[:100]}\n": r"tiny\.jsonl:2: not a line of `scdnet sweep --keep` \(",
        f"{baseline}\n\n{run}\n": r"tiny\.jsonl:2: not a line",
        (config.run_dir / RESULTS).read_text(): r"tiny\.jsonl:1: not a line",
        f"{run}\n": r"tiny\.jsonl:1: expected a line of the baseline \w+ above, found none",
        f"{baseline}\n{run.replace('60.0', '[]')}": r"tiny\.jsonl:2: .*top1: Input should be a ",
    }
    for content, message in damaged.items():
        path.write_text(content)
        with pytest.raises(ScdnetError, match=message):
            KeptRuns(path)
        # It was damaged while the sweep was running.
        with pytest.raises(ScdnetError, match=message):
            kept.keep(finish(seed=1))
        assert path.read_text() == content and list(path.parent.iterdir()) == [path]


def test_a_directory_is_no_file(tmp_path: Path):
    with pytest.raises(ScdnetError, match="is a directory, expected the name of a file"):
        KeptRuns(tmp_path)


def test_a_run_without_results_is_not_kept(finish, path: Path):
    config = finish()
    (config.run_dir / RESULTS).write_text("torn")
    with pytest.raises(ScdnetError, match=r"results\.jsonl: no results"):
        KeptRuns(path).keep(config)
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "{", '{"epoch": 0}\n', '{"cpu_seconds": "1"}\n'])
def test_a_run_that_does_not_state_its_time_is_kept_without(finish, path: Path, content: str):
    config = finish()
    (config.run_dir / METRICS).write_text(content)
    kept = KeptRuns(path)
    kept.keep(config)
    assert kept.outcome(config).train_cpu_seconds is None


def test_the_time_is_a_mean_over_the_seeds_that_state_it():
    (note,) = describe_cpu_seconds({"a": [1.0, None, 2.0], "b": [None], "c": [300.4]})
    assert note == "CPU seconds of a training, mean over its seeds: a 2, c 300."
    assert describe_cpu_seconds({"b": [None]}) == []
