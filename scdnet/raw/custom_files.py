"""Custom recordings as `.npz` and `.csv` (docs/data/own.md): from bytes to checked positions."""

import codecs
import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scdnet.files import DAMAGED_FILE_ERRORS
from scdnet.raw.raw_files import (
    MAX_BYTES,
    MAX_COORDINATE,
    MAX_FRAMES,
    RawFileError,
    check_at_most,
    quote,
)
from scdnet.skeleton import Skeleton


def read_npz(data: bytes, where: str, num_joints: int) -> np.ndarray:
    """Read the array `joints`, or the only one, of shape (T, V, 3) or (T, M, V, 3).

    Returns (T, M, V, C) of any real type. Raises RawFileError for a damaged file and for an array
    of another shape or type.
    """
    file = io.BytesIO(read_member(data, where))
    try:
        check_header(file, where, num_joints)
        file.seek(0)
        joints = np.lib.format.read_array(file, allow_pickle=False)
    except RawFileError:
        raise
    except Exception as error:
        # numpy parses the header as a Python expression: a damaged one raises errors of any kind.
        raise RawFileError(
            where, 0, f"expected an array as numpy.savez writes it ({error})"
        ) from error
    return joints.reshape(len(joints), -1, num_joints, 3)


def read_member(data: bytes, where: str) -> bytes:
    """Return the `.npy` file of the array `joints`, or of the only array, in a `.npz`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {
                member.filename.removesuffix(".npy"): member for member in archive.infolist()
            }
            name = next(iter(members)) if len(members) == 1 else "joints"
            if name not in members:
                raise RawFileError(
                    where, 0, f"expected an array 'joints', found {', '.join(members) or 'none'}"
                )
            check_at_most(MAX_BYTES, members[name].file_size, "bytes", where)
            return archive.read(members[name])
    except DAMAGED_FILE_ERRORS as error:
        raise RawFileError(where, 0, f"cannot be read: {error or type(error).__name__}") from error


def check_header(file: io.BytesIO, where: str, num_joints: int) -> None:
    """Raise RawFileError if a `.npy` file states a wrong type or shape, or its size does not fit.

    numpy allocates the stated shape before it reads: a damaged header could exhaust the memory.
    """
    if np.lib.format.read_magic(file) == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        # The headers of later versions differ only in the characters that names of fields may have.
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    if dtype.kind not in "fiu":
        raise RawFileError(where, 0, f"expected an array of real numbers, found one of {dtype}")
    is_of_joints = len(shape) in (3, 4) and shape[-2:] == (num_joints, 3) and min(shape) > 0
    if not is_of_joints or shape[0] > MAX_FRAMES:
        raise RawFileError(
            where,
            0,
            f"expected an array of shape (frames, {num_joints}, 3) or (frames, bodies, "
            f"{num_joints}, 3) with 1 to {MAX_FRAMES} frames, found {shape}",
        )
    num_bytes = math.prod(shape) * dtype.itemsize
    num_found = file.getbuffer().nbytes - file.tell()
    if num_found != num_bytes:
        raise RawFileError(
            where, 0, f"expected {num_bytes} bytes of {dtype} in shape {shape}, found {num_found}"
        )


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
            raise RawFileError(
                where,
                number,
                f"expected {' or '.join(map(str, widths))} comma-separated numbers, found {found}",
            )
        cells = line.split(b",")
        values = [parse_number(cell) for cell in cells]
        if number == 1 and is_header(cells, values):
            continue
        if len(rows) == MAX_FRAMES:
            raise RawFileError(where, number, f"expected at most {MAX_FRAMES} frames")
        # None, the value of a cell that contains no number, becomes NaN.
        row = np.array(values, dtype=np.float64)
        is_finite = np.isfinite(row)
        if not is_finite.all():
            column = int(is_finite.argmin())
            cell = quote(cells[column].strip().decode("latin-1"))
            raise RawFileError(
                where, number, f"expected a finite number in column {column + 1}, found {cell}"
            )
        rows.append(row)
        widths = [found]
    if not rows:
        raise RawFileError(where, 0, "expected a line for each frame, found none")
    return np.stack(rows).reshape(len(rows), -1, num_joints, 3)


def parse_number(cell: bytes) -> float | None:
    """Return the number in a cell, which may be NaN or infinite; None if there is none."""
    try:
        return float(cell)
    except ValueError:
        return None


def is_header(cells: Sequence[bytes], values: Sequence[float | None]) -> bool:
    """Check whether a line names the columns: all cells are words, or 0, 1, 2, ... as of pandas."""
    are_words = all(
        value is None and cell.strip() for value, cell in zip(values, cells, strict=True)
    )
    return are_words or values == list(range(len(cells)))


READERS = {".npz": read_npz, ".csv": read_csv}
SUFFIXES = tuple(READERS)


def read_joints(data: bytes, where: str, skeleton: Skeleton) -> np.ndarray:
    """Parse the content of one recording, in the format that the suffix of `where` tells.

    Returns (M, T, V, C) float64 in the unit and axes of the file, with the joints of `skeleton`; an
    absent body is all zero. Raises RawFileError for content in another form, numbers that are not
    finite, joints that were not tracked, and if no frame has a body.
    """
    reader = READERS.get(Path(where).suffix.lower())
    if reader is None:
        raise RawFileError(where, 0, f"expected a name that ends in {' or '.join(SUFFIXES)}")
    bodies = reader(data, where, skeleton.num_joints).swapaxes(0, 1).astype(np.float64)
    check_finite(bodies, where, skeleton)
    # 2-D joints that were not found are 0 0 0, with a score of 0.
    if skeleton.dims == 3:
        check_tracked(bodies, where, skeleton)
    return bodies


def check_finite(bodies: np.ndarray, where: str, skeleton: Skeleton) -> None:
    """Raise RawFileError if a coordinate of (M, T, V, C) is NaN, infinite or too large."""
    # Comparisons with NaN are false.
    is_finite = (np.abs(bodies) < MAX_COORDINATE).all(axis=-1)
    if not is_finite.all():
        body, frame = _first(~is_finite.all(axis=-1))
        joint = (~is_finite[body, frame]).argmax()
        found = ", ".join(f"{value:g}" for value in bodies[body, frame, joint])
        raise RawFileError(
            where,
            0,
            f"frame {frame + 1}, body {body + 1}: expected finite numbers, "
            f"found {found} for {skeleton.joints[joint]}",
        )


def check_tracked(bodies: np.ndarray, where: str, skeleton: Skeleton) -> None:
    """Raise RawFileError if (M, T, V, C) contains no body, or a present one has a joint at 0, 0, 0.

    Such a joint was not tracked. A single one may be there in all frames: the origin of positions.
    """
    is_zero = np.logical_not(bodies.any(axis=-1))  # (M, T, V)
    is_absent = is_zero.all(axis=2, keepdims=True)  # (M, T, 1)
    if is_absent.all():
        raise RawFileError(where, 0, f"no body in any of {bodies.shape[1]} frames")
    is_always_zero = is_zero.all(axis=1, keepdims=True)  # (M, 1, V)
    is_origin = is_always_zero & (is_always_zero.sum(axis=2, keepdims=True) == 1)
    is_untracked = is_zero & ~is_absent & ~is_origin
    if is_untracked.any():
        body, frame = _first(is_untracked.any(axis=-1))
        found = ", ".join(np.array(skeleton.joints)[is_zero[body, frame]])
        raise RawFileError(
            where,
            0,
            f"frame {frame + 1}, body {body + 1}: expected joints that were not tracked to be "
            f"filled in, found 0, 0, 0 for {found}",
        )


def _first(mask: np.ndarray) -> tuple[int, int]:
    """Return body and frame of the first frame in which `mask` (M, T) is true for a body."""
    frame = mask.any(axis=0).argmax()
    return int(mask[:, frame].argmax()), int(frame)
