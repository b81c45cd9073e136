"""Many raw files to one sequence store: what to work on, the run itself, its lists and its summary."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from scdnet.data.store import SkeletonSequence
from scdnet.data.store_writer import StoreWriter
from scdnet.errors import ScdnetError
from scdnet.files import atomic_write
from scdnet.raw.datasets import Rule
from scdnet.raw.raw_files import RawFile, RawFileError, find_raw_files
from scdnet.raw.worker_pool import BATCH, default_workers, map_ordered
from scdnet.version import __version__

NOTHING_KEPT = 1  # exit status
_ONE_CELL = str.maketrans({"\t": r"\t", "\n": r"\n", "\r": r"\r"})


class Rejection(NamedTuple):
    """One row of the list of what was rejected."""

    file: str
    line: int  # from 1; 0 where there is none
    reason: str


class Outcome(NamedTuple):
    """What became of one item: one recording may hold several sequences, and several that are rejected."""

    sequences: list[SkeletonSequence]
    rejected: list[Rejection]


@dataclass(frozen=True)
class Job:
    """A conversion: what to work on, how, and what the store says about itself."""

    dataset: str
    class_names: tuple[str, ...]
    rules: Mapping[str, Rule]  # by benchmark: which sequences train
    items: Sequence[Any]  # in such an order that the names of their sequences rise
    convert_item: Callable[
        [Any], Outcome
    ]  # in a worker process; a RawFileError rejects the whole item
    rejected: list[Rejection]  # known before any item is worked on
    num_missing: int = 0  # recordings left out because they are on the published list
    batch: int = (
        BATCH  # items that a worker takes at a time; few where an item holds many sequences
    )
    attributes: Mapping[str, Any] = field(
        default_factory=dict
    )  # of the store, besides those that every store has


class Summary(NamedTuple):
    """Counts of a finished conversion."""

    kept: int
    missing: int
    rejected: int


class ConvertError(ScdnetError):
    """A conversion that cannot be started."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that all converters share."""
    parser.add_argument(
        "--raw", type=Path, action="append", required=True, help="folder or zip; may be repeated"
    )
    parser.add_argument("--out", type=Path, required=True, help="the sequence store to write")
    parser.add_argument(
        "--workers",
        type=_positive,
        default=default_workers(),
        help="processes (default %(default)s)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the store if it exists")


def find_all(roots: Sequence[Path], suffixes: str | tuple[str, ...]) -> Iterator[RawFile]:
    """The files of all `roots`, in their order; says on stderr which of them hold none. Raises RawFileError."""
    for root in roots:
        found = find_raw_files(root, suffixes)
        if not found:
            wanted = suffixes if isinstance(suffixes, str) else ", ".join(suffixes)
            print(f"warning: {root}: no file there ends in {wanted}", file=sys.stderr)
        yield from found


def duplicate_rejection(file: RawFile, first: RawFile) -> Rejection:
    """`file` has the name of one that was met before it, which stays."""
    return Rejection(file.where, 0, f"found before as {first.where}")


def check_output(out: Path, *, overwrite: bool) -> None:
    """Raise ConvertError if `out` cannot be written or must not be overwritten."""
    if out.is_dir():
        raise ConvertError(f"--out {out}: is a folder, expected the name of a file")
    if _list_path(out).is_dir():
        raise ConvertError(f"--out {out}: {_list_path(out)} is a folder, expected none")
    if out.exists() and not overwrite:
        raise ConvertError(f"--out {out}: exists; give another name or --overwrite")


def convert(job: Job, out: Path, *, workers: int) -> Summary:
    """Work on all items of `job`, write the store `out` and, if anything was rejected, `<out>.rejected.tsv`.

    Both are written aside and renamed at the end, the store only if a sequence was kept. Memory does not grow with the
    data, but for a row of the tables for each sequence.
    """
    rejected = list(job.rejected)
    outcomes = map_ordered(
        partial(_convert_item, job.convert_item), job.items, workers, batch=job.batch
    )
    about = {
        "dataset": job.dataset,
        "class_names": job.class_names,
        "created_by": f"scdnet {__version__}",
    }
    writer = StoreWriter(out, **about, attributes=job.attributes)
    with (
        closing(outcomes),
        writer,
        tqdm(outcomes, total=len(job.items), unit=" files", disable=None) as progress,
    ):
        for outcome in progress:
            rejected += outcome.rejected
            for sequence in sorted(outcome.sequences, key=lambda sequence: sequence.name):
                writer.append(sequence)
        table = writer.table()
        with rejected_list(out, rejected):
            if len(table.name) > 0:
                splits = {benchmark: rule(table) for benchmark, rule in job.rules.items()}
                writer.finish(splits)
                warn_of_empty_sides(splits)
    return Summary(len(table.name), job.num_missing, len(rejected))


@contextmanager
def rejected_list(out: Path, rejected: Sequence[Rejection]) -> Iterator[None]:
    """Write `<out>.rejected.tsv`, sorted by file and line, aside; it takes its name when the block has ended well.

    If nothing was rejected, that of an earlier run is then removed. So list and store are of one run, and a disk that
    is full leaves both as they were.
    """
    path = _list_path(out)
    if not rejected:
        yield
        path.unlink(missing_ok=True)
        return
    rows = [Rejection._fields, *sorted(rejected)]
    lines = ["\t".join(str(cell).translate(_ONE_CELL) for cell in row) + "\n" for row in rows]
    with atomic_write(path) as partial:
        partial.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
        yield


def warn_of_empty_sides(splits: Mapping[str, np.ndarray]) -> None:
    """Say on stderr which benchmarks cannot be used because all sequences fall on one side."""
    for benchmark, is_train in splits.items():
        if is_train.all() or not is_train.any():
            side = "test" if is_train.all() else "training"
            print(f"warning: benchmark {benchmark} has an empty {side} split", file=sys.stderr)


def report(out: Path, summary: Summary) -> int:
    """Print the closing summary and return the exit status."""
    store = str(out) if summary.kept else "no store written"
    print(
        f"kept {summary.kept}, listed missing {summary.missing}, rejected {summary.rejected}: {store}"
    )
    if summary.rejected:
        print(f"rejected files: {_list_path(out)}")
    return 0 if summary.kept else NOTHING_KEPT


def _list_path(out: Path) -> Path:
    return out.with_name(out.name + ".rejected.tsv")


def _convert_item(convert_item: Callable[[Any], Outcome], item: object) -> Outcome:
    try:
        return convert_item(item)
    except RawFileError as error:
        return Outcome([], [Rejection(error.where, error.line, error.reason)])


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, found {text}")
    return number
