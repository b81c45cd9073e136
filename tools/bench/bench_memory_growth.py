#!/usr/bin/env python3
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from scdnet.cli import config_parser, run_command
from scdnet.errors import ScdnetError

SAMPLE_EVERY = 5  # seconds
# Rows of the table; the first and the last one are compared.
NUM_PERIODS = 6
# More steps than a measurement can take.
ENDLESS = 10**9


class Sample(NamedTuple):
    """The memory of a process and of those that it has started."""

    # Since the start of the process.
    seconds: float
    # Pages in memory; those that processes share count in each.
    megabytes: float


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process and its children; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return 0.0
    own = next((line for line in status.splitlines() if line.startswith("VmRSS")), "VmRSS: 0 kB")
    return int(own.split()[1]) / 1024 + sum(resident_megabytes(int(child)) for child in children)


def sample_memory(training: subprocess.Popen[bytes], seconds: float) -> Iterator[Sample]:
    """Yield the memory of a training in regular intervals, for a time or until it ends."""
    start = time.monotonic()
    elapsed = 0.0
    while elapsed < seconds:
        try:
            training.wait(SAMPLE_EVERY)
            return
        except subprocess.TimeoutExpired:
            elapsed = time.monotonic() - start
            yield Sample(elapsed, resident_megabytes(training.pid))


def split_periods(samples: Sequence[Sample], seconds: float) -> list[list[float]]:
    """Split the memory of `samples` into NUM_PERIODS parts of equal length of the time."""
    periods: list[list[float]] = [[] for _ in range(NUM_PERIODS)]
    for sample in samples:
        number = min(int(NUM_PERIODS * sample.seconds / seconds), NUM_PERIODS - 1)
        periods[number].append(sample.megabytes)
    return periods


def main() -> None:
    """Train without an end and report whether the memory grows.

    The training is that of `scdnet train -c CONFIG [key=value ...]`, in a process of its own, with
    no end of steps. It is stopped after --minutes; the first sixth of the time is compared with the
    last. Needs Linux.
    """
    parser = config_parser("", main.__doc__)
    parser.prog = "bench_memory_growth.py"
    parser.add_argument("--minutes", type=float, default=60, help="duration (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write all samples to this file")
    args = parser.parse_intermixed_args()
    command = [sys.executable, "-m", "scdnet", "train", "-c", str(args.config), *args.overrides]
    seconds = 60 * args.minutes
    training = subprocess.Popen([*command, f"optim.steps={ENDLESS}"])
    try:
        samples = list(sample_memory(training, seconds))
    finally:
        training.terminate()
        training.wait()
    periods = split_periods(samples, seconds)
    if not all(periods):
        raise ScdnetError(f"the training ended before {args.minutes:g} minutes were over")
    rows = [
        [
            f"{number * args.minutes / NUM_PERIODS:g} to "
            f"{(number + 1) * args.minutes / NUM_PERIODS:g}",
            statistics.median(period),
            max(period),
        ]
        for number, period in enumerate(periods)
    ]
    print(tabulate(rows, ["minutes", "median MB", "largest MB"], "github", floatfmt=".1f"))
    growth = statistics.median(periods[-1]) / statistics.median(periods[0]) - 1
    print(f"median of the last sixth against the first: {100 * growth:+.2f} %")
    if args.json is not None:
        args.json.write_text(json.dumps([sample._asdict() for sample in samples]) + "\n")


if __name__ == "__main__":
    run_command(main)
