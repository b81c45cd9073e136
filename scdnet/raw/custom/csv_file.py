"""Custom recordings as `.csv`: from the cells of a table to positions (docs/data/own.md)."""

from collections.abc import Sequence

import numpy as np

from scdnet.raw.custom.array_shapes import add_score, suggest_layouts
from scdnet.raw.custom.column_names import ColumnError, match_columns
from scdnet.raw.custom.column_words import parse_column
from scdnet.raw.custom.csv_text import NUM_AXES, SEPARATOR_NAMES, Cells, is_counted, split_text
from scdnet.raw.custom.reading import Reading
from scdnet.raw.raw_files import RawFileError, quote
from scdnet.skeleton import Skeleton
from scdnet.skeletons import SKELETONS

# Bodies on a line.
MAX_BODIES = 2


def read_csv(data: bytes, where: str, skeleton: Skeleton) -> Reading:
    """Parse the content of a `.csv` file: on each line all joints of one body or two.

    A header that names joints tells the order of the columns; without one, or with one that only
    counts, they are x y z of all joints of the first body, then of the second. Raises RawFileError
    for a header that is not understood, a line of another length and a cell that is no finite
    number.
    """
    cells = split_text(data, where)
    if not cells.lines:
        raise RawFileError(where, 0, "expected a line for each frame, found none")
    known = find_known(cells, where, skeleton)
    named = [name for name, is_known in zip(cells.header, known, strict=True) if not is_known]
    if named and not is_counted(named):
        bodies, dropped = read_named(cells, where, skeleton)
    else:
        bodies, dropped = read_unnamed(cells, known, where, skeleton)
    return Reading(add_score(bodies), dropped, cells.first_line)


def find_known(cells: Cells, where: str, skeleton: Skeleton) -> list[bool]:
    """Tell which columns of a header contain no joints, such as times.

    Raises RawFileError if one of them tells that the lines are those of several people.
    """
    # The first column of a table of pandas, its index, has no name.
    has_index = bool(cells.header) and not cells.header[0]
    if is_counted(cells.header[has_index:]):
        return [has_index and column == 0 for column in range(len(cells.header))]
    known = []
    for index, name in enumerate(cells.header):
        column = parse_column(name, skeleton)
        if column.is_key:
            check_key(cells, index, where)
        known.append(bool(column.dropped) or (has_index and index == 0))
    return known


def read_named(cells: Cells, where: str, skeleton: Skeleton) -> tuple[np.ndarray, tuple[str, ...]]:
    """Order the columns by their names: (M, T, V, C), and what was dropped. Raises RawFileError."""
    try:
        columns = match_columns(cells.header, skeleton)
    except ColumnError as error:
        raise RawFileError(where, 1, f"header: {error}") from None
    has_joint_cells = all(len(axes) == 1 for joints in columns.order for axes in joints)
    width = len(cells.header)
    dropped = columns.dropped
    # The last column of PRECOG has no name. Each other cell contains a joint.
    if has_joint_cells and all(found == width + 1 for found in cells.widths):
        width += 1
        dropped = (*dropped, "last column, which has no name")
    check_widths(cells, width, where)
    order = np.array(columns.order)
    values = parse_cells(
        cells, order.ravel().tolist(), where, size=NUM_AXES if has_joint_cells else 1
    )
    bodies = values.reshape(len(values), len(order), skeleton.num_joints, -1)
    return bodies.swapaxes(0, 1), dropped


def read_unnamed(
    cells: Cells, known: Sequence[bool], where: str, skeleton: Skeleton
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read columns that are in the order of the joints, but for `known` ones of a header.

    Returns (M, T, V, C) and what was dropped. Raises RawFileError.
    """
    first = next(cells.rows)
    width = len(cells.header or first)
    size = NUM_AXES if all(len(cell.split()) == NUM_AXES for cell in first) else 1
    is_known = [*known, *[False] * (width - len(known))]
    dropped = [
        f"column {name or '(unnamed)'}"
        for name, is_dropped in zip(cells.header, is_known, strict=False)
        if is_dropped
    ]
    used = [column for column in range(width) if not is_known[column]]
    if not dropped and has_index(cells, len(used) * size, skeleton):
        used = used[1:]
        dropped = ["first column, which counts the frames"]
    num_numbers = len(used) * size
    counts = body_counts(skeleton)
    if num_numbers not in counts:
        raise RawFileError(
            where, cells.first_line, describe_width(num_numbers, cells.separator, skeleton)
        )
    check_widths(cells, width, where)
    values = parse_cells(cells, used, where, size=size)
    num_bodies, num_axes = counts[num_numbers]
    bodies = values.reshape(len(values), num_bodies, skeleton.num_joints, num_axes)
    if num_axes > NUM_AXES:
        check_quality(bodies[..., NUM_AXES], num_numbers, where, cells)
        bodies = bodies[..., :NUM_AXES]
        dropped.append("visibility of each joint")
    return bodies.swapaxes(0, 1), tuple(dropped)


def body_counts(skeleton: Skeleton) -> dict[int, tuple[int, int]]:
    """Return for each number of columns the bodies, and the numbers of each of their joints."""
    sizes = (NUM_AXES, NUM_AXES + 1) if skeleton.dims == 3 else (NUM_AXES, 2)
    return {
        bodies * skeleton.num_joints * size: (bodies, size)
        for size in reversed(sizes)
        for bodies in range(MAX_BODIES, 0, -1)
    }


def has_index(cells: Cells, num_numbers: int, skeleton: Skeleton) -> bool:
    """Check whether the first of the unnamed columns is one too many and counts the frames."""
    counts = body_counts(skeleton)
    if num_numbers in counts or num_numbers - 1 not in counts or len(cells.lines) < 2:
        return False
    first = [row[0] for row in cells.rows]
    return is_counted([number.removesuffix(".0") for number in first])


def check_widths(cells: Cells, width: int, where: str) -> None:
    """Raise RawFileError for the first line that has not `width` cells."""
    name = SEPARATOR_NAMES[cells.separator]
    for line, found in enumerate(cells.widths, start=cells.first_line):
        if found != width:
            raise RawFileError(
                where, line, f"expected {width} {name}-separated numbers, found {found}"
            )


def describe_width(num_numbers: int, separator: str, skeleton: Skeleton) -> str:
    """Return what is wrong with lines of so many numbers, and what they are likely to be."""
    v = skeleton.num_joints
    reason = (
        f"expected {3 * v} or {6 * v} {SEPARATOR_NAMES[separator]}-separated numbers, "
        f"found {num_numbers}"
    )
    for other in (skeleton, *SKELETONS.values()):
        meaning = _meaning(num_numbers, other)
        if meaning:
            hint = "" if other == skeleton else f"; {suggest_layouts(other.num_joints)}"
            return f"{reason}, which is {meaning}{hint}"
    return reason


def _meaning(num_numbers: int, skeleton: Skeleton) -> str:
    """Return how a number of columns comes about with the joints of a skeleton, or nothing."""
    v = skeleton.num_joints
    source = "MediaPipe's x y z visibility" if v == 33 else "x y z and a confidence of each joint"
    meanings = {
        3 * v: f"{v} x 3",
        6 * v: f"2 x {v} x 3",
        3 * v + 1: f"{v} x 3 + 1, perhaps a time before or after x y z; name it in a header",
        4 * v: f"{v} x 4, perhaps {source}",
        4 * v + 1: f"{v} x 4 + 1, perhaps {source}, and an index; name it in a header",
    }
    return meanings.get(num_numbers, "")


def check_key(cells: Cells, column: int, where: str) -> None:
    """Raise RawFileError if a column tells that the lines are those of several people.

    It is right if it numbers the frames, or has the same value in all lines.
    """
    values = [row[column] if column < len(row) else "" for row in cells.rows]
    if len(set(values)) in (1, len(values)):
        return
    lines: dict[str, int] = {}
    for line, value in enumerate(values, start=cells.first_line):
        if value in lines:
            raise RawFileError(
                where,
                line,
                f"column {cells.header[column]}: expected a line for each frame, found "
                f"{quote(value)} in line {lines[value]} as well; are the lines those of several "
                "people? Write a file for each",
            )
        lines[value] = line


def check_quality(quality: np.ndarray, num_numbers: int, where: str, cells: Cells) -> None:
    """Raise RawFileError unless the fourth number of each joint may be its visibility."""
    is_share = (quality >= 0) & (quality <= 1)
    if not is_share.all():
        frame = is_share.all(axis=(1, 2)).argmin()
        raise RawFileError(
            where,
            cells.first_line + int(frame),
            f"{num_numbers} columns may be x y z visibility of each joint, but expected the fourth "
            f"number of each in 0..1, found {quality[frame][~is_share[frame]][0]:g}",
        )


def parse_cells(cells: Cells, used: Sequence[int], where: str, *, size: int) -> np.ndarray:
    """Parse the used columns, each of `size` numbers: float64 (T, columns * size).

    Raises RawFileError for the first cell that does not contain finite numbers.
    """
    rows = np.empty((len(cells.lines), len(used) * size))
    for frame, row in enumerate(cells.rows):
        for place, column in enumerate(used):
            numbers = cells.numbers(row[column])
            is_right = len(numbers) == size and None not in numbers
            rows[frame, place * size : (place + 1) * size] = numbers if is_right else np.nan
        is_finite = np.isfinite(rows[frame])
        if not is_finite.all():
            column = used[int(is_finite.argmin()) // size]
            what = "a finite number" if size == 1 else f"{size} finite numbers"
            raise RawFileError(
                where,
                cells.first_line + frame,
                f"expected {what} in column {column + 1}, found {quote(row[column])}",
            )
    return rows
