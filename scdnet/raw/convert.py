"""Conversion of many raw files to one sequence store: arguments, job, output files, summary."""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import h5py
from tqdm import tqdm

from scdnet.data.store import SkeletonSequence
from scdnet.data.store_writer import StoreWriter
from scdnet.errors import ScdnetError
from scdnet.files import atomic_write, check_writable
from scdnet.raw.datasets import SplitRule
from scdnet.raw.guess import describe_guess
from scdnet.raw.raw_files import RawFile, RawFileError, find_archives, find_raw_files
from scdnet.raw.split_warnings import warn_of_empty_splits, warn_of_unseen_classes
from scdnet.raw.worker_pool import CHUNK_SIZE, default_workers, map_ordered
from scdnet.skeleton import Skeleton
from scdnet.version import __version__

# File names may contain these characters, which would break the rows of the rejected list.
_ESCAPES = str.maketrans({"\t": r"\t", "\n": r"\n", "\r": r"\r"})
# HDF5 strings contain neither zeros nor what is not UTF-8.
NOT_STORABLE = re.compile("[\0\ud800-\udfff]")
# Files that a warning names.
MAX_NAMED = 5
# Files of a folder whose content is guessed.
MAX_GUESSED = 100
# The reason of the rejection of a duplicate begins so.
DUPLICATE = "has the same name as"


class Rejection(NamedTuple):
    """A row of `<out>.rejected.tsv`; lines count from 1, and 0 means the whole file."""

    file: str
    line: int
    reason: str


class Outcome(NamedTuple):
    """The sequences of one item, and what of it was rejected."""

    sequences: list[SkeletonSequence]
    rejected: list[Rejection]
    # The user should know these; the summary counts equal ones.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """A conversion that is ready to run.

    `convert_item` runs in worker processes, so it and the items must be picklable; a RawFileError
    that it raises rejects the whole item. `split_rules` stay in this process.
    """

    dataset: str
    skeleton: Skeleton
    class_names: tuple[str, ...]
    # Benchmark -> rule that selects the training sequences.
    split_rules: Mapping[str, SplitRule]
    # The sequences of an item sort after those of the items before it.
    items: Sequence[Any]
    convert_item: Callable[[Any], Outcome]
    # Files and lines that were rejected while the job was planned.
    rejected: list[Rejection]
    # Recordings that are on the missing list.
    num_skipped: int = 0
    # Items that a worker takes at a time; 1 where an item contains many sequences.
    chunk_size: int = CHUNK_SIZE
    # Attributes of the store besides those that every store has.
    attributes: Mapping[str, Any] = field(default_factory=dict)


class ConvertError(ScdnetError):
    """A conversion that cannot be started."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that all converters share."""
    parser.add_argument(
        "--raw",
        type=Path,
        action="append",
        required=True,
        metavar="PATH",
        help="folder, zip or single file; may be repeated",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="STORE", help="the sequence store to write"
    )
    add_workers(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the store if it exists")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the option for the number of worker processes."""
    parser.add_argument(
        "--workers",
        type=positive_int,
        default=default_workers(),
        metavar="N",
        help="number of worker processes (default: %(default)s)",
    )


def positive_int(text: str) -> int:
    """Parse an option that must be 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {text}")
    return number


def check_output(out: Path, *, overwrite: bool) -> None:
    """Raise ConvertError if `out` cannot be written or must not be overwritten."""
    for path in (out, rejected_path(out)):
        if path.is_dir():
            raise ConvertError(f"--out {out}: {path} is a directory, expected a file name")
    if out.exists() and not overwrite:
        raise ConvertError(f"--out {out}: exists; choose another name or add --overwrite")
    if out.exists() and not is_replaceable(out):
        raise ConvertError(f"--out {out}: exists and is not a sequence store; choose another name")
    check_writable(out, rejected_path(out))


def is_replaceable(out: Path) -> bool:
    """Check whether --overwrite may replace a file: a store, or an empty file."""
    return h5py.is_hdf5(out) or (out.is_file() and not out.stat().st_size)


def find_all(roots: Sequence[Path], suffixes: tuple[str, ...]) -> Iterator[RawFile]:
    """Yield the files of all `roots`; warn of a root that contains none. Raises RawFileError."""
    for root in roots:
        found = find_raw_files(root, suffixes)
        if not found:
            print(
                f"warning: {root}: contains no file that ends in {' or '.join(suffixes)}"
                f"{describe_content(root)}",
                file=sys.stderr,
            )
        yield from found


def describe_content(root: Path) -> str:
    """Return what a folder or zip contains in place of recordings, with what to do about it."""
    archives = find_archives(root)
    if archives:
        more = f" and {len(archives) - MAX_NAMED} more" if len(archives) > MAX_NAMED else ""
        return (
            f"; it contains {', '.join(archives[:MAX_NAMED])}{more}: give a zip itself as --raw, "
            "unpack other archives and those in a zip"
        )
    if root.is_dir():
        for path in sorted(root.iterdir())[:MAX_GUESSED]:
            if guess := describe_guess(path):
                return f"; {path.name} seems to be {guess}"
    return ""


class Located(Protocol):
    """A recording that messages can name."""

    @property
    def where(self) -> str:
        """Return the name of its file."""


def duplicate_rejection(file: Located, first: Located) -> Rejection:
    """Return the rejection of `file`, which has the same name as `first`."""
    return Rejection(file.where, 0, f"{DUPLICATE} {first.where}, which is used instead")


def convert(job: Job, out: Path, *, num_workers: int) -> int:
    """Convert all items of `job` to the store `out` and the list `<out>.rejected.tsv`.

    Both files appear at the end, complete, and only if they are not empty. Memory does not grow
    with the frames of the dataset. Prints a summary and returns the exit status: 1 if there is no
    sequence.
    """
    rejected = list(job.rejected)
    notes: Counter[str] = Counter()
    outcomes = map_ordered(
        partial(_convert_item, job.convert_item),
        job.items,
        num_workers=num_workers,
        chunk_size=job.chunk_size,
    )
    writer = StoreWriter(
        out,
        dataset=job.dataset,
        skeleton=job.skeleton,
        class_names=job.class_names,
        created_by=f"scdnet {__version__}",
        attributes=job.attributes,
    )
    with (
        closing(outcomes),
        writer,
        tqdm(outcomes, total=len(job.items), unit=" files", disable=None) as progress,
    ):
        for outcome in progress:
            rejected += outcome.rejected
            notes.update(outcome.notes)
            for sequence in sorted(outcome.sequences, key=lambda sequence: sequence.name):
                writer.append(sequence)
        table = writer.table()
        num_converted = len(table.name)
        with write_rejected(out, rejected):
            if num_converted:
                splits = {benchmark: rule(table) for benchmark, rule in job.split_rules.items()}
                writer.finish(splits)
                warn_of_empty_splits(splits)
                warn_of_unseen_classes(splits, table.label, job.class_names)
    for note, count in notes.items():
        print(f"{count} of {len(job.items)} recordings: {note}")
    warn_of_duplicates(rejected)
    print(
        f"Converted {num_converted}, skipped {job.num_skipped} (missing list), "
        f"rejected {len(rejected)}."
    )
    if rejected:
        print(f"Rejected files: {rejected_path(out)}")
        if not num_converted:
            print(f"The first: {RawFileError(*rejected[0])}")
    print(f"Sequence store: {out}" if num_converted else "No sequence store written.")
    return 0 if num_converted else 1


def _convert_item(convert_item: Callable[[Any], Outcome], item: object) -> Outcome:
    try:
        return convert_item(item)
    except RawFileError as error:
        return Outcome([], [Rejection(*error.args)])


def rejected_path(out: Path) -> Path:
    """Return the path of the rejected list that belongs to the store `out`."""
    return out.with_name(out.name + ".rejected.tsv")


@contextmanager
def write_rejected(out: Path, rejected: Sequence[Rejection]) -> Iterator[None]:
    """Write `<out>.rejected.tsv`, sorted; it appears when the block ends without an error.

    Without rejections, the list of an earlier run is removed at that point. So store and list are
    always of the same run, and a full disk leaves both as they were.
    """
    path = rejected_path(out)
    if not rejected:
        yield
        path.unlink(missing_ok=True)
        return
    lines = [
        "\t".join(str(cell).translate(_ESCAPES) for cell in row) + "\n"
        for row in (Rejection._fields, *sorted(rejected))
    ]
    with atomic_write(path) as file:
        file.write("".join(lines).encode(errors="backslashreplace"))
        file.check()
        yield


def warn_of_duplicates(rejected: Sequence[Rejection]) -> None:
    """Warn of recordings that are lost because another has the same name."""
    duplicates = [rejection for rejection in rejected if rejection.reason.startswith(DUPLICATE)]
    if duplicates:
        print(
            f"warning: {len(duplicates)} files were not converted because another has the same "
            f"name, such as {duplicates[0].file}",
            file=sys.stderr,
        )
