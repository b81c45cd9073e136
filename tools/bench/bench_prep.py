#!/usr/bin/env python3
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
from bench_lib import OURS, bench_parser, describe_machine, finish, interleaved_medians
from tabulate import tabulate

from scdnet.cli import run_command
from scdnet.commands import prepare_ntu
from scdnet.raw.ntu import SUFFIX, Body, format_skeleton, read_frames
from scdnet.raw.raw_files import RawFile, find_raw_files
from tests.reference import normalization as reference

TOLERANCE = 1e-5  # meters
# The recordings of NTU-60 are about as long.
FRAMES = 75


def write_recordings(folder: Path, count: int) -> None:
    """Write synthetic `.skeleton` files: random walks, every fourth with two bodies."""
    rng = np.random.default_rng(0)
    for i in range(count):
        start = rng.normal(0, 0.5, (2, 1, 25, 3))
        walk = start + rng.normal(0, 0.01, (2, FRAMES, 25, 3)).cumsum(axis=1)
        num_bodies = 2 if i % 4 == 0 else 1
        bodies = [[Body(m, walk[m, t]) for m in range(num_bodies)] for t in range(FRAMES)]
        name = f"S{i // 500 + 1:03}C001P{i % 10 + 1:03}R{i // 10 % 50 + 1:03}A{i % 60 + 1:03}"
        (folder / f"{name}.skeleton").write_text(format_skeleton(bodies))


def cpu_ms_per_file(convert: Callable[[bytes], np.ndarray], files: Sequence[RawFile]) -> float:
    """Measure the CPU time of a file, reading included."""
    start = time.process_time()
    for file in files:
        convert(file.read())
    return 1e3 * (time.process_time() - start) / len(files)


def seconds_to_convert(raw: Path, out: Path, workers: int) -> float:
    """Measure the wall time of the command, from the list of files to the finished store."""
    arguments = f"--dataset ntu120 --overwrite --workers {workers} --raw".split()
    start = time.perf_counter()
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        prepare_ntu.main([*arguments, str(raw), "--out", str(out)])
    return time.perf_counter() - start


def main() -> None:
    """Time the conversion of `.skeleton` files, also against the reference implementation."""
    parser = bench_parser(main.__doc__, rounds=5)
    parser.add_argument(
        "--raw", type=Path, help="directory or zip of recordings (default: synthetic recordings)"
    )
    parser.add_argument(
        "--files", type=int, default=40, help="files timed one by one (default: %(default)s)"
    )
    parser.add_argument(
        "--recordings", type=int, default=1000, help="synthetic recordings (default: %(default)s)"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        raw = args.raw or Path(scratch)
        if args.raw is None:
            write_recordings(raw, args.recordings)
        found = find_raw_files(raw, SUFFIX)
        if not found:
            parser.error(f"--raw {raw}: contains no {SUFFIX} file")
        # Take files from the whole dataset, as its parts differ.
        files = found[:: max(1, len(found) // args.files)][: args.files]
        converters: dict[str, Callable[[bytes], np.ndarray]] = {
            OURS: partial(read_frames, where="benchmark"),
            "reference": reference.read_frames,
            "reference without padding": partial(reference.read_frames, padded_frames=0),
        }
        for content in map(RawFile.read, files):
            expected = reference.read_frames(content)
            np.testing.assert_allclose(converters[OURS](content), expected, rtol=0, atol=TOLERANCE)
        per_file = interleaved_medians(
            {name: partial(cpu_ms_per_file, way, files) for name, way in converters.items()},
            args.rounds,
        )
        store = Path(scratch) / "store.h5"
        runs = {str(n): partial(seconds_to_convert, raw, store, n) for n in (1, 2)}
        seconds = interleaved_medians(runs, args.rounds)
    print(f"{args.raw.name if args.raw else 'synthetic recordings'}; {args.rounds} rounds")
    print(f"{len(files)} files agree with the reference implementation within {TOLERANCE} m")
    rows = [[name, value, value / per_file[OURS]] for name, value in per_file.items()]
    headers = ["one core, reading included", "CPU ms per file", "ratio"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=(".0f", ".2f", ".1f")))
    rows = [[name, value, len(found) / value] for name, value in seconds.items()]
    headers = [f"workers, {len(found)} files", "seconds", "files/s"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=(".0f", ".2f", ".0f")))
    print(f"two workers are {seconds['1'] / seconds['2']:.2f} times as fast as one")
    record = {"machine": describe_machine(), "cpu_ms_per_file": per_file, "seconds": seconds}
    finish(record, args.json)


if __name__ == "__main__":
    run_command(main)
