"""Parts that all benchmarks share, without torch: arguments, measurements, the machine."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scdnet.cli import command_parser

ROOT = Path(__file__).parents[2]


def bench_parser(
    description: str | None,
    *,
    rounds: int,
    make: Callable[[str, str | None], argparse.ArgumentParser] = command_parser,
) -> argparse.ArgumentParser:
    """Return a parser of `make`, named after the script, with the options of all benchmarks."""
    parser = make("", description)
    parser.prog = Path(sys.argv[0]).name
    parser.add_argument(
        "--rounds",
        type=int,
        default=rounds,
        help="interleaved rounds; medians are reported (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, help="also write the record to this file")
    return parser


def interleaved_medians(
    measurements: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, float]:
    """Return the median result of each measurement.

    They run interleaved, A B A B, so that a slow minute of the machine hits all of them.
    """
    results: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measure in measurements.items():
            results[name].append(measure())
    return {name: statistics.median(values) for name, values in results.items()}


def cpu_seconds(work: Callable[[], object]) -> float:
    """Measure the CPU time of one call, all threads together; other programs disturb it least."""
    start = time.process_time()
    work()
    return time.process_time() - start


def describe_machine(device: str = "") -> dict[str, str]:
    """Return the device (by default the CPU), the versions and the commit."""
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    return {
        "device": device or f"{cpu_name()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "torch": version("torch"),
        "commit": commit or "unknown",
    }


def cpu_name() -> str:
    """Return the model of the CPU where Linux reports it, else the architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def finish(record: Mapping[str, Any], path: Path | None) -> None:
    """Print on which machine a record was made, and write the record if a file was asked for."""
    print(", ".join(f"{key} {value}" for key, value in record["machine"].items()))
    if path is not None:
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
