#!/usr/bin/env python3
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

# File systems limit the number of hard links to a file.
MAX_LINKS = 10_000
POLL_SECONDS = 0.1
PKU_ACTIONS = 20


def write_copies(text: str, paths: Sequence[Path]) -> None:
    """Write files of the same content as hard links, which is quicker than converting them."""
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        if i % MAX_LINKS == 0:
            path.write_text(text)
        else:
            os.link(paths[i - i % MAX_LINKS], path)


def write_ntu(root: Path, sequences: int, frames: int) -> list[str]:
    """Write recordings of one body; returns the arguments that convert them."""
    rng = np.random.default_rng(0)
    text = format_skeleton([[Body(1, rng.normal(size=(25, 3)))] for _ in range(frames)])
    paths = []
    for i in range(sequences):
        setup, subject, replication, action = np.unravel_index(i, (200, 50, 50, 60))
        name = f"S{setup + 1:03}C001P{subject + 1:03}R{replication + 1:03}A{action + 1:03}"
        paths.append(root / f"{name}.skeleton")
    write_copies(text, paths)
    return ["ntu", "--dataset", "ntu60"]


def write_pku(root: Path, sequences: int, frames: int) -> list[str]:
    """Write videos of PKU_ACTIONS actions of one body; returns the arguments that convert them."""
    rng = np.random.default_rng(0)
    row = " ".join(f"{value:.6f}" for value in [*rng.normal(size=75), *[0.0] * 75])
    names = [f"{i // 3:04}-{'LMR'[i % 3]}" for i in range(sequences // PKU_ACTIONS)]
    labels = [f"{i + 1},{i * frames + 1},{(i + 1) * frames},2\n" for i in range(PKU_ACTIONS)]
    video = f"{row}\n" * (PKU_ACTIONS * frames)
    training = ", ".join(names[::2])
    validation = ", ".join(names[1::2])
    split = f"Training videos:\n{training}\nValidation videos:\n{validation}\n"
    write_copies(video, [root / "skeleton" / f"{name}.txt" for name in names])
    write_copies("".join(labels), [root / "label" / f"{name}.txt" for name in names])
    write_copies(split, [root / "cross-subject.txt", root / "cross-view.txt"])
    return ["pku", "--dataset", "pku1"]


def proportional_kb(pid: int) -> int:
    """Return the memory of a process and its children, shared pages counted once; 0 if ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return own + sum(proportional_kb(int(child)) for child in children)


def measure(command: Sequence[str]) -> str:
    """Run a command and describe its time, its largest process and the peak of all processes."""
    start = time.perf_counter()
    together = 0
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        together = max(together, proportional_kb(process.pid))
        time.sleep(POLL_SECONDS)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return (
        f"{time.perf_counter() - start:.0f} s, largest process {usage.ru_maxrss / 1e3:.0f} MB, "
        f"all processes {together / 1e3:.0f} MB"
    )


def main() -> None:
    """Measure the memory of converting many synthetic sequences of NTU and PKU-MMD (Linux only)."""
    parser = command_parser("", main.__doc__)
    parser.prog = Path(__file__).name
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument(
        "--frames", type=int, default=8, help="frames of a sequence (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    for write in (write_ntu, write_pku):
        with tempfile.TemporaryDirectory() as scratch:
            raw = Path(scratch) / "raw"
            command = [sys.executable, "-m", "scdnet", "prepare"]
            command += write(raw, args.sequences, args.frames)
            command += ["--raw", str(raw), "--out", f"{scratch}/store.h5"]
            command += ["--workers", str(args.workers)]
            print(f"  {measure(command)}")


if __name__ == "__main__":
    run_command(main)
