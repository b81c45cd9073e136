"""Columns of a table of positions by their names: all joints, or an error (docs/data/own.md)."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from scdnet.raw.custom.column_words import Column, parse_column
from scdnet.skeleton import Skeleton
from scdnet.skeletons import SKELETONS

# Names that an error lists.
MAX_LISTED = 8


class ColumnError(ValueError):
    """Names of columns that cannot be assigned to joints."""


class Columns(NamedTuple):
    """The places of all coordinates of all joints, and the columns that are not used."""

    # The numbers of the columns: bodies of joints of axes. If cells contain all axes, a joint has a
    # single column.
    order: list[list[list[int]]]
    dropped: tuple[str, ...]


def axes_of(skeleton: Skeleton) -> tuple[str, str, str]:
    """Return the names of the three numbers of a joint."""
    return ("x", "y", "z") if skeleton.dims == 3 else ("x", "y", "score")


def match_columns(names: Sequence[str], skeleton: Skeleton) -> Columns:
    """Find the coordinates of all joints by the names of the columns.

    Raises ColumnError, listing the names, if one is not understood or a joint is missing.
    """
    columns = [parse_column(name, skeleton) for name in names]
    if columns and not names[0].strip():
        # It is the index of a table of pandas.
        columns[0] = Column(dropped="column (unnamed)")
    unknown = [
        name.strip() or "(unnamed)"
        for name, column in zip(names, columns, strict=True)
        if not column.dropped and column.joint < 0 and column.number < 0
    ]
    problems = []
    if unknown:
        problems.append(f"columns that are not understood: {_list(unknown)}")
    order = _order(columns, skeleton)
    missing = _missing(order, skeleton)
    if missing:
        problems.append(f"no columns of {_list(missing)}")
    elif not unknown and len({len(axes) for axes in order.values()}) > 1:
        problems.append("some joints have one column and others three")
    if problems:
        problems.append(_suggest(names, skeleton) or f"expected those of {skeleton.name}")
        raise ColumnError("; ".join(problems))
    return Columns(_bodies(order, skeleton), _dropped(columns))


# Body and joint -> axis -> the number of the column.
Order = dict[tuple[tuple[int, ...], int], dict[str, int]]


def _order(columns: Sequence[Column], skeleton: Skeleton) -> Order:
    """Sort the columns by body, joint and axis; raise ColumnError if two contain the same."""
    numbers = {column.number for column in columns if column.number >= 0}
    # Joints are counted from 0 or from 1.
    first = 1 if numbers and min(numbers) == 1 and max(numbers) == skeleton.num_joints else 0
    order: Order = {}
    times: Counter[tuple[tuple[int, ...], int, str]] = Counter()
    for index, column in enumerate(columns):
        joint = column.joint if column.joint >= 0 else column.number - first
        if column.dropped or joint < 0:
            continue
        if joint >= skeleton.num_joints:
            raise ColumnError(
                f"columns of joint {column.number}, but {skeleton.name} has "
                f"{skeleton.num_joints} joints"
            )
        # The same names once more are those of the next body.
        place = (column.body, joint, column.axis)
        body = (*column.body, times[place])
        times[place] += 1
        order.setdefault((body, joint), {})[column.axis] = index
    return order


def _missing(order: Order, skeleton: Skeleton) -> list[str]:
    """List the joints, or their axes, that a body does not have."""
    axes = axes_of(skeleton)
    bodies = sorted({body for body, _ in order})
    missing = []
    for body in bodies or [()]:
        for joint, name in enumerate(skeleton.joints):
            found = order.get((body, joint), {})
            if not found:
                missing.append(name)
            elif "" not in found:
                lacking = [axis for axis in axes if axis not in found and axis != "score"]
                missing += [f"{name} {axis}" for axis in lacking]
    return missing


def _bodies(order: Order, skeleton: Skeleton) -> list[list[list[int]]]:
    """Return the columns of each body, joint and axis, of all bodies and joints."""
    axes = axes_of(skeleton)
    return [
        [
            [order[body, joint][axis] for axis in ("", *axes) if axis in order[body, joint]]
            for joint in range(skeleton.num_joints)
        ]
        for body in sorted({body for body, _ in order})
    ]


def _dropped(columns: Sequence[Column]) -> tuple[str, ...]:
    """Say which columns are not used; those of joints are counted."""
    counts = Counter(column.dropped for column in columns if column.dropped)
    return tuple(
        name if name.startswith("column ") else f"{count} columns of {name}"
        for name, count in counts.items()
    )


def _suggest(names: Sequence[str], skeleton: Skeleton) -> str:
    """Return a sentence on the other layouts whose joints have these names, or nothing."""
    fitting = []
    for other in SKELETONS.values():
        columns = [parse_column(name, other) for name in names]
        try:
            is_whole = not _missing(_order(columns, other), other)
        except ColumnError:
            continue
        is_known = all(column.dropped or column.joint >= 0 for column in columns)
        if is_whole and is_known and other != skeleton:
            fitting.append(other.name)
    return f"the names are those of {' or '.join(fitting)}" if fitting else ""


def _list(names: Sequence[str]) -> str:
    """Return the first of some names."""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more
