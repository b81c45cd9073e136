#!/usr/bin/env python3
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from bench_lib import CPU, bench_parser, describe_machine, finish, interleaved_medians
from tabulate import tabulate

from scdnet.cli import run_command
from scdnet.data.store import BLOCK_FRAMES, SequenceStore, SkeletonSequence
from scdnet.data.store_writer import StoreWriter
from scdnet.skeletons import NTU_25

# Sequences that are read one by one.
NUM_SINGLE = 500


class UnverifiedStore(SequenceStore):
    """A store that reads frames without verifying them."""

    def frame_blocks(self) -> Iterator[np.ndarray]:
        """Read the frames of all sequences in blocks (F, M, V, C)."""
        for first in range(0, len(self._frames), BLOCK_FRAMES):
            yield self._read_unverified(first, first + BLOCK_FRAMES)

    def _verify_sequences(self, rows: range, frames: np.ndarray) -> None:
        pass


def write_store(path: Path, num: int) -> None:
    """Write sequences of 40 to 199 frames of noise."""
    rng = np.random.default_rng(0)
    with StoreWriter(
        path, dataset="noise", skeleton=NTU_25, class_names=("noise",), created_by="a benchmark"
    ) as writer:
        for index in range(num):
            frames = rng.normal(size=(rng.integers(40, 200), 2, 25, 3)).astype(np.float32)
            writer.append(SkeletonSequence(frames, f"noise{index:06}", 0))
        writer.finish({"all": np.ones(num, dtype=bool)})


def read_all(store: SequenceStore) -> None:
    """Read all frames, in blocks."""
    for _ in store.frame_blocks():
        pass


def read_single(store: SequenceStore, order: np.ndarray) -> None:
    """Read sequences one by one."""
    for index in order:
        store.read_frames(store.offset[index], store.offset[index + 1])


def cpu_seconds(work: Callable[[], object]) -> float:
    """Measure the CPU time of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Compare reading a sequence store with reading it without verifying its checksums."""
    parser = bench_parser(main.__doc__, rounds=21)
    parser.add_argument("--sequences", type=int, default=4000, help="default: %(default)s")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store.h5"
        write_store(path, args.sequences)
        order = np.random.default_rng(1).integers(0, args.sequences, NUM_SINGLE)
        with SequenceStore(path) as verified, UnverifiedStore(path) as unverified:
            stores = {"verified": verified, "unverified": unverified}
            works: dict[str, Callable[[SequenceStore], object]] = {
                "all frames": read_all,
                f"{NUM_SINGLE} sequences": partial(read_single, order=order),
            }
            rows: list[list[object]] = []
            record: dict[str, object] = {"machine": describe_machine(CPU)}
            for name, work in works.items():
                seconds = interleaved_medians(
                    {
                        kind: partial(cpu_seconds, partial(work, store))
                        for kind, store in stores.items()
                    },
                    args.rounds,
                )
                ratio = seconds["verified"] / seconds["unverified"]
                rows.append([name, *(1e3 * value for value in seconds.values()), ratio])
                record[name] = seconds
    headers = ["", "verified, ms", "without, ms", "ratio"]
    print(tabulate(rows, headers, floatfmt=("", ".1f", ".1f", ".2f")))
    finish(record, args.json)


if __name__ == "__main__":
    run_command(main)
