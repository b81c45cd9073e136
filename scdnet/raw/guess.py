"""Guess by name and first bytes whether a file is a ready-made one, and of which format."""

import re
from pathlib import Path

from scdnet.files import DAMAGED_FILE_ERRORS

# Bytes of a file that are looked at.
NUM_BYTES = 2**16
# The shape of an array of sequences, N C T V M, in the header of a `.npy` file.
FIVE_AXES = rb"'shape': \(\d+, 3, \d+, \d+, [12]\)"
ONE_AXIS = rb"'shape': \(\d+,( 1)?\)"
# Pattern of a file name, pattern in its beginning -> format. The first that fits counts.
PATTERNS: tuple[tuple[str, bytes, str], ...] = (
    # Dumped first are the names of each split, which are longer than what is looked at.
    (r".*\.(pkl|pickle)", rb"frame_dir|annotations|\x05(\0\0\0)?split", "pyskl"),
    (r"raw_(skes_data|denoised_joints)\.pkl", b"", "ctrgcn"),
    (r".*\.npz", rb"[xy]_(train|test)\.npy", "ctrgcn"),
    (r".*_(data|position)(_motion)?\.npy", FIVE_AXES, "crosclr"),
    (r".*_data_(joint|bone)(_motion)?\.npy", FIVE_AXES, "agcn"),
    (r".*_num_frame\.npy", ONE_AXIS, "agcn"),
    (r"(train|val|test)_label\.npy", ONE_AXIS, "crosclr"),
    (r"(train|val|test)_label\.pkl", b"", "agcn"),
    (r".*\.skeleton\.npy", b"NUMPY", "txt2npy"),
    (r"a\d\d_s\d\d_e\d\d_v\d\d\.json", b"", "nwucla"),
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
        is_named = re.fullmatch(pattern, name, re.IGNORECASE)
        if is_named and re.search(content, start):
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


def hint_other_format(path: str | Path, expected: str) -> str:
    """Return the end of a message about a file that seems to be of another format than expected.

    It is empty if the file does not.
    """
    found = guess_format(path)
    return "" if found in (None, expected) else f"; this seems to be {describe_guess(path)}"
