"""Plan a conversion of the entries of ready-made files: unite, check, read and normalize them."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import h5py
import numpy as np

from scdnet.data.store import MAX_BODIES, SequenceTable, SkeletonSequence
from scdnet.errors import ScdnetError
from scdnet.raw.convert import NOT_STORABLE, Job, Outcome, Rejection
from scdnet.raw.joint_mapping import MAPPINGS, can_be_mapped, filled_joints, joint_matrix
from scdnet.raw.normalize import NormalizeError
from scdnet.raw.raw_files import MAX_COORDINATE, MAX_FRAMES, RawFileError
from scdnet.raw.ready_made.entries import Entry, ReadyMade
from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25

# The share of the sequences that may be rejected for the sake of one more benchmark.
MAX_LOST = 0.1


def plan_job(ready_made: ReadyMade, *, to: str | None = None) -> Job:
    """Return the conversion of all entries, those of the same name united.

    `to` may be "ntu25", to which the joints are then mapped. Raises ScdnetError if they cannot be.
    """
    target = find_target(ready_made.skeleton, to)
    usable, rejected = check_entries(ready_made.entries, len(ready_made.class_names))
    united, contradictions = unite(usable)
    entries, splits, uncovered = select_benchmarks(united)
    attributes = {**ready_made.attributes, "source_processing": ready_made.source_processing}
    if target != ready_made.skeleton:
        filled = filled_joints(ready_made.skeleton)
        attributes["layout"] = ready_made.skeleton.name
        attributes["filled_joints"] = np.array(filled, dtype=h5py.string_dtype())
    return Job(
        dataset=ready_made.dataset,
        skeleton=target,
        class_names=ready_made.class_names,
        split_rules={
            benchmark: partial(_is_among, names=train) for benchmark, train in splits.items()
        },
        items=entries,
        convert_item=partial(
            convert_entry,
            skeleton=ready_made.skeleton,
            target=target,
            finish=ready_made.finish,
        ),
        rejected=[*ready_made.rejected, *rejected, *contradictions, *uncovered],
        attributes=attributes,
    )


def find_target(skeleton: Skeleton, to: str | None) -> Skeleton:
    """Return the skeleton of the store. Raises ScdnetError if `skeleton` cannot be mapped to it."""
    if to is None or to == skeleton.name:
        return skeleton
    if to != NTU_25.name or not can_be_mapped(skeleton):
        raise ScdnetError(
            f"--to {to}: expected files of {', '.join(MAPPINGS)}, which can be mapped to "
            f"{NTU_25.name}; found {skeleton.name}; omit --to"
        )
    return NTU_25


def check_entries(
    entries: Sequence[Entry], num_classes: int
) -> tuple[list[Entry], list[Rejection]]:
    """Separate the entries that have a label of a class and a name that a store can contain."""
    usable = []
    rejected = []
    for entry in entries:
        if not entry.name or NOT_STORABLE.search(entry.name):
            rejected.append(Rejection(entry.where, 0, f"{entry.name!r}: cannot be a name"))
        elif not 0 <= entry.label < num_classes:
            reason = f"expected a label in 0..{num_classes - 1}, found {entry.label}"
            rejected.append(_rejection(entry, reason))
        else:
            usable.append(entry)
    return usable, rejected


def unite(entries: Sequence[Entry]) -> tuple[list[Entry], list[Rejection]]:
    """Unite entries of the same name in different files; return them sorted by name.

    The frames are those of the first file, numbers and splits those of all. Rejects an entry that
    contradicts the first one, or repeats it in the same file.
    """
    united: dict[str, Entry] = {}
    files: dict[str, set[str]] = {}
    rejected = []
    for entry in entries:
        first = united.setdefault(entry.name, entry)
        is_repeated = entry.where in files.setdefault(entry.name, set())
        files[entry.name].add(entry.where)
        if first is entry:
            continue
        reason = "the file contains it twice" if is_repeated else _contradiction(first, entry)
        if reason:
            rejected.append(_rejection(entry, reason))
            continue
        united[entry.name] = replace(
            first,
            numbers={**entry.numbers, **first.numbers},
            is_train={**first.is_train, **entry.is_train},
        )
    return [united[name] for name in sorted(united)], rejected


def _contradiction(first: Entry, other: Entry) -> str | None:
    """Return how two entries of the same name contradict each other, None if they do not."""
    if first.label != other.label:
        return f"has label {other.label}, but {first.label} in {first.where}"
    for benchmark, is_train in other.is_train.items():
        if first.is_train.get(benchmark, is_train) != is_train:
            side = "training" if is_train else "test"
            return f"is in the {side} split of {benchmark}, but not in {first.where}"
    return None


def select_benchmarks(
    entries: Sequence[Entry],
) -> tuple[list[Entry], dict[str, frozenset[str]], list[Rejection]]:
    """Select benchmarks and entries, as each entry of a store needs a side of each benchmark.

    The benchmark of most entries is always used; from a larger to a smaller one, another is used if
    it has nearly all of those that are left, and left out with a warning otherwise. What a used one
    lacks is rejected. Returns the entries, benchmark -> names of the training split, and the
    rejections.
    """
    sizes: dict[str, int] = {}
    for entry in entries:
        for benchmark in entry.is_train:
            sizes[benchmark] = sizes.get(benchmark, 0) + 1
    if entries and not sizes:
        print("warning: the files have no training and test split", file=sys.stderr)
    usable = list(entries)
    selected: list[str] = []
    rejected = []
    # The sort is stable: equal ones stay in the order of the files.
    for benchmark in sorted(sizes, key=lambda benchmark: -sizes[benchmark]):
        lost = [entry for entry in usable if benchmark not in entry.is_train]
        if selected and len(lost) > MAX_LOST * len(usable):
            print(
                f"warning: benchmark {benchmark} is left out: {len(lost)} of {len(usable)} "
                f"sequences are on no side of it, such as {lost[0].name}",
                file=sys.stderr,
            )
            continue
        selected.append(benchmark)
        rejected += [_rejection(entry, f"is on no side of {benchmark}") for entry in lost]
        usable = [entry for entry in usable if benchmark in entry.is_train]
    splits = {
        benchmark: frozenset(entry.name for entry in usable if entry.is_train[benchmark])
        for benchmark in selected
    }
    return usable, splits, rejected


def _is_among(table: SequenceTable, names: frozenset[str]) -> np.ndarray:
    return np.array([name in names for name in table.name.tolist()], dtype=bool)


def _rejection(entry: Entry, reason: str) -> Rejection:
    return Rejection(entry.where, 0, f"{entry.name}: {reason}")


def convert_entry(
    entry: Entry,
    *,
    skeleton: Skeleton,
    target: Skeleton,
    finish: Callable[[np.ndarray, Skeleton], np.ndarray],
) -> Outcome:
    """Read one sequence, with the joints of `skeleton`, and normalize it with those of `target`.

    Raises RawFileError.
    """
    try:
        # Numbers that overflow are found below.
        with np.errstate(all="ignore"):
            bodies = entry.read_bodies()
            check_bodies(bodies, skeleton)
            if target != skeleton:
                bodies = joint_matrix(skeleton) @ bodies
            frames = finish(bodies, target)
        if not np.isfinite(frames).all():
            raise NormalizeError("the numbers are too large")
    except RawFileError as error:
        where, line, reason = error.args
        raise RawFileError(where, line, f"{entry.name}: {reason}") from error
    except NormalizeError as error:
        raise RawFileError(entry.where, 0, f"{entry.name}: {error}") from error
    assert frames.shape == (bodies.shape[1], MAX_BODIES, target.num_joints, 3), frames.shape
    return Outcome([SkeletonSequence(frames, entry.name, entry.label, **entry.numbers)], [])


def check_bodies(bodies: np.ndarray, skeleton: Skeleton) -> None:
    """Raise NormalizeError if this is not (M, T, V, 3) of finite numbers, with a body somewhere."""
    shape = bodies.shape
    if len(shape) != 4 or shape[2:] != (skeleton.num_joints, 3) or bodies.dtype.kind not in "fiu":
        raise NormalizeError(
            f"expected numbers of shape (bodies, frames, {skeleton.num_joints}, 3), "
            f"found {bodies.dtype} of shape {shape}"
        )
    if shape[1] > MAX_FRAMES:
        raise NormalizeError(f"expected at most {MAX_FRAMES} frames, found {shape[1]}")
    # NaN is not below the limit either.
    is_finite = (np.abs(bodies) < MAX_COORDINATE).all(axis=(0, 2, 3))
    if not is_finite.all():
        raise NormalizeError(f"frame {is_finite.argmin() + 1}: expected finite numbers")
    if not bodies.any():
        raise NormalizeError(f"no body in any of {shape[1]} frames")
