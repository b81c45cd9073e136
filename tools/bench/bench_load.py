#!/usr/bin/env python3
import json
import math
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench_lib import describe_machine
from large_zip import NUM_RECORDINGS, write_large_zip
from tabulate import tabulate

from scdnet.cli import command_parser, run_command
from scdnet.errors import ScdnetError

ROWS = "rows.jsonl"
# The store that the first step makes, and a model so small that reading, sorting and writing
# count: half of the method, on clips of 8 frames.
TINY = (
    "-c ntu120_xsub data.store=ntu120.h5 device=cpu data.num_frames=8 data.views.num_segments=8 "
    "data.views.num_masked_segments=3 data.num_workers=1 model.base_channels=8 model.embed_dim=32 "
    "model.num_heads=2 model.projection_dim=32 model.queue_size=1024 objective=hdc "
    "hdc.subtasks=[temporal] hdc.levels=[4] optim.epochs=1 optim.milestones=[]"
)
# The arguments of scdnet for each step, in the directory that contains the zip.
STEPS = {
    "conversion": "prepare ntu --dataset ntu120 --raw ntu120.zip --out ntu120.h5 --workers 1",
    "epoch, frames in memory": f"train {TINY} name=resident data.cache=cpu",
    "epoch, frames streamed": f"train {TINY} name=streamed data.cache=none",
    "features, frames streamed": f"extract {TINY} --checkpoint runs/resident/last.pt "
    "data.cache=none --out features.h5",
    "kNN": f"knn {TINY} --features features.h5 name=evaluation",
    "linear probe": f"linear {TINY} --features features.h5 name=evaluation linear.probe=sgd",
}


def measure(arguments: str, directory: Path, log: Path) -> dict[str, float]:
    """Run a command of scdnet in `directory` by GNU time; return its seconds and memory.

    The memory is that of its largest process. Raises ScdnetError if the command fails.
    """
    # GNU time starts the command from a process that is small itself: a process counts as its own
    # the memory of the one from which it was forked.
    tool = shutil.which("gtime") or shutil.which("time")
    if tool is None:
        raise ScdnetError("GNU time is missing: install the package time")
    report = directory / "time.txt"
    command = [tool, "--format", "%e %U %S %M", "--output", str(report.resolve())]
    command += [sys.executable, "-m", "scdnet", *shlex.split(arguments)]
    with log.open("ab") as file:
        status = subprocess.run(command, cwd=directory, stdout=file, stderr=file).returncode
    if status:
        raise ScdnetError(f"scdnet {arguments}: ended with status {status}, see {log}")
    elapsed, user, system, kilobytes = map(float, report.read_text().split())
    return {"seconds": elapsed, "cpu_seconds": user + system, "gb": kilobytes * 1024 / 1e9}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows that were measured so far."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def measure_fraction(root: Path, fraction: float) -> None:
    """Measure all steps on a fraction of the recordings, but for those measured before.

    Rows are appended to ROWS in `root`. The data, of up to 9 GB, is deleted at the end.
    """
    directory = root / f"{fraction:g}"
    directory.mkdir(parents=True, exist_ok=True)
    done = {row["step"] for row in read_rows(root / ROWS) if row["fraction"] == fraction}
    if "conversion" not in done:
        write_large_zip(directory / "ntu120.zip", num_recordings=round(fraction * NUM_RECORDINGS))
    for step, arguments in STEPS.items():
        if step in done:
            continue
        figures = measure(arguments, directory, root / f"{fraction:g}.log")
        row = {"step": step, "fraction": fraction, **figures, "machine": describe_machine()}
        with (root / ROWS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{fraction:g} {step}: {json.dumps(figures)}", flush=True)
    shutil.rmtree(directory)


def growth(few: Mapping[str, float], many: Mapping[str, float], key: str) -> float:
    """Return the exponent with which a figure grows with the number of recordings."""
    return math.log(many[key] / few[key]) / math.log(many["fraction"] / few["fraction"])


def format_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format the largest fraction of each step beside the next smaller one."""
    table = []
    for step in STEPS:
        measured = sorted(
            (row for row in rows if row["step"] == step), key=lambda row: row["fraction"]
        )
        if len(measured) < 2:
            continue
        few, many = measured[-2:]
        cells = [row[key] for key in ("seconds", "cpu_seconds", "gb") for row in (few, many)]
        table.append([step, *cells, growth(few, many, "seconds"), growth(few, many, "cpu_seconds")])
    headers = [
        "",
        *(f"{key}, {size}" for key in ("s", "CPU s", "GB") for size in ("part", "all")),
        "exponent, s",
        "exponent, CPU s",
    ]
    formats = ("", ".0f", ".0f", ".0f", ".0f", ".2f", ".2f", ".2f", ".2f")
    return tabulate(table, headers, "github", floatfmt=formats)


def main() -> None:
    """Measure time and memory of every step on a synthetic dataset of NTU-120's size.

    Each step is a process of its own, on one thread if OMP_NUM_THREADS=1 is set. Rows of earlier
    calls with the same directory are kept, so that the fractions can be measured one by one; the
    table compares the two largest.
    """
    parser = command_parser("", main.__doc__)
    parser.prog = "bench_load.py"
    parser.add_argument(
        "--directory", type=Path, required=True, help="for the data, which is deleted, and the rows"
    )
    parser.add_argument(
        "--fraction",
        type=float,
        nargs="+",
        default=[0.25, 1],
        help="fractions of the 114,000 recordings (default: 0.25 1)",
    )
    args = parser.parse_args()
    for fraction in args.fraction:
        measure_fraction(args.directory, fraction)
    print(format_rows(read_rows(args.directory / ROWS)))


if __name__ == "__main__":
    run_command(main)
