"""The formats of ready-made files, by the name that `--format` takes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scdnet.raw.ready_made import agcn, crosclr, ctrgcn, nwucla, pyskl, txt2npy
from scdnet.raw.ready_made.entries import ReadyMade
from scdnet.raw.ready_made.scratch import Scratch

# Opens the files below the given roots; the second argument is the file of --names, if any.
Opener = Callable[[Sequence[Path], Path | None, Scratch], ReadyMade]

FORMATS: Mapping[str, Opener] = {
    "pyskl": pyskl.open_files,
    "ctrgcn": ctrgcn.open_files,
    "agcn": agcn.open_files,
    "crosclr": crosclr.open_files,
    "nwucla": nwucla.open_files,
    "txt2npy": txt2npy.open_files,
}
