#!/usr/bin/env python3
"""How much memory a conversion takes: the largest process, as `/usr/bin/time -v` has it, and all of them together."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scdnet.cli import command_parser, run_command
from scdnet.raw.skeleton_file import Body, format_skeleton

ROOT = Path(__file__).parents[2]
LINKS = 10_000  # names of one file: making up 100,000 files would take longer than converting them
POLL_SECONDS = 0.1


def write_copies(text: str, paths: Sequence[Path]) -> None:
    """Files of one content."""
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        if i % LINKS == 0:
            path.write_text(text)
        else:
            os.link(paths[i - i % LINKS], path)


def write_ntu(root: Path, sequences: int, frames: int) -> list[str]:
    """Recordings of one body; returns the arguments that convert them."""
    rng = np.random.default_rng(0)
    text = format_skeleton([[Body(1, rng.normal(size=(25, 3)))] for _ in range(frames)])
    numbers = [
        (i // 60 // 50 // 50 + 1, i // 60 // 50 % 50 + 1, i // 60 % 50 + 1, i % 60 + 1)
        for i in range(sequences)
    ]
    write_copies(
        text, [root / f"S{s:03}C001P{p:03}R{r:03}A{a:03}.skeleton" for s, p, r, a in numbers]
    )
    return ["data_prep/ntu_gendata.py", "--dataset", "ntu60"]


def write_pku(root: Path, sequences: int, frames: int, *, actions: int = 20) -> list[str]:
    """Part I: videos of `actions` actions of one body, one after the other."""
    row = " ".join(
        f"{value:.6f}" for value in [*np.random.default_rng(0).normal(size=75), *[0.0] * 75]
    )
    names = [f"{i // 3:04}-{'LMR'[i % 3]}" for i in range(sequences // actions)]
    labels = "".join(f"{i + 1},{i * frames + 1},{(i + 1) * frames},2\n" for i in range(actions))
    write_copies(
        f"{row}\n" * (actions * frames), [root / "skeleton" / f"{name}.txt" for name in names]
    )
    write_copies(labels, [root / "label" / f"{name}.txt" for name in names])
    split = (
        f"Training videos:\n{', '.join(names[::2])}\nValidation videos:\n{', '.join(names[1::2])}\n"
    )
    write_copies(split, [root / "cross-subject.txt", root / "cross-view.txt"])
    return ["data_prep/pku_gendata.py", "--dataset", "pku1"]


def proportional_kb(pid: int) -> int:
    """Memory of a process and its children, shared pages counted once; of what has ended meanwhile nothing."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return own + sum(proportional_kb(int(child)) for child in children)


def measure(command: Sequence[str]) -> tuple[float, int, int]:
    """Seconds, kB of the largest process and kB of all processes together at their highest."""
    start, together = time.perf_counter(), 0
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stderr=subprocess.DEVNULL)
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        together = max(together, proportional_kb(process.pid))
        time.sleep(POLL_SECONDS)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return time.perf_counter() - start, usage.ru_maxrss, together


def main() -> None:
    """Measure the memory of converting many made-up sequences, of NTU RGB+D and of PKU-MMD (Linux only)."""
    parser = command_parser("bench_memory", main.__doc__)
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument("--frames", type=int, default=8, help="of a sequence (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    for write in (write_ntu, write_pku):
        with tempfile.TemporaryDirectory() as scratch:
            command = write(Path(scratch) / "raw", args.sequences, args.frames)
            options = [
                "--raw",
                f"{scratch}/raw",
                "--out",
                f"{scratch}/a.h5",
                "--workers",
                str(args.workers),
            ]
            seconds, largest, together = measure([*command, *options])
        print(
            f"  {seconds:.0f} s, largest process {largest / 1e3:.0f} MB, all together {together / 1e3:.0f} MB"
        )


if __name__ == "__main__":
    run_command(main)
