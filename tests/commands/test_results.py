"""From scores and results of several runs to the sum of streams and one table."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from scdnet.results.results_file import append_results, read_results
from scdnet.results.scores import read_scores, write_scores
from tests.results.records import make_record, make_scores


@pytest.fixture
def scores(tmp_path: Path) -> list[Path]:
    """Scores of three streams: joint predicts class 0 for all, bone and motion are always right."""
    label = np.arange(12) % 6
    values = {
        "joint": np.eye(6)[label * 0] * 1.5,
        "bone": np.eye(6)[label],
        "motion": np.eye(6)[label],
    }
    files = []
    for stream, own in values.items():
        files.append(tmp_path / stream / "scores_linear.npz")
        write_scores(files[-1], make_scores(own, label, "abcdef", stream=stream))
    return files


def linear_run(folder: Path, seed: int, top1: float, num_test: int = 16_487) -> Path:
    record = make_record(
        seed=seed,
        checkpoint=f"{folder}/last.pt",
        checkpoint_sha256=f"{seed:064}",
        num_test=num_test,
    )
    append_results(folder, record, {"top1": top1})
    return folder


def first_row(path: Path) -> list[float]:
    return read_scores(path).scores[1].tolist()


def test_fused_streams_are_shown_written_and_recorded(run, scores: list[Path]):
    done = run("tools/fuse_streams.py", *scores)
    assert done.status == 0, done.err
    table = [line.split() for line in done.out.splitlines()]
    # Two of twelve are of class 0; of equal scores the first five count.
    assert [line[-2:] for line in table[1:5]] == [["16.7", "83.3"]] + [["100.0", "100.0"]] * 3
    folder = scores[0].parent
    tag = "fusion_joint+bone+motion_linear"
    assert first_row(folder / f"scores_{tag}.npz") == [1.5, 2, 0, 0, 0, 0]
    lines = (folder / f"confusion_{tag}.tsv").read_text().splitlines()
    assert lines[:2] == [
        "class\tsequences\taccuracy\ta\tb\tc\td\te\tf",
        "a\t2\t100.0\t2\t0\t0\t0\t0\t0",
    ]
    results = read_results(folder / "results.jsonl")
    assert [(r.protocol, r.fused, r.stream, r.metric, r.value) for r in results] == [
        ("fusion", "linear", "joint+bone+motion", "top1", 100),
        ("fusion", "linear", "joint+bone+motion", "top5", 100),
    ]


def test_weights_and_the_directory_to_write_to(run, scores: list[Path], tmp_path: Path):
    more = ("--weights", 1, 0.5, 0.5, "--run-dir", tmp_path / "sum")
    done = run("tools/fuse_streams.py", *scores, *more)
    assert done.status == 0, done.err
    path = tmp_path / "sum/scores_fusion_joint+bone+motion_linear.npz"
    assert first_row(path) == [1.5, 1, 0, 0, 0, 0]
    line = json.loads((tmp_path / "sum/results.jsonl").read_text().splitlines()[0])
    assert line["fusion_weights"] == [1, 0.5, 0.5]
    assert [path.name for path in scores[0].parent.iterdir()] == ["scores_linear.npz"]


@pytest.mark.parametrize(
    ("streams", "more", "message"),
    [
        (["joint"], [], "expected two or more scores files"),
        (
            ["joint", "bone"],
            ["--weights", 1],
            "expected one for each of the 2 scores files, found 1",
        ),
        (["joint", "bone", "bone"], [], "its stream bone is also that of"),
        (["joint", "gone"], [], "scores_linear.npz: no such scores file"),
    ],
)
def test_what_cannot_be_fused_is_one_line_status_2_and_leaves_nothing(
    run, scores, streams, more, message
):
    root = scores[0].parents[1]
    done = run(
        "tools/fuse_streams.py", *(root / stream / "scores_linear.npz" for stream in streams), *more
    )
    assert done.status == 2 and message in done.err and done.err.count("\n") == 1
    assert [path.name for path in scores[0].parent.iterdir()] == ["scores_linear.npz"]


def test_runs_of_several_seeds_are_one_row_beside_the_published_number(run, tmp_path: Path):
    folders = [linear_run(tmp_path / f"seed{seed}", seed, 80.0 + 2 * seed) for seed in range(3)]
    done = run("tools/results.py", *folders)
    assert done.status == 0 and done.err == ""
    lines = [line.split() for line in done.out.splitlines()]
    assert ["linear", "joint", "trained", "on", "ntu60", "451", "3", "82.0±2.0"] in lines
    assert ["linear", "joint", "SCD-Net*", "86.6"] in lines


def test_published_numbers_are_shown_beside_data_of_the_published_size_unless_requested(
    run, tmp_path: Path
):
    folder = linear_run(tmp_path / "demo", 0, 80.0, num_test=16_486)
    assert "SCD-Net" not in run("tools/results.py", folder).out
    requested = run("tools/results.py", folder, "--published").out
    assert "SCD-Net*" in requested and "MAMP*" not in requested
    assert "MAMP*" in run("tools/results.py", folder, "--published", "--all-methods").out


def test_a_results_file_may_replace_its_directory_and_counts_once(run, tmp_path: Path):
    folder = linear_run(tmp_path / "seed0", 0, 80.0)
    done = run("tools/results.py", folder, folder / "results.jsonl", "--format", "csv")
    (line,) = (line for line in csv.DictReader(io.StringIO(done.out)) if not line["source"])
    assert (line["mean"], line["n"]) == ("80.0000", "1") and done.err == ""


def test_a_torn_line_is_skipped(run, tmp_path: Path):
    folder = linear_run(tmp_path / "seed0", 0, 80.0)
    line = json.dumps({**make_record(seed=1).dump(), "metric": "top1", "value": 99.0})
    with (folder / "results.jsonl").open("a") as file:
        file.write(line[:-3])
    done = run("tools/results.py", folder)
    assert done.status == 0 and "80.0" in done.out and "99.0" not in done.out


def test_numbers_that_were_replaced_are_counted(run, tmp_path: Path):
    for top1 in (80.0, 81.0):
        folder = linear_run(tmp_path / "seed0", 0, top1)
    done = run("tools/results.py", folder, "--format", "markdown")
    assert "81.0 |" in done.out
    assert "1 numbers were recorded again with another value; the latest ones count" in done.err


@pytest.mark.parametrize("content", [None, "", "{}\n"])
def test_a_run_without_results_is_named_and_only_such_runs_are_an_error(
    run, tmp_path: Path, content: str | None
):
    good = linear_run(tmp_path / "seed0", 0, 80.0)
    bad = tmp_path / "bad"
    bad.mkdir()
    if content is not None:
        (bad / "results.jsonl").write_text(content)
    done = run("tools/results.py", good, bad)
    assert done.status == 0 and "80.0" in done.out and f"{bad}: no results yet" in done.err
    done = run("tools/results.py", bad)
    assert done.status == 2 and done.out == "" and f"error: {bad}: no results;" in done.err


def test_a_run_that_is_not_there_is_one_line_and_status_2(run, tmp_path: Path):
    done = run("tools/results.py", linear_run(tmp_path / "seed0", 0, 80.0), tmp_path / "gone")
    assert done.status == 2 and done.out == ""
    assert done.err == f"error: {tmp_path / 'gone'}: no such directory or file\n"


@pytest.mark.end_to_end
def test_what_the_evaluations_write_is_what_is_read(run, config_path: Path, tmp_path: Path):
    folders = []
    for stream in ("joint", "bone"):
        command = ("tools/evaluate.py", "-c", config_path, f"stream={stream}", f"name={stream}")
        quick = ("linear.optim.epochs=2", "finetune.optim.epochs=1", "finetune.num_subsets=1")
        protocols = "protocols=[knn, linear, semi@0.5]"
        assert run(*command, *quick, protocols, "--baseline", "random-init").status == 0
        folders.append(tmp_path / "runs" / stream)
    for tag in ("knn", "semi_0.5_subset0"):
        files = [folder / f"scores_{tag}_random-init.npz" for folder in folders]
        fused = run("tools/fuse_streams.py", *files)
        assert fused.status == 0, fused.err
    done = run("tools/results.py", *folders)
    assert done.status == 0, done.err
    rows = {tuple(re.split(r" {2,}", line)[:4]) for line in done.out.splitlines()}
    for stream in ("joint", "bone"):
        for protocol in ("knn", "linear", "semi 50 %"):
            assert (protocol, stream, "random init", "0") in rows
    assert ("fusion (knn)", "joint+bone", "random init", "0") in rows
    assert ("fusion (semi 50 %)", "joint+bone", "random init", "0") in rows
