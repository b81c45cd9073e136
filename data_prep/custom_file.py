"""The `.npz` and `.csv` files of own recordings (docs/data.md): their bytes to numbers, or what is wrong with them."""

import codecs
import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.layouts import Layout
from data_prep.raw_files import MAX_BYTES, READ_ERRORS, RawFileError
from data_prep.skeleton_file import LARGEST, MAX_FRAMES

ARRAY = "joints"  # in a `.npz`
NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
CSV_BODIES = (1, 2)  # that a line may hold


def read_joints(data: bytes, where: str, layout: Layout) -> np.ndarray:
    """Read the content of one recording; the end of `where`, its name, says of which kind it is.

    Returns (M, T, V, C) float64 in the file's own unit and axes, V the joints of `layout`; a body that is not there is
    all zero. Raises RawFileError for content of another form, numbers that are not finite, joints that were not
    tracked, and where no frame has a body.
    """
    reader = READERS.get(Path(where).suffix)
    if reader is None:
        raise RawFileError(where, 0, f"expected a name that ends in {' or '.join(SUFFIXES)}")
    bodies = reader(data, where, len(layout.joints)).swapaxes(0, 1).astype(np.float64)
    check_finite(bodies, where, layout)
    check_tracked(bodies, where, layout)
    return bodies


def read_npz(data: bytes, where: str, num_joints: int) -> np.ndarray:
    """(T, M, V, C) of any real type: the array `joints`, or the only one, of shape (T, V, 3) or (T, M, V, 3)."""
    content = read_member(data, where)
    file = io.BytesIO(content)
    try:
        shape, is_fortran, dtype = NPY_HEADERS[np.lib.format.read_magic(file)](file)
    except Exception as error:  # of many kinds: numpy evaluates what stands in the header
        raise RawFileError(where, 0, f"expected an array as numpy.savez writes it ({error})") from error
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise RawFileError(where, 0, f"expected an array of real numbers, found one of {dtype}")
    if len(shape) not in (3, 4) or shape[-2:] != (num_joints, 3):
        expected = f"(frames, {num_joints}, 3) or (frames, bodies, {num_joints}, 3)"
        raise RawFileError(where, 0, f"expected an array of shape {expected}, found {shape}")
    if min(shape) < 1 or shape[0] > MAX_FRAMES:
        raise RawFileError(where, 0, f"expected 1 to {MAX_FRAMES} frames of one body or more, found shape {shape}")
    expected, found = math.prod(shape) * dtype.itemsize, len(content) - file.tell()
    if expected != found:
        raise RawFileError(where, 0, f"expected {expected} bytes of {dtype} in shape {shape}, found {found}")
    joints = np.frombuffer(content, dtype, offset=file.tell()).reshape(shape, order="F" if is_fortran else "C")
    return joints.reshape(shape[0], -1, num_joints, 3)


def read_member(data: bytes, where: str) -> bytes:
    """The file of the array `joints`, or of the only array, in a `.npz`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            name = next(iter(members)) if len(members) == 1 else ARRAY
            if name not in members:
                raise RawFileError(where, 0, f"expected an array {ARRAY!r}, found {', '.join(members) or 'none'}")
            if members[name].file_size > MAX_BYTES:
                raise RawFileError(where, 0, f"expected at most {MAX_BYTES} bytes, found {members[name].file_size}")
            return archive.read(members[name])
    except READ_ERRORS as error:
        raise RawFileError(where, 0, f"cannot be read: {error or type(error).__name__}") from error


def read_csv(data: bytes, where: str, num_joints: int) -> np.ndarray:
    """(T, M, V, C) float64: on each line a frame, x y z of each joint of each body; the first may be a header."""
    widths = [bodies * num_joints * 3 for bodies in CSV_BODIES]
    rows = []
    for number, line in enumerate(io.BytesIO(data.removeprefix(codecs.BOM_UTF8).rstrip()), start=1):
        found = line.count(b",") + 1 if line.strip() else 0
        if found not in widths:
            expected = " or ".join(map(str, widths))
            raise RawFileError(where, number, f"expected {expected} numbers with commas between them, found {found}")
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
            raise RawFileError(where, line, f"expected a finite number in column {column}, found {found!r}")
    return np.array(values)


def parse_number(cell: bytes) -> float | None:
    """What `float` reads in it (nan and inf too), or None."""
    try:
        return float(cell)
    except ValueError:
        return None


def check_finite(bodies: np.ndarray, where: str, layout: Layout) -> None:
    """Raise RawFileError if a coordinate of (M, T, V, C) is nan, infinite or beyond what float32 can work with."""
    is_sound = (np.abs(bodies) < LARGEST).all(axis=-1)  # nan is not
    if not is_sound.all():
        raise _joint_error("expected finite numbers, found {}", ~is_sound, bodies, where, layout)


def check_tracked(bodies: np.ndarray, where: str, layout: Layout) -> None:
    """Raise RawFileError if a joint of a body that is there, in (M, T, V, C), is 0, 0, 0 and so was not tracked.

    One joint of a body may be, if it is in all frames: it is the origin.
    """
    is_zero = ~bodies.any(axis=-1)  # (M, T, V)
    is_absent = is_zero.all(axis=2, keepdims=True)  # (M, T, 1)
    is_always = (is_zero | is_absent).all(axis=1, keepdims=True)  # (M, 1, V)
    is_origin = is_always & (is_always.sum(axis=2, keepdims=True) == 1)
    untracked = is_zero & ~is_absent & ~is_origin
    if untracked.any():
        raise _joint_error("expected untracked joints to be filled in, found {}", untracked, bodies, where, layout)
    if is_absent.all():
        raise RawFileError(where, 0, f"no body in any of {bodies.shape[1]} frames")


def _joint_error(reason: str, mask: np.ndarray, bodies: np.ndarray, where: str, layout: Layout) -> RawFileError:
    """The error for the first joint in `mask` (M, T, V), by frame."""
    frame, body, joint = np.unravel_index(mask.swapaxes(0, 1).argmax(), mask.swapaxes(0, 1).shape)
    found = ", ".join(f"{value:g}" for value in bodies[body, frame, joint])
    place = f"frame {frame + 1}, body {body + 1}, joint {joint + 1} ({layout.joints[joint]})"
    return RawFileError(where, 0, f"{place}: {reason.format(found)}")


READERS = {".npz": read_npz, ".csv": read_csv}
SUFFIXES = tuple(READERS)
