"""Guess by name and first bytes whether a file is a ready-made one, and of which format."""

import re
from pathlib import Path

from scdnet.files import DAMAGED_FILE_ERRORS

# Bytes of a file that are looked at.
NUM_BYTES = 2**16
# Pattern of a file name, bytes that its beginning contains -> format. The first that fits counts.
PATTERNS: tuple[tuple[str, bytes, str], ...] = (
    (r".*\.(pkl|pickle)", b"frame_dir", "pyskl"),
    (r".*\.(pkl|pickle)", b"annotations", "pyskl"),
    (r"raw_(skes_data|denoised_joints|skes_joints)\.pkl", b"", "ctrgcn"),
    (r".*\.npz", b"x_train.npy", "ctrgcn"),
    (r".*\.npz", b"y_train.npy", "ctrgcn"),
    (r".*\.npz", b"x_test.npy", "ctrgcn"),
    (r".*_(data|position)(_motion)?\.npy", b"NUMPY", "crosclr"),
    (r".*_data_(joint|bone)(_motion)?\.npy", b"NUMPY", "agcn"),
    (r".*_num_frame\.npy", b"NUMPY", "agcn"),
    (r".*\.skeleton\.npy", b"NUMPY", "txt2npy"),
    (r"a\d\d_s\d\d_e\d\d_v\d\d\.json", b"", "nwucla"),
    (r"(train|val|test)_label\.(pkl|npy)", b"", "agcn"),
)
# The content of each format, for messages.
CONTENTS = {
    "pyskl": "annotations as pyskl writes them",
    "ctrgcn": "arrays as CTR-GCN's preprocessing writes them",
    "agcn": "arrays as 2s-AGCN's preprocessing writes them",
    "crosclr": "arrays as CrosSCLR's preprocessing writes them",
    "nwucla": "a recording of NW-UCLA",
    "txt2npy": "a recording as NTU's txt2npy.py writes it",
}


def guess_format(path: str | Path) -> str | None:
    """Return the format of `scdnet prepare import` that a file seems to have, or None.

    Reads only the beginning of the file; an unreadable file is none.
    """
    path = Path(path)
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            start = file.read(NUM_BYTES)
    except DAMAGED_FILE_ERRORS:
        return None
    return guess_content(path.name, start)


def guess_content(name: str, start: bytes) -> str | None:
    """Return the format that a file of this name and beginning seems to have, or None."""
    for pattern, content, ready_made in PATTERNS:
        if re.fullmatch(pattern, name, re.IGNORECASE) and content in start:
            return ready_made
    return None


def describe_guess(path: str | Path) -> str | None:
    """Return a sentence that leads from a ready-made file to its importer, or None."""
    ready_made = guess_format(path)
    if ready_made is None:
        return None
    return (
        f"{CONTENTS[ready_made]}; import it with "
        f"`scdnet prepare import --format {ready_made} --raw {path} --out STORE`"
    )
