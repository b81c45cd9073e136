"""Ready-made files in folders and zips, as files on disk that can be read in any order."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scdnet.files import DAMAGED_FILE_ERRORS
from scdnet.raw.convert import find_all
from scdnet.raw.raw_files import RawFile, RawFileError, unreadable
from scdnet.raw.ready_made.scratch import Scratch


class Source(NamedTuple):
    """A ready-made file: where it can be read, and its name in messages.

    Both differ for a member of a zip, which is read from a temporary file.
    """

    path: Path
    where: str

    @property
    def name(self) -> str:
        """Return the file name, without folders."""
        return Path(self.where.replace("\\", "/")).name


def find_sources(
    roots: Sequence[Path], suffixes: tuple[str, ...], scratch: Scratch
) -> list[Source]:
    """Find the files of all `roots` whose name ends in one of `suffixes`; unpack those in zips.

    A root may be a folder, a zip or such a file. Warns of a root that contains none. Raises
    RawFileError if a root is none of these or a zip is damaged.
    """
    return [_unpacked(file, scratch) for file in find_all(roots, suffixes)]


def _unpacked(file: RawFile, scratch: Scratch) -> Source:
    if not file.inner:
        return Source(Path(file.path), file.where)
    try:
        with zipfile.ZipFile(file.path) as archive:
            member = archive.infolist()[file.member]
            with archive.open(member) as content:
                return Source(scratch.unpack(content, member.file_size, file.where), file.where)
    except RawFileError:
        raise
    except DAMAGED_FILE_ERRORS as error:
        raise unreadable(file.where, error) from error
