"""The formats of ready-made files, by the name that `--format` takes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scdnet.errors import ScdnetError
from scdnet.raw.ready_made import agcn, crosclr, ctrgcn, nwucla, pyskl, txt2npy
from scdnet.raw.ready_made.entries import ReadyMade
from scdnet.raw.ready_made.scratch import Scratch

# Opens the files below the given roots. The formats of NAMELESS also take a list of names.
FORMATS: Mapping[str, Callable[..., ReadyMade]] = {
    "pyskl": pyskl.open_files,
    "ctrgcn": ctrgcn.open_files,
    "agcn": agcn.open_files,
    "crosclr": crosclr.open_files,
    "nwucla": nwucla.open_files,
    "txt2npy": txt2npy.open_files,
}
# The formats of which some files do not contain the names of their sequences.
NAMELESS = ("ctrgcn", "crosclr")


def open_format(
    format_name: str, roots: Sequence[Path], scratch: Scratch, *, names: Path | None = None
) -> ReadyMade:
    """Open the files of a format below `roots`; `names` is a list of recordings, if given.

    Raises ScdnetError if the files cannot be used, or contain the names themselves.
    """
    if names is None:
        return FORMATS[format_name](roots, scratch)
    if format_name not in NAMELESS:
        raise ScdnetError(
            f"--names {names}: expected --format {' or '.join(NAMELESS)}; files of {format_name} "
            "contain the names themselves: omit it"
        )
    return FORMATS[format_name](roots, scratch, names)
