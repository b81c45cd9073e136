"""Members of a `.npz`, which are often larger than the memory: read in any order, row by row."""

import struct
import zipfile
from collections.abc import Mapping

import numpy as np

from scdnet.files import DAMAGED_FILE_ERRORS
from scdnet.raw.npy import parse_npy
from scdnet.raw.raw_files import RawFileError, check_at_most, unreadable
from scdnet.raw.ready_made.arrays import ArrayFile, open_npy
from scdnet.raw.ready_made.scratch import BLOCK_BYTES, Scratch, format_size
from scdnet.raw.ready_made.sources import Source

# An array that is read as a whole, such as one-hot labels.
MAX_WHOLE_BYTES = 2**28
# The header before each member: 26 bytes, then the lengths of its name and of an extra field.
LOCAL_HEADER = struct.Struct("<4s22xHH")
SIGNATURE = b"PK\3\4"


class Npz:
    """The members of a `.npz`, by name. Raises RawFileError if it is damaged."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.members: Mapping[str, zipfile.ZipInfo] = {}
        try:
            with zipfile.ZipFile(source.path) as archive:
                self.members = {
                    member.filename.removesuffix(".npy"): member for member in archive.infolist()
                }
        except DAMAGED_FILE_ERRORS as error:
            raise unreadable(self._source.where, error) from error

    def open_rows(self, name: str, scratch: Scratch) -> ArrayFile:
        """Return a member as an array that is read row by row.

        One that is compressed is unpacked to a temporary file; what that takes is printed. Raises
        RawFileError.
        """
        member = self.members[name]
        where = f"{self._source.where}/{name}.npy"
        try:
            with (
                zipfile.ZipFile(self._source.path) as archive,
                archive.open(member) as content,
            ):
                if member.compress_type != zipfile.ZIP_STORED:
                    path = scratch.unpack(content, member.file_size, where)
                    return open_npy(Source(path, where))
                print(f"Checking {where}: {format_size(member.file_size)}", flush=True)
                # The last read compares the sum of all bytes to that in the archive.
                while content.read(BLOCK_BYTES):
                    pass
            start = self._find_content(member)
        except RawFileError:
            raise
        except DAMAGED_FILE_ERRORS as error:
            raise unreadable(self._source.where, error) from error
        return open_npy(Source(self._source.path, where), start=start, size=member.file_size)

    def read_whole(self, name: str) -> np.ndarray:
        """Read a member that is small. Raises RawFileError."""
        member = self.members[name]
        where = f"{self._source.where}/{name}.npy"
        check_at_most(MAX_WHOLE_BYTES, member.file_size, "bytes", where)
        try:
            with (
                zipfile.ZipFile(self._source.path) as archive,
                archive.open(member) as content,
            ):
                # The stated size is not trusted: it may be a damaged one.
                data = content.read(MAX_WHOLE_BYTES + 1)
        except DAMAGED_FILE_ERRORS as error:
            raise unreadable(self._source.where, error) from error
        return parse_npy(data, where)

    def _find_content(self, member: zipfile.ZipInfo) -> int:
        """Return the place of the content of a member that is not compressed."""
        with self._source.path.open("rb") as file:
            file.seek(member.header_offset)
            header = file.read(LOCAL_HEADER.size)
        signature, name_length, extra_length = LOCAL_HEADER.unpack(header)
        if signature != SIGNATURE:
            raise RawFileError(self._source.where, 0, "a damaged zip: no header before a member")
        return member.header_offset + LOCAL_HEADER.size + name_length + extra_length
