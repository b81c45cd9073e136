"""Reports of tiny runs, without a browser: files, messages, and the numbers in the page."""

import base64
import html
import json
import re
import shlex
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml

from scdnet.commands import report
from scdnet.commands.report import PARTS
from scdnet.engine.train.pretrain import pretrain
from scdnet.errors import ScdnetError
from scdnet.eval.feature_file import read_features
from tests.conftest import make_small_config, write_synthetic_store
from tests.engine.runs import changed
from tests.raw.walker import walking
from tests.stores import edit, rehash

HOSTILE = "</script><b>"
CAPTURE = ["--layout", "ntu25", "--unit", "m", "--up", "y"]


def train(directory: Path, name: str, seed: int, store: Path) -> Path:
    config = make_small_config(store, directory / "runs")
    config = changed(config, name=name, seed=seed, optim={"epochs": 2}, display_name="")
    return pretrain(config).parent


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    directory = tmp_path_factory.mktemp("report")
    store = write_synthetic_store(directory / "store.h5")
    return [train(directory, f"run{seed}", seed, store) for seed in range(2)]


def read_data(page: Path) -> dict:
    """Return what the script of a page shows."""
    found = re.search(r'id="report-data">([^<]*)<', page.read_text())
    assert found
    return json.loads(zlib.decompress(base64.b64decode(found[1])))


def test_a_page_shows_the_run_beside_the_baselines(runs: list[Path], tmp_path: Path, capsys):
    out = tmp_path / "report.html"
    report.main([str(runs[0]), "--out", str(out)])
    data = read_data(out)
    text = out.read_text()
    for name in ("raw views", "raw-pca", "random init", "this encoder"):
        assert name in text
    table = read_features(runs[0] / "features.h5")
    is_train = table.is_train["xsub"]
    assert sorted(data["sequences"]["name"]) == table.name.tolist()
    assert len(data["queries"]["row"]) == np.sum(data["confusion"]["counts"]) == (~is_train).sum()
    assert data["training"]["runs"][0]["x"] == [0, 1]
    printed = capsys.readouterr().out
    assert "1-NN accuracy is" in printed
    assert str(out) in printed


def test_the_neighbors_in_a_page_are_those_of_the_features_file(runs: list[Path], tmp_path: Path):
    out = tmp_path / "report.html"
    report.main([str(runs[0]), "--out", str(out)])
    data = read_data(out)
    table = read_features(runs[0] / "features.h5")
    unit = table.x.numpy() / np.linalg.norm(table.x.numpy(), axis=1, keepdims=True)
    train = np.flatnonzero(table.is_train["xsub"])
    names = data["sequences"]["name"]
    for row, near in zip(data["queries"]["row"], data["queries"]["neighbors"], strict=True):
        query = table.name.tolist().index(names[row])
        ranked = train[np.argsort(-(unit[train] @ unit[query]), kind="stable")][: len(near)]
        assert [names[i] for i in near] == table.name[ranked].tolist()


@pytest.mark.parametrize("name", ["a b", "lr=0.1", "x#1", "true", "[a]", "'q"])
def test_a_run_may_have_any_name(runs: list[Path], tmp_path: Path, name: str):
    own = tmp_path / "a #b" / name
    shutil.copytree(runs[0], own)
    report.main([str(own), "--out", str(tmp_path / "report.html")])
    assert {path.name for path in tmp_path.iterdir()} == {"a #b", "report.html"}
    assert (own / "scores_knn.npz").is_file()


def test_the_command_on_the_page_makes_it_again(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "the report.html"
    monkeypatch.setattr("sys.argv", ["tools/report.py", str(runs[0]), "--out", str(out)])
    report.main()
    found = re.search(r'<code id="command"[^>]*>([^<]*)<', out.read_text())
    assert found
    command = shlex.split(html.unescape(found[1]))
    assert command == ["scdnet", "report", str(runs[0]), "--out", str(out)]


def test_a_run_given_twice_is_not_two_seeds(runs: list[Path], tmp_path: Path):
    again = runs[0].parent / ".." / runs[0].parent.name / runs[0].name
    with pytest.raises(ScdnetError, match="given twice"):
        report.main([str(runs[0]), str(again), "--out", str(tmp_path / "report.html")])


def test_runs_of_different_methods_have_no_mean(runs: list[Path], tmp_path: Path):
    own = tmp_path / "runs" / "own"
    shutil.copytree(runs[1], own)
    config = yaml.safe_load((own / "config.yaml").read_text())
    config["optim"]["lr"] = 0.123
    (own / "config.yaml").write_text(yaml.safe_dump(config))
    out = tmp_path / "report.html"
    report.main([str(runs[0]), str(own), "--out", str(out)])
    head = out.read_text().partition("<main")[0]
    assert "mean of" not in head.rpartition("</style>")[2]
    assert head.count(f'row">{own}<') == 1
    assert "this encoder" not in head


def test_a_single_test_sequence_is_enough(tmp_path: Path):
    store = write_synthetic_store(tmp_path / "store.h5", per_split=8)
    with edit(store) as file:
        is_train = np.ones(16, dtype=bool)
        is_train[3] = False
        file["split/xsub"][...] = is_train
    rehash(store)
    own = train(tmp_path, "own", 0, store)
    report.main([str(own), "--out", str(tmp_path / "report.html")])
    assert np.sum(read_data(tmp_path / "report.html")["confusion"]["counts"]) == 1


def test_several_runs_are_compared_with_their_spread(runs: list[Path], tmp_path: Path):
    out = tmp_path / "report.html"
    report.main([*map(str, runs), "--out", str(out)])
    assert "mean of 2 runs" in out.read_text()
    assert [run["name"] for run in read_data(out)["training"]["runs"]] == [str(p) for p in runs]


def test_a_run_that_was_moved_is_evaluated_where_it_is(runs: list[Path], tmp_path: Path):
    moved = tmp_path / "elsewhere" / "moved"
    shutil.copytree(runs[0], moved)
    report.main([str(moved), "--out", str(tmp_path / "report.html")])
    assert (moved / "features.h5").is_file()
    assert (moved / "results.jsonl").is_file()


def test_a_store_that_was_moved_is_given_as_a_config_value(runs: list[Path], tmp_path: Path):
    store = runs[0].parent.parent / "store.h5"
    moved = tmp_path / "moved.h5"
    shutil.copy(store, moved)
    own = tmp_path / "runs" / "own"
    shutil.copytree(runs[0], own)
    config = yaml.safe_load((own / "config.yaml").read_text())
    config["data"]["store"] = str(tmp_path / "gone.h5")
    (own / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ScdnetError, match=r"gone\.h5"):
        report.main([str(own), "--out", str(tmp_path / "report.html")])
    report.main([str(own), f"data.store={moved}", "--out", str(tmp_path / "report.html")])


def test_features_of_an_earlier_checkpoint_are_left_as_they_are(
    runs: list[Path], tmp_path: Path, capsys
):
    own = tmp_path / "runs" / "own"
    shutil.copytree(runs[0], own)
    shutil.copy(runs[1] / "last.pt", own / "last.pt")
    before = (own / "features.h5").read_bytes()
    out = tmp_path / "report.html"
    report.main([str(own), "--out", str(out)])
    assert "extracted again for this report" in capsys.readouterr().err
    assert (own / "features.h5").read_bytes() == before
    other = tmp_path / "other.html"
    report.main([str(runs[1]), "--out", str(other)])
    assert read_data(out)["queries"] == read_data(other)["queries"]


def test_runs_of_other_test_sequences_are_not_compared(runs: list[Path], tmp_path: Path):
    other = train(tmp_path, "other", 0, write_synthetic_store(tmp_path / "other.h5", seed=1))
    with pytest.raises(ScdnetError, match=r"other: uses a different store than .*run0"):
        report.main([str(runs[0]), str(other), "--out", str(tmp_path / "report.html")])


def test_a_run_that_diverged_is_shown_with_its_marks(runs: list[Path], tmp_path: Path):
    own = tmp_path / "runs" / "own"
    shutil.copytree(runs[0], own)
    with (own / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "loss": NaN, "feature_std/temporal": 0.0001}\n')
    out = tmp_path / "report.html"
    report.main([str(own), "--out", str(out)])
    events = read_data(out)["training"]["runs"][0]["events"]
    assert [(event["x"], event["kind"]) for event in events] == [(2, "nan"), (2, "collapse")]


def test_a_page_is_limited_and_says_what_it_leaves_out(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr("scdnet.report.payload.MAX_SEQUENCES", 8)
    monkeypatch.setattr("scdnet.report.payload.MAX_MOTION_BYTES", 10)
    monkeypatch.setattr("scdnet.report.motion.BLOCK_NUMBERS", 1)
    out = tmp_path / "report.html"
    report.main([str(runs[0]), "--out", str(out)])
    data = read_data(out)
    assert len(data["sequences"]["name"]) == 8
    assert sum(frames > 0 for frames in data["sequences"]["frames"]) == 1
    printed = capsys.readouterr().out
    assert "This page contains 8 of 16 sequences" in printed
    assert "The motion of 7 sequences is left out" in printed
    assert "This page contains 8 of 16 sequences" in out.read_text()


@pytest.mark.slow
def test_figures_are_drawn_instead_of_the_page(runs: list[Path], tmp_path: Path, capsys):
    out = tmp_path / "figure"
    parts = ",".join(PARTS)
    report.main([str(runs[0]), "--out", str(out), "--parts", parts, "--format", "svg"])
    report.main([str(runs[0]), "--out", str(out), "--parts", "map", "--format", "png,pdf"])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {*(f"figure_{part}.svg" for part in PARTS), "figure_map.png", "figure_map.pdf"}
    assert "1-NN accuracy" in (tmp_path / "figure_classes.svg").read_text()
    assert "figure_map.png" in capsys.readouterr().out


def test_recordings_of_ones_own_are_searched_for(runs: list[Path], tmp_path: Path, capsys):
    good = tmp_path / f"{HOSTILE.replace('/', '_')}.npy"
    np.save(good, walking("ntu25", 40))
    bad = tmp_path / "bad.npy"
    bad.write_bytes(b"nothing")
    out = tmp_path / "report.html"
    report.main([str(runs[0]), "--query", str(bad), str(good), *CAPTURE, "--out", str(out)])
    data = read_data(out)
    row = data["queries"]["row"][0]
    assert data["sequences"]["name"][row] == good.name
    assert data["sequences"]["split"][row] == 2
    assert re.fullmatch(r"class \d \d+ %, class \d \d+ %", data["queries"]["note"][0])
    assert len(data["queries"]["neighbors"][0]) == 5
    assert "bad.npy" in capsys.readouterr().err
    with pytest.raises(ScdnetError, match="none of the recordings could be used"):
        report.main([str(runs[0]), "--query", str(bad), *CAPTURE, "--out", str(out)])


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.yaml", "expected a run directory with config.yaml"),
        ("last.pt", "has saved no checkpoint yet"),
    ],
)
def test_a_directory_that_is_no_finished_run_is_refused(
    runs: list[Path], tmp_path: Path, missing: str, message: str
):
    run = tmp_path / "run"
    shutil.copytree(runs[0], run)
    (run / missing).unlink()
    with pytest.raises(ScdnetError, match=message):
        report.main([str(run), "--out", str(tmp_path / "report.html")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parts", "map,colors"], "found 'colors'"),
        (["--parts", "map", "--format", "gif"], "found 'gif'"),
    ],
)
def test_parts_and_formats_that_do_not_exist_are_refused(
    runs: list[Path], options: list[str], message: str, capsys
):
    with pytest.raises(SystemExit):
        report.main([str(runs[0]), *options])
    assert message in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_an_error_before_any_work(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(report, "evaluate_run", lambda *_: pytest.fail("worked"))
    (tmp_path / "file").touch()
    with pytest.raises(ScdnetError, match="file"):
        report.main([str(runs[0]), "--out", str(tmp_path / "file" / "report.html")])
