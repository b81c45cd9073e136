import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np

from scdnet.cli import command_parser, run_command
from scdnet.commands import prepare_ntu as ntu_gendata
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.raw_files import RawFile, find_raw_files
from scdnet.raw.skeleton_file import Body, format_skeleton, parse_skeleton

OURS = "data_prep"
TOLERANCE = 1e-5  # metres
FRAMES = 75  # of a made-up recording; NTU-60's are about as long


def ours(data: bytes) -> np.ndarray:
    """The converter's way from a file's content to float32 (T, M, V, C)."""
    return normalize(select_bodies(parse_skeleton(data, "benchmark")))


def literal(data: bytes, padded_frames: int = 300) -> np.ndarray:
    """docs/method.md 1 step by step, with a loop wherever it says "each": how code that goes with a paper does it."""
    frames = literal_read(data.decode())
    raw = np.zeros((4, len(frames), 25, 3))
    for t, bodies in enumerate(frames):
        for m, body in enumerate(bodies[:4]):
            for v, joint in enumerate(body):
                raw[m, t, v] = joint[:3]
    energy = [literal_energy(body) for body in raw]
    chosen = raw[sorted(range(4), key=lambda m: -energy[m])[:2]]
    padded = np.zeros((2, max(padded_frames, len(frames)), 25, 3), dtype=np.float32)
    padded[:, : len(frames)] = chosen
    for step in (literal_fill, literal_centre, literal_align):
        step(padded)
    return padded[:, : len(frames)].transpose(1, 0, 2, 3)


def literal_read(text: str) -> list[list[list[list[float]]]]:
    """Frames of bodies of joints of 12 numbers."""
    lines = iter(text.splitlines())
    frames = []
    for _ in range(int(next(lines))):
        bodies = []
        for _ in range(int(next(lines))):
            next(lines)  # the body's id and states
            bodies.append(
                [[float(value) for value in next(lines).split()] for _ in range(int(next(lines)))]
            )
        frames.append(bodies)
    return frames


def literal_energy(body: np.ndarray) -> float:
    """Sum of the standard deviations over the frames that are not all zero."""
    present = np.array([frame for frame in body if frame.any()])
    return sum(present[..., c].std() for c in range(3)) if len(present) else 0.0


def literal_fill(bodies: np.ndarray) -> None:
    """Step 4 on (M, T, V, C), in place."""
    for body in bodies:
        if not body.any():
            continue
        if not body[0].any():
            present = [frame.copy() for frame in body if frame.any()]
            body[:] = 0
            body[: len(present)] = present
        for i, frame in enumerate(body):
            if not frame.any() and not body[i:].any():
                for k in range(i, len(body)):
                    body[k] = body[k - i]
                break


def literal_centre(bodies: np.ndarray) -> None:
    """Step 5 on (M, T, V, C), in place."""
    for t in range(bodies.shape[1]):
        centre = bodies[0, t, 1].copy()
        for body in bodies:
            body[t] = (body[t] - centre) * (body[t].sum(axis=1, keepdims=True) != 0)


def literal_align(bodies: np.ndarray) -> None:
    """Steps 6 and 7 on (M, T, V, C), in place."""
    for start, end, target in ((0, 1, [0, 0, 1]), (4, 8, [1, 0, 0])):
        matrix = literal_rotation(bodies[0, 0, end] - bodies[0, 0, start], np.array(target))
        for body in bodies:
            for frame in body:
                if frame.any():
                    for v, joint in enumerate(frame):
                        frame[v] = np.dot(matrix, joint)


def literal_rotation(vector: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation about vector x target by the angle between them, by Euler and Rodrigues' four parameters."""
    axis = np.cross(vector, target)
    if np.abs(vector).sum() < 1e-6 or np.abs(axis).sum() < 1e-6:
        return np.eye(3)
    angle = np.arccos(np.clip(np.dot(vector / np.linalg.norm(vector), target), -1, 1))
    if angle < 1e-6:
        return np.eye(3)
    a = math.cos(angle / 2)
    b, c, d = -axis / math.sqrt(np.dot(axis, axis)) * math.sin(angle / 2)
    return np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c + a * d), 2 * (b * d - a * c)],
        [2 * (b * c - a * d), a * a + c * c - b * b - d * d, 2 * (c * d + a * b)],
        [2 * (b * d + a * c), 2 * (c * d - a * b), a * a + d * d - b * b - c * c],
    ])  # fmt: skip


def write_recordings(folder: Path, count: int) -> None:
    """Made-up `.skeleton` files: random walks of FRAMES frames, every fourth file with two bodies."""
    rng = np.random.default_rng(0)
    for i in range(count):
        walk = rng.normal(0, 0.5, (2, 1, 25, 3)) + rng.normal(0, 0.01, (2, FRAMES, 25, 3)).cumsum(
            axis=1
        )
        bodies = [
            [Body(m, walk[m, t]) for m in range(2 if i % 4 == 0 else 1)] for t in range(FRAMES)
        ]
        name = f"S{i // 500 + 1:03}C001P{i % 10 + 1:03}R{i // 10 % 50 + 1:03}A{i % 60 + 1:03}"
        (folder / f"{name}.skeleton").write_text(format_skeleton(bodies))


def cpu_ms_per_file(convert: Callable[[bytes], np.ndarray], files: Sequence[RawFile]) -> float:
    """CPU time, reading included; not wall time, so that other programs on the machine count less."""
    start = time.process_time()
    for file in files:
        convert(file.read())
    return (time.process_time() - start) / len(files) * 1e3


def seconds_to_convert(raw: Path, out: Path, workers: int) -> float:
    """Wall time of the real command, from the list of files to the finished store."""
    arguments = f"--dataset ntu120 --overwrite --workers {workers} --raw".split()
    start = time.perf_counter()
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        ntu_gendata.main([*arguments, str(raw), "--out", str(out)])
    return time.perf_counter() - start


def medians(runs: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median result of each run; they take turns, A B A B, so that a slow minute of the machine hits all."""
    results = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            results[name].append(run())
    return {name: statistics.median(values) for name, values in results.items()}


def describe_machine() -> str:
    """CPU, cores and versions, in a line."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}"


def main(argv: Sequence[str] | None = None) -> None:
    """Time the conversion of `.skeleton` files, per file against a literal version, and with one and two workers."""
    parser = command_parser("bench_prep", main.__doc__)
    parser.add_argument(
        "--raw", type=Path, help="folder or zip of recordings (default: made-up ones)"
    )
    parser.add_argument(
        "--files", type=int, default=40, help="files timed one by one (default %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="the median of so many is shown (default %(default)s)"
    )
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        if args.raw is None:
            write_recordings(Path(scratch), count=1000)
        raw = args.raw or Path(scratch)
        found = find_raw_files(raw, ntu_gendata.SUFFIX)
        if not found:
            parser.error(f"--raw {raw}: no {ntu_gendata.SUFFIX} file in it")
        files = found[:: max(1, len(found) // args.files)][: args.files]  # from all over the set
        for content in map(RawFile.read, files):
            np.testing.assert_allclose(ours(content), literal(content), rtol=0, atol=TOLERANCE)
        ways = {
            OURS: ours,
            "literal": literal,
            "literal, but not padded": partial(literal, padded_frames=0),
        }
        per_file = medians(
            {name: partial(cpu_ms_per_file, way, files) for name, way in ways.items()}, args.rounds
        )
        store = Path(scratch) / "store.h5"
        whole = medians(
            {n: partial(seconds_to_convert, raw, store, n) for n in (1, 2)}, args.rounds
        )
    print(
        f"{describe_machine()}; {args.raw.name if args.raw else 'made-up recordings'}; median of {args.rounds} rounds"
    )
    print(f"agreement of {len(files)} files within {TOLERANCE} m")
    print("| one core, reading included | ms of CPU per file | slower by |\n|---|---|---|")
    for name, milliseconds in per_file.items():
        print(f"| {name} | {milliseconds:.2f} | {milliseconds / per_file[OURS]:.1f} |")
    print(f"| ntu_gendata.py, {len(found)} files | seconds | files/s |\n|---|---|---|")
    for workers, seconds in whole.items():
        print(
            f"| {workers} worker{'s' if workers > 1 else ''} | {seconds:.2f} | {len(found) / seconds:.0f} |"
        )
    print(f"two workers are {whole[1] / whole[2]:.2f} times as fast as one")


if __name__ == "__main__":
    run_command(main)
