"""What the tests of ready-made formats share: import files, break files, compare with raw files."""

import io
import pickle
import random
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from scdnet.data.store import SkeletonSequence
from scdnet.errors import ScdnetError
from scdnet.raw import ntu
from scdnet.raw.convert import Rejection
from scdnet.raw.raw_files import RawFileError
from scdnet.raw.ready_made.entries import ReadyMade
from scdnet.raw.ready_made.plan import plan_job
from scdnet.raw.ready_made.scratch import Scratch

Opener = Callable[..., ReadyMade]


def open_ready_made(
    opener: Opener, roots: Path | Sequence[Path], tmp_path: Path, names: Path | None = None
) -> ReadyMade:
    """Open files of which none is in a zip that must be unpacked."""
    roots = [roots] if isinstance(roots, Path) else list(roots)
    with Scratch(tmp_path / "out.h5") as scratch:
        return opener(roots, scratch, names) if names else opener(roots, scratch)


def import_files(
    ready_made: ReadyMade, *, to: str | None = None
) -> tuple[dict[str, SkeletonSequence], list[Rejection]]:
    """Convert all sequences as the command does; return them by name, and what was rejected."""
    job = plan_job(ready_made, to=to)
    sequences = {}
    rejected = list(job.rejected)
    # Workers get pickled items.
    for item in pickle.loads(pickle.dumps(list(job.items))):
        try:
            (sequence,) = job.convert_item(item).sequences
            sequences[sequence.name] = sequence
        except RawFileError as error:
            rejected.append(Rejection(*error.args))
    return sequences, rejected


def import_broken(
    opener: Opener, root: Path, tmp_path: Path
) -> tuple[dict[str, SkeletonSequence], str]:
    """Import files that may be broken; return the sequences and the reasons of what is missing.

    Any exception but one with a message for the user fails the test that calls this.
    """
    sequences: dict[str, SkeletonSequence] = {}
    try:
        sequences, rejected = import_files(open_ready_made(opener, root, tmp_path))
    except ScdnetError as error:
        rejected = [Rejection(str(root), 0, str(error))]
    for sequence in sequences.values():
        assert sequence.frames.dtype == np.float32
        assert np.isfinite(sequence.frames).all()
    assert sequences or rejected
    assert all(row.file and row.reason and len(row.reason) < 1000 for row in rejected)
    return sequences, " ".join(row.reason for row in rejected)


def count_failures(
    opener: Opener, root: Path, break_files: Callable[[int], Mapping[str, bytes]], num_broken: int
) -> int:
    """Import broken variants of the files of a format; return in how many something is missing."""
    num_failed = 0
    for seed in range(num_broken):
        write_all(root, break_files(seed))
        _, reasons = import_broken(opener, root, root.parent)
        num_failed += bool(reasons)
    return num_failed


def break_bytes(data: bytes, seed: int) -> bytes:
    """Flip some bits, cut, repeat or insert bytes, at places that `seed` tells."""
    rng = random.Random(seed)
    broken = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20))):
        # The beginning has the header.
        place = rng.randrange(min(len(data), rng.choice((100, 300, len(data)))))
        place = min(place, len(broken) - 1)
        match rng.randrange(6):
            case 0 | 1:
                broken[place] ^= 1 << rng.randrange(8)
            case 2:
                del broken[place : place + rng.choice((1, 4, 100))]
            case 3:
                broken[place:place] = rng.randbytes(rng.choice((1, 4, 100)))
            case 4:
                broken[place : place + 1] = rng.choice((b"\0", b"9", b"\xff", b"-", b"(", b"e"))
            case 5:
                del broken[place + 1 :]
        if not broken:
            return b""
    return bytes(broken)


def npy_bytes(array: np.ndarray) -> bytes:
    """Return an array as `numpy.save` writes it."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def odd_array(rng: random.Random) -> np.ndarray:
    """Draw an array of any type and shape, of 100 kB at most."""
    shape = [rng.choice((0, 1, 2, 3, 25, 300)) for _ in range(rng.randrange(7))]
    size = min(int(np.prod(shape)), 10**5)
    kind = rng.choice(("f2", "f4", "f8", "i8", "U3", "c8", "?"))
    numbers = np.arange(size + 1).clip(0, 999).astype(kind)
    return np.resize(numbers, shape if size < 10**5 else size)


def write_all(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files to a folder from which all others are removed."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def read_raw_files(shared: Path) -> dict[str, np.ndarray]:
    """Normalize the raw recordings of NTU-60 that lie beside the ready-made files."""
    frames = {}
    with zipfile.ZipFile(shared / "data/ready_made/raw/nturgbd_skeletons_60.zip") as archive:
        for member in archive.namelist():
            if member.endswith(ntu.SUFFIX):
                frames[Path(member).stem] = ntu.read_frames(archive.read(member), member)
    return frames


def make_walk(num_frames: int, num_bodies: int, seed: int = 0) -> np.ndarray:
    """Draw random poses that move (M, T, 25, 3), meters in front of a camera, y up."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(size=(num_bodies, 1, 25, 3))
    pose[:, :, 1] = pose[:, :, 0] + [0.01, 0.3, 0.02]
    pose[:, :, 8] = pose[:, :, 4] + [0.4, 0.02, 0.1]
    motion = rng.normal(scale=0.05, size=(num_bodies, num_frames, 25, 3))
    return pose + motion + [0, 0, 3]
