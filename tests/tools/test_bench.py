"""The benchmarks run, on sizes at which their figures mean nothing."""

import json
import re
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.raw.convert import convert, find_all
from scdnet.raw.datasets import missing_names
from scdnet.raw.ntu import SUFFIX, plan_job

ROOT = Path(__file__).parents[2]


def run_benchmark(name: str, *options: object) -> str:
    """Run a benchmark from the root of the checkout; returns what it prints."""
    command = [sys.executable, f"tools/bench/{name}.py", *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_parts_of_the_gpu_check_take_at_most_15_minutes():
    text = (ROOT / "tools/bench/gpu_check.sh").read_text()
    limits = re.findall(r"^ *(?:part|bench) \w+ (\d+) ", text, re.MULTILINE)
    assert len(limits) > 10
    assert sum(map(int, limits)) <= 15 * 60


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["bench_load", "bench_memory_growth", "bench_protocols", "bench_report", "bench_uiprmd"]
)
def test_a_long_benchmark_describes_itself(name: str):
    assert run_benchmark(name, "--help").startswith(f"usage: {name}.py")


@pytest.mark.slow
def test_bench_checksums_reports_both_ways_of_reading(tmp_path: Path):
    path = tmp_path / "record.json"
    run_benchmark("bench_checksums", "--sequences", 20, "--rounds", 1, "--json", path)
    record = json.loads(path.read_text())
    assert record["all frames"].keys() == {"verified", "unverified"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bench_train", "bench_eval"])
def test_a_comparison_records_speed_work_and_agreement(name: str, tmp_path: Path):
    path = tmp_path / "record.json"
    small = ("--device", "cpu", "--embed-dim", 64, "--batch", 2, "--rounds", 1)
    out = run_benchmark(name, *small, "--json", path)
    record = json.loads(path.read_text())
    assert record["seconds"].keys() >= {"reference", "scdnet"}
    assert record["floor_seconds"] < record["seconds"]["scdnet"]
    assert record["largest_difference"] < 1e-4
    assert "clips/s" in out


@pytest.mark.slow
def test_torch_and_onnxruntime_are_timed_on_clips_of_one_and_of_two_people(tmp_path: Path):
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    path = tmp_path / "record.json"
    small = ("--base-channels", 8, "--embed-dim", 16, "--num-frames", 8, "--rounds", 1)
    out = run_benchmark("bench_onnx", *small, "--json", path)
    assert "speedup" in out
    timed = json.loads(path.read_text())["seconds, batch 16, 3 of 16 with two people"]
    assert timed.keys() == {"torch", "onnxruntime"}


@pytest.mark.slow
def test_all_objectives_are_timed(small_config: Config, tmp_path: Path):
    config = tmp_path / "small.yaml"
    config.write_text(yaml.safe_dump(dump_config(small_config)))
    path = tmp_path / "record.json"
    run_benchmark("bench_objectives", "-c", config, "--rounds", 1, "--json", path)
    assert json.loads(path.read_text())["seconds"].keys() == {"scd", "hdc", "scd+hdc"}


@pytest.mark.slow
def test_a_checkout_is_compared_with_itself(small_config: Config, tmp_path: Path):
    config = tmp_path / "small.yaml"
    config.write_text(yaml.safe_dump(dump_config(small_config)))
    path = tmp_path / "record.json"
    options = ("--against", ROOT, "--rounds", 1, "--json", path)
    run_benchmark("bench_small_step", "-c", config, *options)
    seconds = json.loads(path.read_text())["seconds"]
    assert {work: len(by_checkout) for work, by_checkout in seconds.items()} == {
        "step": 2,
        "evaluation": 2,
    }


@pytest.mark.slow
def test_the_conversion_agrees_with_the_reference_implementation(tmp_path: Path):
    path = tmp_path / "record.json"
    run_benchmark("bench_prep", "--recordings", 12, "--files", 4, "--rounds", 1, "--json", path)
    per_file = json.loads(path.read_text())["cpu_ms_per_file"]
    assert per_file["scdnet"] < per_file["reference"]


def test_the_large_zip_holds_each_content_under_many_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(ROOT / "tools" / "bench")
    path = tmp_path / "large.zip"
    import_module("large_zip").write_large_zip(path, num_recordings=20, num_contents=6)
    with zipfile.ZipFile(path) as archive:
        contents = [archive.read(member) for member in archive.infolist()]
        assert archive.testzip() is None
    assert len(contents) == 20 and len(set(contents)) == 6
    job = plan_job(find_all([path], (SUFFIX,)), "ntu120", missing_names("ntu120"))
    assert (len(job.items), job.rejected, job.num_skipped) == (20, [], 0)
    assert convert(job, tmp_path / "store.h5", num_workers=1) == 0


def test_a_part_of_the_large_zip_has_names_of_the_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "tools" / "bench")
    names = import_module("large_zip").recording_names
    whole = names(2000)
    assert len(set(whole)) == 2000 and whole == sorted(whole)
    assert set(names(500)) < set(whole)
