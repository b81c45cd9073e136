"""Custom recordings as `.csv` (docs/data/own.md): one line of joint positions for each frame."""

import codecs
import io
from collections.abc import Sequence

import numpy as np

from scdnet.raw.raw_files import MAX_FRAMES, RawFileError, quote


def read_csv(data: bytes, where: str, num_joints: int) -> np.ndarray:
    """Parse the content of a `.csv` file: on each line x y z of all joints of one or two bodies.

    Returns float64 (T, M, V, C). The first line may be a header. Raises RawFileError for a line of
    another length or a cell that is not a finite number.
    """
    # All frames have as many bodies as the first, one or two.
    widths = [num_joints * 3, 2 * num_joints * 3]
    rows: list[np.ndarray] = []
    lines = io.BytesIO(data.removeprefix(codecs.BOM_UTF8).rstrip())
    for number, line in enumerate(lines, start=1):
        found = line.count(b",") + 1 if line.strip() else 0
        if found not in widths:
            expected = " or ".join(map(str, widths))
            raise RawFileError(
                where, number, f"expected {expected} comma-separated numbers, found {found}"
            )
        cells = line.split(b",")
        if number == 1 and is_header(cells):
            continue
        if len(rows) == MAX_FRAMES:
            raise RawFileError(where, number, f"expected at most {MAX_FRAMES} frames")
        rows.append(parse_cells(cells, where, number))
        widths = [found]
    if not rows:
        raise RawFileError(where, 0, "expected a line for each frame, found none")
    return np.stack(rows).reshape(len(rows), -1, num_joints, 3)


def is_header(cells: Sequence[bytes]) -> bool:
    """Check whether a line names the columns: all cells are words, or 0, 1, 2, ... as of pandas."""
    values = [parse_number(cell) for cell in cells]
    are_words = all(
        value is None and cell.strip() for value, cell in zip(values, cells, strict=True)
    )
    return are_words or values == list(range(len(cells)))


def parse_cells(cells: Sequence[bytes], where: str, line: int) -> np.ndarray:
    """Convert the cells of a line to float64. Raises RawFileError if one is not a finite number."""
    # None, the value of a cell that contains no number, becomes NaN.
    values = np.array([parse_number(cell) for cell in cells], dtype=np.float64)
    is_finite = np.isfinite(values)
    if not is_finite.all():
        column = int(is_finite.argmin())
        found = quote(cells[column].strip().decode("latin-1"))
        raise RawFileError(
            where, line, f"expected a finite number in column {column + 1}, found {found}"
        )
    return values


def parse_number(cell: bytes) -> float | None:
    """Return the number in a cell, which may be NaN or infinite; None if there is none."""
    try:
        return float(cell)
    except ValueError:
        return None
