"""Files of CTR-GCN's preprocessing, and of MAMP's: `NTU60_CS.npz`, `raw_skes_data.pkl`, ..."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scdnet.errors import ScdnetError
from scdnet.raw.convert import Rejection
from scdnet.raw.datasets import NTU_DATASETS, class_names, parse_ntu_name
from scdnet.raw.guess import hint_other_format
from scdnet.raw.raw_files import RawFile, RawFileError, quote
from scdnet.raw.ready_made import ctrgcn_npz, ctrgcn_pickles
from scdnet.raw.ready_made.entries import Entry, ReadyMade, finish_by_energy, finish_in_order
from scdnet.raw.ready_made.ntu_names import SUFFIX
from scdnet.raw.ready_made.pickles import describe, read_pickle
from scdnet.raw.ready_made.scratch import Scratch
from scdnet.raw.ready_made.sources import Source, find_sources
from scdnet.skeletons import NTU_25

# The list of names that CTR-GCN keeps in the folder statistics.
NAMES_FILE = "skes_available_name.txt"
# A pickle beside them, of the frames that were dropped.
DROPPED_FRAMES = "frames_drop_skes.pkl"


class File(NamedTuple):
    """The content of one file."""

    where: str
    dataset: str
    content: list[Entry | Rejection]
    source_processing: str


def open_files(roots: Sequence[Path], scratch: Scratch, names: Path | None = None) -> ReadyMade:
    """Open the files below `roots`; `names` lists the recordings of files that have no names.

    Raises ScdnetError if they cannot be united, RawFileError if the only one cannot be read.
    """
    given = None if names is None else read_names(names)
    sources = [
        source
        for source in find_sources(roots, (".npz", ".pkl"), scratch)
        if source.name != DROPPED_FRAMES
    ]
    check_names(sources, names)
    files: list[File] = []
    rejected: list[Rejection] = []
    for source in sources:
        try:
            files.append(open_file(source, given, scratch))
        except RawFileError as error:
            if len(sources) == 1:
                raise
            rejected.append(Rejection(*error.args))
    dataset = find_dataset(files)
    content = [item for file in files for item in file.content]
    return ReadyMade(
        dataset=dataset,
        skeleton=NTU_25,
        class_names=class_names(dataset),
        entries=[item for item in content if isinstance(item, Entry)],
        rejected=rejected + [item for item in content if isinstance(item, Rejection)],
        # The order of the bodies in PKU-MMD is that of its own converter, which keeps it as well.
        finish=finish_by_energy if dataset in NTU_DATASETS else finish_in_order,
        source_processing="; also ".join(dict.fromkeys(file.source_processing for file in files)),
    )


def open_file(source: Source, names: Sequence[str] | None, scratch: Scratch) -> File:
    """Open a file, by its content. Raises RawFileError if it is none of CTR-GCN's."""
    if is_npz(source):
        rows = ctrgcn_npz.open_rows_file(source, scratch)
        kind = "ctrgcn" if rows.dataset in NTU_DATASETS else "mamp"
        return File(
            source.where,
            rows.dataset,
            content=ctrgcn_npz.make_entries(rows, names),
            source_processing=ctrgcn_npz.PROCESSING[kind],
        )
    content = read_pickle(source)
    if ctrgcn_pickles.is_raw(content):
        kind = "raw"
    elif ctrgcn_pickles.is_denoised(content):
        kind = "denoised"
    else:
        raise RawFileError(
            source.where,
            0,
            "expected the content of raw_skes_data.pkl or raw_denoised_joints.pkl: a list of dicts "
            f"or of arrays, found {describe(content)}{hint_other_format(source.path, 'ctrgcn')}",
        )
    dataset, entries = ctrgcn_pickles.make_entries(content, source, names)
    return File(source.where, dataset, entries, ctrgcn_pickles.PROCESSING[kind])


def read_names(path: Path) -> list[str]:
    """Read the names of recordings of NTU RGB+D, one a line, in their order.

    Raises RawFileError if a line is no name or repeats one.
    """
    where = str(path)
    names: dict[str, int] = {}
    text = RawFile(where).read().decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.strip().removesuffix(SUFFIX)
        if not name:
            continue
        if parse_ntu_name(name) is None:
            raise RawFileError(
                where, number, f"expected a name SxxxCxxxPxxxRxxxAxxx, found {quote(line)}"
            )
        if name in names:
            raise RawFileError(where, number, f"{name} is already in line {names[name]}")
        names[name] = number
    if not names:
        raise RawFileError(where, 0, "expected names of recordings, one a line, found none")
    return list(names)


def check_names(sources: Sequence[Source], names: Path | None) -> None:
    """Raise ScdnetError if sequences of several files could not be told to be the same."""
    unnamed = [source.where for source in sources if is_npz(source)]
    if unnamed and len(sources) > 1 and names is None:
        raise ScdnetError(
            f"{unnamed[0]} contains no names, so that its sequences cannot be united with those of "
            f"the other files ({len(sources)} in all); give --names {NAMES_FILE}, or import each "
            "alone"
        )


def is_npz(source: Source) -> bool:
    """Check whether this file contains the rows of a benchmark, without names."""
    return source.name.lower().endswith(".npz")


def find_dataset(files: Sequence[File]) -> str:
    """Return the dataset of all files. Raises ScdnetError if they are of several."""
    datasets = {file.dataset: file.where for file in files}
    if len(datasets) > 1:
        found = ", ".join(f"{dataset} in {where}" for dataset, where in datasets.items())
        raise ScdnetError(f"expected files of one dataset, found {found}; import each alone")
    return next(iter(datasets), "ntu60")
