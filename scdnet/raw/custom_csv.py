"""Own recordings as `.csv` (docs/data.md): for each frame a line of joint positions, or what is wrong with a line."""

import codecs
import io
import math
from collections.abc import Sequence

import numpy as np

from scdnet.raw.raw_files import MAX_FRAMES, RawFileError

BODIES = (1, 2)  # that a line may hold


def read_csv(data: bytes, where: str, num_joints: int) -> np.ndarray:
    """(T, M, V, C) float64: on each line a frame, x y z of each joint of each body; the first may be a header."""
    widths = [bodies * num_joints * 3 for bodies in BODIES]
    rows = []
    for number, line in enumerate(io.BytesIO(data.removeprefix(codecs.BOM_UTF8).rstrip()), start=1):
        found = line.count(b",") + 1 if line.strip() else 0
        if found not in widths:
            expected = " or ".join(map(str, widths))
            raise RawFileError(
                where,
                number,
                f"expected {expected} numbers with commas between them, found {found}",
            )
        cells = line.split(b",")
        if number == 1 and is_header(cells):
            continue
        if len(rows) == MAX_FRAMES:
            raise RawFileError(where, number, f"expected at most {MAX_FRAMES} frames")
        rows.append(parse_cells(cells, where, number))
        widths = [found]  # the first frame decides
    if not rows:
        raise RawFileError(where, 0, "expected a line for each frame, found none")
    return np.stack(rows).reshape(len(rows), -1, num_joints, 3)


def is_header(cells: Sequence[bytes]) -> bool:
    """Whether a line holds names of columns: no number in any cell and none empty, or 0, 1, 2, ..."""
    values = [parse_number(cell) for cell in cells]
    return values == list(range(len(cells))) or all(
        value is None and cell.strip() for value, cell in zip(values, cells, strict=True)
    )


def parse_cells(cells: Sequence[bytes], where: str, line: int) -> np.ndarray:
    """(cells,) float64. Raises RawFileError if a cell holds no finite number."""
    values = [parse_number(cell) for cell in cells]
    for column, value in enumerate(values, start=1):
        if value is None or not math.isfinite(value):
            found = cells[column - 1].strip().decode("latin-1")[:40]
            raise RawFileError(
                where, line, f"expected a finite number in column {column}, found {found!r}"
            )
    return np.array(values)


def parse_number(cell: bytes) -> float | None:
    """What `float` reads in it (nan and inf too), or None."""
    try:
        return float(cell)
    except ValueError:
        return None
